"""Clients that come before their gateway knows its servers: they wait for what they ask for, and for nothing else."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from mcpgateway import config as gateway_config
from tests.gateway.conftest import server
from tests.support.bridges import ECHO, Bridge, bridge, until
from tests.support.edges import RawConnection
from tests.support.gateways import MODERN, TOKEN, Gateway, configuration, gateway
from tests.support.locks import free_port
from tests.support.metrics import samples
from tests.support.waiting import PATIENCE


@contextlib.contextmanager
def stopped(running: Bridge) -> Iterator[None]:
    """A bridge that is about to answer, and then does."""
    running.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        running.process.send_signal(signal.SIGCONT)


@pytest.fixture
def legacy(bridge_program: Path, tmp_path: Path) -> Iterator[Bridge]:
    with bridge(bridge_program, tmp_path, *ECHO, "legacy") as running:
        yield running


@pytest.fixture
def modern(bridge_program: Path, tmp_path: Path) -> Iterator[Bridge]:
    with bridge(bridge_program, tmp_path, *ECHO, "modern") as running:
        yield running


def count(running: Gateway, method: str, outcome: str) -> float:
    text = httpx2.get(f"http://127.0.0.1:{running.internal}/metrics").text
    return samples(text).get(f'mcpgateway_requests_total{{method="{method}",outcome="{outcome}"}}', 0.0)


def ask(running: Gateway, method: str, headers: dict[str, str], *, id: int = 1, **params: Any) -> httpx2.Response:
    return running.post({"jsonrpc": "2.0", "id": id, "method": method, "params": params}, headers=headers)


def test_introductions_and_lists_are_of_all_servers(legacy: Bridge, tmp_path: Path) -> None:
    introduction: dict[str, Any] = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    }
    with contextlib.ExitStack() as stack:
        with stopped(legacy):
            running = stack.enter_context(
                gateway(tmp_path, configuration(server("s", legacy), folder=tmp_path, startup_timeout=PATIENCE))
            )
            pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor())
            opened = pool.submit(ask, running, "initialize", {}, **introduction)
            discovered = pool.submit(running.modern, "server/discover")
            tools = pool.submit(running.modern, "tools/list")
            prompts = pool.submit(running.modern, "prompts/list")
            assert running.server("s")["state"] == "Connecting"
        for answer in (opened, discovered):
            assert {"tools", "prompts", "resources"} <= answer.result().json()["result"]["capabilities"].keys()
        assert "s_pid" in {tool["name"] for tool in tools.result().json()["result"]["tools"]}
        assert prompts.result().json()["result"]["prompts"]


def test_while_servers_start_lists_get_a_stream_and_initialize_its_header(legacy: Bridge, tmp_path: Path) -> None:
    params: dict[str, Any] = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    meta = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
    common = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json, text/event-stream"}
    headers = {**common, "MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/list"}
    asked = {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {"_meta": meta}}
    with contextlib.ExitStack() as stack:
        with stopped(legacy):
            config = configuration(server("s", legacy), folder=tmp_path, startup_timeout=PATIENCE)
            running = stack.enter_context(gateway(tmp_path, config))
            opening = stack.enter_context(RawConnection(running.port, timeout=PATIENCE))
            body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}).encode()
            fields = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "localhost", **common}.items())
            head = f"POST /mcp HTTP/1.1\r\n{fields}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            opening.send(head.encode() + body)
            listing = stack.enter_context(httpx2.stream("POST", running.url, json=asked, headers=headers, timeout=PATIENCE))
            lines = listing.iter_lines()
            assert next(lines) == ": keep-alive"
        status, answered = opening.head()
        assert (status, answered["content-type"], "mcp-session-id" in answered) == (200, "application/json", True)
        data = next(line for line in lines if line.startswith("data: "))
        assert "s_pid" in {tool["name"] for tool in json.loads(data.removeprefix("data: "))["result"]["tools"]}


def test_a_session_goes_on_at_a_gateway_that_does_not_know_its_server_yet(legacy: Bridge, tmp_path: Path) -> None:
    config = configuration(server("s", legacy), folder=tmp_path, startup_timeout=PATIENCE)
    with gateway(tmp_path, config) as first:
        headers = first.session()
        assert "result" in ask(first, "tools/call", headers, name="s_count", arguments={}).json()
    with contextlib.ExitStack() as stack:
        with stopped(legacy):
            second = stack.enter_context(gateway(tmp_path, config))
            pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor())
            called = pool.submit(ask, second, "tools/call", headers, id=2, name="s_count", arguments={})
            read = pool.submit(ask, second, "resources/read", headers, id=3, uri="memo://legacy/all")
            done = pool.submit(ask, second, "tools/call", headers, id=4, name="absent", arguments={})
            until("them to be there", lambda: _connections(second.port) == 3)
        assert called.result().json()["result"]["content"][0]["text"] == "2"
        assert read.result().json()["result"]["contents"][0]["text"] == "text of memo://legacy/all"
        assert done.result().json()["error"]["message"] == "unknown tool: 'absent'"


def test_a_server_that_is_not_there_keeps_absent_from_the_others(modern: Bridge, tmp_path: Path) -> None:
    """What the others have is served as soon as they are known; a list waits a while for the one that is missing."""
    missing = gateway_config.Server(name="missing", addresses=(f"127.0.0.1:{free_port()}",))
    with gateway(tmp_path, configuration(server("s", modern), missing, folder=tmp_path)) as running:
        with concurrent.futures.ThreadPoolExecutor() as pool:
            listed = pool.submit(running.modern, "tools/list")
            assert running.text("s_pid").isdecimal()
            assert count(running, "tools/list", "ok") == 0
            assert "s_pid" in {tool["name"] for tool in listed.result().json()["result"]["tools"]}
        assert running.server("missing")["state"] == "Failed"
        assert running.call("missing_pid")["error"]["message"] == "unknown tool: 'missing_pid'"


def test_what_is_cancelled_meanwhile_is_not_begun(legacy: Bridge, tmp_path: Path) -> None:
    config = configuration(server("s", legacy), folder=tmp_path, startup_timeout=PATIENCE)
    with gateway(tmp_path, config) as first:
        headers = first.session()
        pid = ask(first, "tools/call", headers, name="s_pid", arguments={}).json()["result"]["content"][0]["text"]
    with contextlib.ExitStack() as stack:
        with stopped(legacy):
            second = stack.enter_context(gateway(tmp_path, config))
            pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor())
            called = pool.submit(ask, second, "tools/call", headers, id=2, name="s_die", arguments={})

            def cancelled() -> bool:
                """Whoever is not there yet cannot be cancelled: so it is said until it has been heard."""
                body = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2}}
                assert second.post(body, headers=headers).status_code == 202
                return count(second, "tools/call", "cancelled") == 1

            until("it to be cancelled", cancelled)
            assert called.result().status_code == 202
        assert ask(second, "tools/call", headers, id=3, name="s_pid", arguments={}).json()["result"]["content"][0]["text"] == pid


def test_whose_client_goes_meanwhile_is_not_begun(modern: Bridge, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        with stopped(modern):
            running = stack.enter_context(
                gateway(tmp_path, configuration(server("s", modern), folder=tmp_path, startup_timeout=PATIENCE))
            )
            body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": _stamped(name="s_kill")}).encode()
            head = (
                f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
                "Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\n"
                f"Mcp-Name: s_kill\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            with socket.create_connection(("127.0.0.1", running.port)) as client:
                client.sendall(head.encode() + body)
            until("it to be forgotten", lambda: count(running, "tools/call", "cancelled") == 1)
        assert running.text("s_pid").isdecimal()
        assert running.server("s").get("restarts", 0) == 0


def test_the_old_transport_waits_too(legacy: Bridge, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        with stopped(legacy):
            running = stack.enter_context(
                gateway(tmp_path, configuration(server("s", legacy), folder=tmp_path, startup_timeout=PATIENCE))
            )
            base = running.url.removesuffix("/mcp")
            bearer = {"Authorization": f"Bearer {TOKEN}"}
            stream = stack.enter_context(httpx2.stream("GET", f"{base}/sse", headers=bearer, timeout=PATIENCE))
            lines = stream.iter_lines()
            where = next(line for line in lines if line.startswith("data:")).removeprefix("data:").strip()
            params = {"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
            body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
            assert httpx2.post(base + where, json=body, headers=bearer).status_code == 202
        said = json.loads(next(line for line in lines if line.startswith("data:")).removeprefix("data:"))
        assert "prompts" in said["result"]["capabilities"]


def test_a_gateway_that_ends_in_these_moments_answers_what_it_has_let_in(legacy: Bridge, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        with stopped(legacy):
            running = stack.enter_context(
                gateway(tmp_path, configuration(server("s", legacy), folder=tmp_path, startup_timeout=PATIENCE))
            )
            pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor())
            called = pool.submit(running.call, "s_pid")
            until("it to be there", lambda: _connections(running.port) == 1)
            running.process.terminate()
            running.await_status("it to drain", lambda status: status["draining"])
        assert "result" in called.result()
        assert running.process.wait(timeout=PATIENCE) == 0


def _stamped(**params: Any) -> dict[str, Any]:
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
    return {**params, "arguments": {}, "_meta": meta}


def _connections(port: int) -> int:
    """Established connections to a port of the loopback."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "01" for row in rows)
