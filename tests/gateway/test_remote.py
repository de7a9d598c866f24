"""Servers at URLs: real ones of all transports, and ones that behave badly."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest

from mcpgateway import config as gateway_config
from tests.support.bridges import until
from tests.support.gateways import Gateway, configuration, gateway
from tests.support.locks import free_port
from tests.support.remotes import everything, fixture
from tests.support.waiting import PATIENCE

TOOL = {"name": "t", "inputSchema": {"type": "object", "properties": {"zone": {"type": "string", "x-mcp-header": "Zone"}}}}


@contextlib.contextmanager
def in_front_of(folder: Path, url: str, *headers: gateway_config.Header, **more: Any) -> Iterator[Gateway]:
    server = gateway_config.Server(name="far", url=url, headers=headers, **{"call_timeout": 60.0, **more})
    with gateway(folder, configuration(server, folder=folder)) as ours:
        yield ours


# --- real servers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", ["streamableHttp", "sse"])
def test_a_reference_server_answers_over_each_transport(tmp_path: Path, transport: str) -> None:
    with everything(transport) as url, in_front_of(tmp_path, url) as ours:
        row = next(row for row in ours.await_ready()["servers"])
        assert (row["era"], row["isolation"]) == ("legacy", "Session")
        assert ours.text("far_echo", message="hello") == "Echo: hello"
        assert ours.text("far_get-sum", a=2, b=3) == "The sum of 2 and 3 is 5."
        first, second = (ours.modern("prompts/list").json()["result"]["prompts"] for _ in range(2))
        assert first == second
        assert first


def test_a_modern_server_is_shared_and_streams(tmp_path: Path) -> None:
    with fixture() as url, in_front_of(tmp_path, url) as ours:
        (row,) = ours.await_ready()["servers"]
        assert (row["era"], row["isolation"]) == ("modern", "Shared")
        assert "simple text" in ours.text("far_test_simple_text")


@pytest.mark.parametrize("transport", ["streamableHttp", "sse"])
def test_a_server_that_comes_back_is_found_again(tmp_path: Path, transport: str) -> None:
    port = free_port()
    with contextlib.ExitStack() as stack:
        with everything(transport, port) as url:
            ours = stack.enter_context(in_front_of(tmp_path, url))
            ours.await_ready()
            assert ours.text("far_echo", message="1") == "Echo: 1"
        with pytest.raises(AssertionError, match="far"):
            ours.text("far_echo", message="2")
        ours.await_status("the server to be gone", lambda status: status["servers"][0]["state"] == "Failed")
        stack.enter_context(everything(transport, port))
        ours.await_ready()
        assert ours.text("far_echo", message="3") == "Echo: 3"


# --- scripted servers -----------------------------------------------------------------------------------------------------


@dataclass
class Seen:
    """One request that a scripted server got."""

    method: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class Script:
    """A server whose answer to each request is written in the test."""

    answer: Callable[[Handler, dict[str, Any]], None]
    seen: list[Seen] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    def sent(self, method: str) -> list[Seen]:
        return [one for one in self.seen if one.body.get("method") == method]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def script(self) -> Script:
        return cast("ScriptServer", self.server).script

    def _take(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.loads(raw) if raw else {}
        self.script.seen.append(Seen(self.command, {k.lower(): v for k, v in self.headers.items()}, body))
        self.script.answer(self, body)

    do_POST = do_GET = do_DELETE = do_OPTIONS = _take  # noqa: N815 - the names that the library wants

    def reply(self, status: int, body: Any = None, **headers: str) -> None:
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body, indent=1).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def stream(self, *events: bytes) -> None:
        """Events, after which the connection is cut."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for event in events:
            self.wfile.write(event)
        self.close_connection = True

    def hang_up(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None: ...


class ScriptServer(ThreadingHTTPServer):
    daemon_threads = True
    script: Script


@contextlib.contextmanager
def scripted(answer: Callable[[Handler, dict[str, Any]], None]) -> Iterator[Script]:
    script = Script(answer)
    server = ScriptServer(("127.0.0.1", 0), Handler)
    server.script, script.port = script, server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()


def modern(on_call: Callable[[Handler, dict[str, Any]], None]) -> Callable[[Handler, dict[str, Any]], None]:
    """A server of 2026-07-28 with one tool."""

    def answer(handler: Handler, body: dict[str, Any]) -> None:
        results: dict[Any, dict[str, Any]] = {
            "server/discover": {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}},
            "tools/list": {"tools": [TOOL]},
        }
        if body.get("method") in results:
            handler.reply(
                200, {"jsonrpc": "2.0", "id": body["id"], "result": {"resultType": "complete", **results[body["method"]]}}
            )
        elif body.get("method") == "tools/call":
            on_call(handler, body)
        else:
            handler.reply(405)

    return answer


