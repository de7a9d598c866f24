"""Clients that send any JSON in any member of any message: each gets the right error, and the next one is served as before."""

from __future__ import annotations

import base64
import http.client
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mcpgateway.protocol import request_meta
from tests.gateway.conftest import server
from tests.support.bridges import bridge
from tests.support.gateways import MODERN, TOKEN, Gateway, configuration, gateway
from tests.support.paths import ROOT
from tests.support.waiting import PATIENCE

TOLERANT: Final = (sys.executable, str(ROOT / "tests/support/servers/tolerant.py"))
MARK: Final = "\u2603 the member that is replaced"
META: Final = {
    request_meta.VERSION_KEY: MODERN,
    request_meta.CAPABILITIES_KEY: {"elicitation": {"form": {}}, "extensions": {"io.modelcontextprotocol/tasks": {}}},
    request_meta.CLIENT_INFO_KEY: {"name": "t", "version": "1"},
    request_meta.LOG_LEVEL_KEY: "debug",
    "progressToken": 7,
}
# Texts that decoders stumble over: numbers out of range, long ones, unpaired surrogates, deep nesting, the wrong type.
ODD: Final = (
    "null",
    "true",
    "[]",
    "{}",
    '""',
    "[null]",
    "1e999",
    "-1e999",
    "1.7976931348623159e308",
    "9" * 5000,
    f'"{"9" * 5000}"',
    '"\\ud83d"',
    '{"\\ud83d":1}',
    '"\\u0000"',
    '"javascript:alert(1)"',
    "[" * 400 + "]" * 400,
    '{"a":' * 400 + "1" + "}" * 400,
    '{"a":1,"a":2}',
    '{"_meta":null}',
    '"' + "x" * 20_000 + '"',
    '"tools.1."',
    f'"tools.{"1" * 5000}.0"',
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
).map(json.dumps)
VALUES = st.sampled_from(ODD) | JSON


def requests(era: str) -> dict[str, dict[str, Any]]:
    """The params of all requests of one era."""
    own: dict[str, dict[str, Any]] = {
        "tools/list": {"cursor": None},
        "prompts/list": {},
        "resources/list": {},
        "resources/templates/list": {},
        "tools/call": {"name": "old_echo", "arguments": {"a": {"b": 1}}, "inputResponses": {}, "requestState": "x"},
        "prompts/get": {"name": "new_greet", "arguments": {"whom": "x"}},
        "resources/read": {"uri": "memo://legacy/all"},
        "completion/complete": {
            "ref": {"type": "ref/prompt", "name": "new_greet"},
            "argument": {"name": "a", "value": "b"},
            "context": {"arguments": {}},
        },
    }
    if era == "modern":
        listen = {"notifications": {"toolsListChanged": True, "resourceSubscriptions": ["memo://modern/all"]}}
        tasks: dict[str, dict[str, Any]] = {f"tasks/{verb}": {"taskId": "x"} for verb in ("get", "update", "cancel")}
        own |= {"server/discover": {}, "subscriptions/listen": listen, **tasks}
        return {method: {**params, "_meta": META} for method, params in own.items()}
    introduction = {"protocolVersion": "2025-11-25", "capabilities": {"roots": {}}, "clientInfo": {"name": "t", "version": "1"}}
    own |= {
        "initialize": introduction,
        "ping": {},
        "logging/setLevel": {"level": "debug"},
        "resources/subscribe": {"uri": "memo://legacy/all"},
        "resources/unsubscribe": {"uri": "memo://legacy/all"},
    }
    own["tools/call"] = {"name": "old_echo", "arguments": {"a": 1}}
    return {method: {**params, "_meta": {"progressToken": 7}} for method, params in own.items()}


def messages(era: str) -> list[dict[str, Any]]:
    """One valid message of each kind that a client may send."""
    sent = [{"jsonrpc": "2.0", "id": 1, "method": method, "params": params} for method, params in requests(era).items()]
    told: list[dict[str, Any]] = [
        {"method": "notifications/initialized"},
        {"method": "notifications/cancelled", "params": {"requestId": 1, "reason": "x"}},
        {"method": "notifications/roots/list_changed", "params": {}},
        {"method": "notifications/progress", "params": {"progressToken": 1, "progress": 1}},
        {"id": "old-1", "result": {"action": "accept"}},
        {"id": "old-1", "error": {"code": -1, "message": "no"}},
    ]
    return [*sent, *({"jsonrpc": "2.0", **message} for message in told)]


