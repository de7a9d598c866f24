"""How long a session lives, and how many there may be."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
from msgspec import structs

from mcpgateway import config as gateway_config
from tests.gateway.conftest import server
from tests.support.bridges import ECHO, bridge, until
from tests.support.gateways import TOKEN, Gateway, configuration, gateway
from tests.support.waiting import PATIENCE

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}


@contextlib.contextmanager
def world(program: Path, folder: Path, **more: Any) -> Iterator[Gateway]:
    """A gateway in front of a legacy server, with a process for each session."""
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(bridge(program, folder, *ECHO, "legacy"))
        ours = stack.enter_context(gateway(folder, configuration(server("s", running), folder=folder, **more)))
        ours.await_ready()
        yield ours


def count(ours: Gateway, session: dict[str, str]) -> httpx2.Response:
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "s_count", "arguments": {}}}
    return ours.post(call, headers=session)


def metrics(ours: Gateway) -> str:
    return httpx2.get(f"http://127.0.0.1:{ours.internal}/metrics").text


def test_a_session_that_nobody_uses_ends_with_its_process(bridge_program: Path, tmp_path: Path) -> None:
    with world(bridge_program, tmp_path, session_idle_timeout=1.0) as ours:
        session = ours.session()
        assert count(ours, session).status_code == 200
        ours.await_status("its process to be seen", lambda status: status["servers"][0].get("processes") == 1)
        ours.await_status("its process to be ended", lambda status: status["servers"][0].get("processes", 0) == 0)
        until("the end of its session", lambda: "mcpgateway_sessions 0.0" in metrics(ours))
        gone = ours.post(PING, headers=session)
        assert gone.status_code == 404
        assert "send initialize again" in gone.json()["error"]["message"]


def test_an_open_stream_and_a_call_on_its_way_are_use(bridge_program: Path, tmp_path: Path) -> None:
    with world(bridge_program, tmp_path, session_idle_timeout=2.0) as ours:
        reading, calling, quiet = ours.session(), ours.session(), ours.session()
        headers = {**reading, "Authorization": f"Bearer {TOKEN}", "Accept": "text/event-stream"}
        slow = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "s_slow", "arguments": {"seconds": 4}}}
        with httpx2.stream("GET", ours.url, headers=headers, timeout=PATIENCE) as stream:
            assert stream.status_code == 200
            assert ours.post(slow, headers=calling).status_code == 200
            assert ours.post(PING, headers=reading).status_code == 200
        assert ours.post(PING, headers=calling).status_code == 200
        assert ours.post(PING, headers=quiet).status_code == 404, "a session of which nothing was heard all the time"


def test_sessions_are_bounded_and_there_is_room_again(bridge_program: Path, tmp_path: Path) -> None:
    with world(bridge_program, tmp_path, max_sessions=2) as ours:
        first, second = ours.session(), ours.session()
        refused = ours.post(INITIALIZE)
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "30"
        assert "spec.limits.maxSessions" in refused.json()["error"]["message"]
        assert "mcpgateway_sessions 2.0" in metrics(ours)
        assert ours.modern("tools/list").status_code == 200, "who needs no session is served"
        assert ours.post(PING, headers=second).status_code == 200
        httpx2.delete(ours.url, headers={**first, "Authorization": f"Bearer {TOKEN}"})
        assert ours.post(INITIALIZE).status_code == 200


def test_both_change_while_the_gateway_runs(bridge_program: Path, tmp_path: Path) -> None:
    with world(bridge_program, tmp_path, max_sessions=1) as ours:
        ours.session()
        assert ours.post(INITIALIZE).status_code == 503
        config = gateway_config.read_config(ours.folder / "config.json").config
        ours.configure(structs.replace(config, max_sessions=2, session_idle_timeout=2.0))
        until("more room", lambda: ours.post(INITIALIZE).status_code == 200)
        until("the end of what is idle", lambda: "mcpgateway_sessions 0.0" in metrics(ours))