def legacy(
    on_call: Callable[[Handler, dict[str, Any]], None], session: str = "session-{}"
) -> Callable[[Handler, dict[str, Any]], None]:
    """A server of 2025-11-25 with sessions and one tool; everything it does not know is a 400, as SDKs have it."""

    def answer(handler: Handler, body: dict[str, Any]) -> None:
        method = body.get("method")
        if method == "initialize":
            result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "x", "version": "1"}}
            number = len(handler.script.sent("initialize"))
            handler.reply(200, {"jsonrpc": "2.0", "id": body["id"], "result": result}, Mcp_Session_Id=session.format(number))
        elif handler.command == "DELETE":
            handler.reply(200)
        elif "mcp-session-id" not in handler.script.seen[-1].headers:
            refusal = {"code": -32000, "message": "Bad Request: no session"}
            handler.reply(400, {"jsonrpc": "2.0", "id": None, "error": refusal})
        elif method == "tools/list":
            handler.reply(200, {"jsonrpc": "2.0", "id": body["id"], "result": {"tools": [TOOL]}})
        elif method == "tools/call" or handler.command == "GET":
            on_call(handler, body)
        else:
            handler.reply(202)

    return answer


def text(body: dict[str, Any], words: str) -> dict[str, Any]:
    result = {"content": [{"type": "text", "text": words}]}
    return {"jsonrpc": "2.0", "id": body["id"], "result": result}


def ok(handler: Handler, body: dict[str, Any]) -> None:
    handler.reply(200, text(body, "ok")) if body else handler.reply(405)


def test_headers_come_from_the_configuration_and_from_files_that_may_change(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("Bearer one\n")
    headers = (
        gateway_config.Header(name="Authorization", file=str(secret), reference="far/token"),
        gateway_config.Header(name="X-Region", value="eu"),
    )
    with scripted(modern(ok)) as script, in_front_of(tmp_path, script.url, *headers) as ours:
        ours.await_ready()
        assert ours.text("far_t") == "ok"
        secret.write_text("Bearer two")
        assert ours.text("far_t") == "ok"
        calls = [one.headers for one in script.sent("tools/call")]
        assert [(one["authorization"], one["x-region"]) for one in calls] == [("Bearer one", "eu"), ("Bearer two", "eu")]
        secret.unlink()
        assert "MissingReference: not there: far/token" in ours.call("far_t")["error"]["message"]
        secret.write_text("Bearer\x01")
        answer = ours.call("far_t")["error"]
        assert "the value of the header Authorization has a control character" in answer["message"]
    assert "Bearer" not in ours.log


def test_a_modern_request_says_in_headers_what_the_specification_wants(tmp_path: Path) -> None:
    with scripted(modern(ok)) as script, in_front_of(tmp_path, script.url) as ours:
        ours.await_ready()
        meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
        params = {"name": "far_t", "arguments": {"zone": "Zürich"}, "_meta": meta}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        sent = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "far_t"}
        assert "result" in ours.post(body, headers={**sent, "Mcp-Param-Zone": "=?base64?WsO8cmljaA==?="}).json()
        found = script.sent("tools/call")[0].headers
        wanted = {
            "mcp-protocol-version": "2026-07-28",
            "mcp-method": "tools/call",
            "mcp-name": "t",
            "mcp-param-zone": "=?base64?WsO8cmljaA==?=",
        }
        assert {name: found[name] for name in wanted} == wanted