def members(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The paths of all members of an object."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield (*path, name)
            yield from members(member, (*path, name))


def replaced(value: Any, path: tuple[str, ...]) -> Any:
    """The same with a mark in place of one member."""
    return {**value, path[0]: replaced(value[path[0]], path[1:])} if path else MARK


@st.composite
def odd_messages(draw: st.DrawFn, era: str) -> tuple[dict[str, Any], tuple[str, ...], str]:
    """A message, the member of it that is replaced, and the JSON text in its place."""
    message = draw(st.sampled_from(messages(era)))
    return message, draw(st.sampled_from(list(members(message)))), draw(VALUES)


@dataclass
class Peer:
    """A client that sends what it is given, over one connection for as long as that lasts."""

    gateway: Gateway
    session: dict[str, str]
    connection: http.client.HTTPConnection | None = None

    def send(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        """Status and body; of a stream its first event."""
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=PATIENCE)
        fixed = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        self.connection.request("POST", "/mcp", body, {**fixed, "Authorization": f"Bearer {TOKEN}", **headers})
        response = self.connection.getresponse()
        if (response.getheader("content-type") or "").startswith("text/event-stream"):
            data = b""
            while not data.startswith(b"data: "):
                data = response.readline()
            response.close()
            self.close()
            return response.status, data[6:]
        return response.status, response.read()

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def send_odd(self, era: str, message: dict[str, Any], path: tuple[str, ...], text: str) -> tuple[int, bytes]:
        body = json.dumps(replaced(message, path)).replace(json.dumps(MARK), text).encode()
        if era == "legacy":
            return self.send(body, self.session)
        try:
            sent = json.loads(body)
        except (ValueError, RecursionError):
            sent = message
        return self.send(body, self.headers(sent if isinstance(sent, dict) else message))

    def headers(self, message: dict[str, Any]) -> dict[str, str]:
        """The headers that a modern message wants, as far as they can be made of it."""
        params = message.get("params")
        found = params if isinstance(params, dict) else {}
        name = next((found[key] for key in ("name", "uri", "taskId") if isinstance(found.get(key), str)), None)
        method = message.get("method")
        headers = {"MCP-Protocol-Version": MODERN}
        if isinstance(method, str):
            headers["Mcp-Method"] = header(method)
        if name is not None:
            headers["Mcp-Name"] = header(name)
        return headers

    def assert_served(self) -> None:
        """Calls in both eras are answered."""
        call = {"jsonrpc": "2.0", "id": "honest", "method": "tools/call", "params": {"name": "new_echo", "arguments": {}}}
        assert b"answered" in self.send(json.dumps(call).encode(), self.session)[1]
        params: Any = {"name": "old_echo", "arguments": {}, "_meta": {key: META[key] for key in list(META)[:2]}}
        modern = {**call, "params": params}
        assert b"answered" in self.send(json.dumps(modern).encode(), self.headers(modern))[1]


def header(text: str) -> str:
    """A header's value (MCP specification 2026-07-28, "Streamable HTTP")."""
    if text.isascii() and text.isprintable() and text.strip() == text and not text.startswith("=?") and len(text) < 1000:
        return text
    encoded = text.encode("utf-8", "surrogatepass")[:8000]
    return f"=?base64?{base64.b64encode(encoded).decode()}?="


@pytest.fixture(scope="module")
def peer(bridge_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    folder = tmp_path_factory.mktemp("odd")
    with bridge(bridge_program, folder, *TOLERANT, "modern") as modern, bridge(bridge_program, folder, *TOLERANT) as legacy:
        with gateway(folder, configuration(server("new", modern), server("old", legacy), folder=folder)) as running:
            running.await_ready()
            peer = Peer(running, running.session())
            yield peer
            peer.close()
        assert "Traceback" not in running.log
        assert "internal error" not in running.log


def check(peer: Peer, era: str, message: dict[str, Any], path: tuple[str, ...], text: str) -> None:
    status, body = peer.send_odd(era, message, path, text)
    assert status in (200, 202, 400, 404), (status, body[:300])
    if status == 202:
        assert body == b""
    else:
        answer = json.loads(body, parse_int=lambda digits: int(digits) if len(digits) < 4000 else digits)  # an id may be long
        assert answer["jsonrpc"] == "2.0"
        assert answer.keys() & {"result", "method"} or isinstance(answer["error"]["code"], int)
        if path != ("id",) and valid(text) and "method" in message and "id" in message and "method" not in answer:
            assert answer["id"] == message["id"], answer
    peer.assert_served()


def valid(text: str) -> bool:
    """Whether the gateway has to understand a message with this text in it: then its answer has the message's id."""
    return text not in ('"\\ud83d"', '{"\\ud83d":1}')


LEGACY_EXAMPLES: Final = (
    ("notifications/cancelled", ("params",), "[]"),
    ("initialize", ("params", "capabilities"), '{"elicitation":{"x":1e999}}'),
    ("tools/list", ("params", "cursor"), f'"tools.{"1" * 5000}.0"'),
)


@pytest.mark.parametrize(("method", "path", "text"), LEGACY_EXAMPLES)
def test_odd_params_are_the_error_of_their_message(peer: Peer, method: str, path: tuple[str, ...], text: str) -> None:
    message = next(message for message in messages("legacy") if message.get("method") == method)
    check(peer, "legacy", message, path, text)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(odd=odd_messages("legacy"))
def test_any_json_in_any_member_of_a_legacy_message(peer: Peer, odd: tuple[dict[str, Any], tuple[str, ...], str]) -> None:
    check(peer, "legacy", *odd)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(odd=odd_messages("modern"))
@example(odd=(messages("modern")[0], ("params", "_meta", request_meta.CAPABILITIES_KEY), '{"elicitation":{"x":1e999}}'))
def test_any_json_in_any_member_of_a_modern_message(peer: Peer, odd: tuple[dict[str, Any], tuple[str, ...], str]) -> None:
    check(peer, "modern", *odd)