@pytest.mark.parametrize("session", ["a b\t{}", "{}" + "x" * 7000])
def test_a_session_id_comes_back_as_it_was_given(tmp_path: Path, session: str) -> None:
    with scripted(legacy(ok, session)) as script, in_front_of(tmp_path, script.url) as ours:
        ours.await_ready()
        assert ours.text("far_t") == "ok"
        assert script.sent("tools/call")[0].headers["mcp-session-id"] == session.format(2)


def test_a_session_id_that_cannot_come_back_is_refused(tmp_path: Path) -> None:
    with scripted(legacy(ok, "\x80é{}")) as script, in_front_of(tmp_path, script.url) as ours:
        until("the reason to be said", lambda: "Mcp-Session-Id has characters" in str(ours.server("far").get("lastError")))
    assert "Traceback" not in ours.log


def test_a_legacy_session_is_kept_named_and_ended(tmp_path: Path) -> None:
    with scripted(legacy(ok)) as script:
        with in_front_of(tmp_path, script.url) as ours:
            ours.await_ready()
            assert [ours.text("far_t") for _ in range(2)] == ["ok", "ok"]
            calls = {one.headers["mcp-session-id"] for one in script.sent("tools/call")}
            assert calls == {"session-2"}  # the first one was for finding out what it offers
            assert {one.headers["mcp-protocol-version"] for one in script.sent("tools/call")} == {"2025-11-25"}
            assert "mcp-protocol-version" not in script.sent("initialize")[0].headers
        deleted = [one.headers["mcp-session-id"] for one in script.seen if one.method == "DELETE"]
        assert sorted(deleted) == ["session-1", "session-2"]


def test_a_forgotten_session_is_begun_anew_and_nobody_notices(tmp_path: Path) -> None:
    def forgetful(handler: Handler, body: dict[str, Any]) -> None:
        if handler.script.seen[-1].headers["mcp-session-id"] == "session-2" and len(handler.script.sent("tools/call")) > 1:
            handler.reply(404)
        else:
            ok(handler, body)

    with scripted(legacy(forgetful)) as script, in_front_of(tmp_path, script.url) as ours:
        ours.await_ready()
        assert [ours.text("far_t") for _ in range(2)] == ["ok", "ok"]
        assert [one.headers["mcp-session-id"] for one in script.sent("tools/call")] == ["session-2", "session-2", "session-3"]


def test_a_stream_that_is_cut_goes_on_where_it_was(tmp_path: Path) -> None:
    def cut(handler: Handler, body: dict[str, Any]) -> None:
        call = handler.script.sent("tools/call")
        if body:
            handler.stream(b"id: e-1\ndata: \n\n")
        elif handler.script.seen[-1].headers.get("last-event-id") == "e-1":
            reply = json.dumps(text(call[0].body, "late"), indent=1).replace("\n", "\ndata: ")
            handler.stream(b"id: e-2\ndata: " + reply.encode() + b"\n\n")
        else:
            handler.reply(405)

    with scripted(legacy(cut)) as script, in_front_of(tmp_path, script.url) as ours:
        ours.await_ready()
        assert ours.text("far_t") == "late"
        assert len(script.sent("tools/call")) == 1


def lines(count: int) -> bytes:
    return b"data: " + b"x" * count + b"\n\n"


@pytest.mark.parametrize(
    ("behave", "reason", "words"),
    [
        (lambda handler, body: handler.reply(401), "AccessDenied", "answers 401: check spec.servers[].headers"),
        (lambda handler, body: handler.reply(403), "AccessDenied", "answers 403"),
        (
            lambda handler, body: handler.reply(307, Location="http://127.0.0.1:1/x?key=secret"),
            "Redirected",
            "to http://127.0.0.1:1/x:",
        ),
        (lambda handler, body: handler.reply(500, b"<html>"), "Unreachable", "answers 500"),
        (lambda handler, body: handler.reply(503), "Unreachable", "answers 503"),
        (lambda handler, body: handler.reply(202), "ProtocolError", "ended its response to tools/call without a reply"),
        (lambda handler, body: handler.reply(200, b"junk"), "ProtocolError", "without a reply"),
        (lambda handler, body: handler.reply(200, {**text(body, "x"), "id": "other"}), "ProtocolError", "without a reply"),
        (lambda handler, body: handler.stream(b"data: {}\n\n"), "ProtocolError", "without a reply"),
        (lambda handler, body: handler.reply(200, b" " * (17 << 20)), "ProtocolError", "a response of over 16777216 bytes"),
        (lambda handler, body: handler.stream(lines(17 << 20)), "ProtocolError", "an event of over 16777216 bytes"),
        (lambda handler, body: handler.hang_up(), "Unreachable", "127.0.0.1"),
    ],
    ids=["401", "403", "redirect", "500", "503", "no reply", "junk", "other id", "cut", "huge", "huge event", "hangs up"],
)
def test_a_server_that_behaves_badly_is_named(
    tmp_path: Path, behave: Callable[[Handler, dict[str, Any]], None], reason: str, words: str
) -> None:
    with scripted(modern(behave)) as script, in_front_of(tmp_path, script.url) as ours:
        ours.await_ready()
        error = ours.call("far_t")["error"]
        assert (error["data"]["server"], error["data"]["reason"]) == ("far", reason)
        assert words in error["message"]
        assert "secret" not in error["message"]
        script.answer = modern(ok)
        assert ours.text("far_t") == "ok"


def test_a_server_that_hangs_is_given_up_and_told_by_closing_the_stream(tmp_path: Path) -> None:
    gone = threading.Event()

    def hang(handler: Handler, body: dict[str, Any]) -> None:
        handler.connection.settimeout(PATIENCE)
        if handler.rfile.read(1) == b"":
            gone.set()
        handler.close_connection = True

    with scripted(modern(hang)) as script, in_front_of(tmp_path, script.url, call_timeout=1.0) as ours:
        ours.await_ready()
        assert ours.call("far_t")["error"]["data"]["reason"] == "Timeout"
        assert gone.wait(PATIENCE)


def test_the_oldest_transport_may_not_send_us_elsewhere(tmp_path: Path) -> None:
    def elsewhere(handler: Handler, body: dict[str, Any]) -> None:
        if handler.command == "GET":
            handler.stream(b"event: endpoint\ndata: http://169.254.169.254/latest\n\n")
        else:
            handler.reply(405)

    with scripted(elsewhere) as script, in_front_of(tmp_path, script.url) as ours:
        ours.await_status("it to be refused", lambda status: status["servers"][0]["state"] == "Failed")
        assert "wants messages sent to another place" in ours.server("far")["lastError"]["message"]


def test_what_is_no_mcp_server_is_said_to_be_none(tmp_path: Path) -> None:
    with scripted(lambda handler, body: handler.reply(404, b"<html>")) as script, in_front_of(tmp_path, script.url) as ours:
        ours.await_status("it to be refused", lambda status: status["servers"][0]["state"] == "Failed")
        assert "is no MCP endpoint: it answers 404" in ours.server("far")["lastError"]["message"]


def test_a_changed_url_or_header_is_used_at_once(tmp_path: Path) -> None:
    with scripted(modern(ok)) as one, scripted(modern(ok)) as two, in_front_of(tmp_path, one.url) as ours:
        ours.await_ready()
        header = gateway_config.Header(name="X-Region", value="eu")
        ours.configure(configuration(gateway_config.Server(name="far", url=two.url, headers=(header,)), folder=tmp_path))
        until("the other server to be asked", lambda: two.sent("tools/list"))
        ours.await_ready()
        assert ours.text("far_t") == "ok"
        assert [one.headers["x-region"] for one in two.sent("tools/call")] == ["eu"]
