"""Servers of which each client session has a process of its own: what is known, and said, of these processes."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from mcpgateway.upstream.lost_state import MAX_LOSSES, LostState
from tests.gateway.conftest import server
from tests.support.bridges import ECHO, bridge, until
from tests.support.gateways import TOKEN, Gateway, configuration, gateway
from tests.support.locks import free_port
from tests.support.memory_groups import made
from tests.support.paths import ROOT

# Starts the server in argv unless the file in argv[1] is there; then it fails as in argv[2].
FAILS_LATER = """
import os, sys, time
if os.path.exists(sys.argv[1]):
    if sys.argv[2] == "exits":
        sys.exit("no licence is left")
    time.sleep(3600)
os.execv(sys.executable, [sys.executable, *sys.argv[3:]])
"""


def called(ours: Gateway, session: dict[str, str], tool: str, **arguments: Any) -> dict[str, Any]:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
    answer: dict[str, Any] = ours.post(body, headers=session).json()
    return answer


def text(ours: Gateway, session: dict[str, str], tool: str, **arguments: Any) -> str:
    answer = called(ours, session, tool, **arguments)
    assert "result" in answer, answer
    return str(answer["result"]["content"][0]["text"])


def rows(ours: Gateway) -> dict[str, Any]:
    return {row["name"]: row for row in ours.status()["servers"]}


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_a_server_that_starts_once_and_never_again_is_not_ready_until_it_starts(
    bridge_program: Path, tmp_path: Path, era: str
) -> None:
    broken = tmp_path / "broken"
    command = (sys.executable, "-c", FAILS_LATER, str(broken), "exits", str(ROOT / ECHO[1]), era)
    with bridge(bridge_program, tmp_path, *command) as running:
        config = configuration(server("s", running, isolation="Session"), folder=tmp_path)
        with gateway(tmp_path, config) as ours:
            ours.await_ready()
            old, new = ours.session(), ours.session()
            assert text(ours, old, "s_count") == "1"
            broken.touch()
            error = called(ours, new, "s_count")["error"]
            assert error["data"]["server"] == "s"
            assert "no licence is left" in error["message"]
            row = ours.await_status("the server to be degraded", lambda _: rows(ours)["s"]["state"] == "Degraded")["servers"][0]
            assert row["failedStarts"] >= 1
            assert row["lastError"]["reason"] in ("Exited", "CrashLoopBackOff")
            assert "no licence is left" in row["lastError"]["message"]
            assert row["tools"] > 0  # for those that are served
            assert text(ours, old, "s_count") == "2"
            broken.unlink()
            ours.await_ready()  # without any client's call
            assert text(ours, new, "s_count") == "1"


def test_what_one_client_does_makes_no_server_degraded(bridge_program: Path, tmp_path: Path) -> None:
    with (
        bridge(bridge_program, tmp_path, *ECHO, "legacy") as running,
        gateway(tmp_path, configuration(server("s", running), folder=tmp_path)) as ours,
    ):
        ours.await_ready()
        for _ in range(3):
            assert called(ours, ours.session(), "s_die")["error"]["data"]["exitCode"] == 7
            assert rows(ours)["s"]["state"] == "Ready"
        ours.await_status("the crashes to be counted", lambda _: rows(ours)["s"].get("restarts") == 3)
        assert rows(ours)["s"]["state"] == "Ready"


# --- a process that ends, and what it kept ------------------------------------------------------------------------------------


def lost(answer: dict[str, Any]) -> str:
    """The words of the error that tells of lost state."""
    assert answer["error"]["data"]["reason"] == "StateLost", answer
    return str(answer["error"]["message"])


def killed(ours: Gateway, session: dict[str, str]) -> None:
    """Kill the session's process between two calls, and wait until that is known."""
    restarts = rows(ours)["s"].get("restarts", 0)
    os.kill(int(text(ours, session, "s_pid")), signal.SIGKILL)
    ours.await_status("the end to be known", lambda _: rows(ours)["s"].get("restarts", 0) > restarts)


@pytest.fixture
def world(bridge_program: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Gateway]:
    """A gateway in front of a server with a process for each session; the parameter has its other settings."""
    with (
        bridge(bridge_program, tmp_path, *ECHO, "legacy") as running,
        gateway(tmp_path, configuration(server("s", running, **getattr(request, "param", {})), folder=tmp_path)) as ours,
    ):
        ours.await_ready()
        yield ours


def settings(**more: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("world", [more], indirect=True, ids=[" ".join(more)])


def test_the_end_of_a_process_between_calls_is_told_once(world: Gateway) -> None:
    session, other = world.session(), world.session()
    assert [text(world, one, "s_count") for one in (session, session, other)] == ["1", "2", "1"]
    killed(world, session)
    answer = called(world, session, "s_count")
    assert "killed by SIGKILL" in lost(answer)
    assert answer["error"]["data"]["exitCode"] == 137
    assert text(world, session, "s_count") == "1"
    assert text(world, other, "s_count") == "2"


def test_the_end_of_an_identitys_process_is_told_to_its_modern_client(bridge_program: Path, tmp_path: Path) -> None:
    with (
        bridge(bridge_program, tmp_path, *ECHO, "legacy") as running,
        gateway(tmp_path, configuration(server("s", running), folder=tmp_path)) as ours,
    ):
        ours.await_ready()
        assert ours.text("s_count") == "1"
        os.kill(int(ours.text("s_pid")), signal.SIGKILL)
        ours.await_status("the end to be known", lambda _: rows(ours)["s"].get("restarts", 0) > 0)
        assert "killed by SIGKILL" in lost(ours.call("s_count"))
        assert ours.text("s_count") == "1"


def test_a_call_that_fails_with_its_process_is_told_and_the_next_is_not(world: Gateway) -> None:
    session = world.session()
    assert text(world, session, "s_count") == "1"
    assert called(world, session, "s_kill")["error"]["data"]["reason"] == "Exited"
    assert text(world, session, "s_count") == "1"


def test_a_reading_call_is_not_repeated_where_state_was_lost(world: Gateway, tmp_path: Path) -> None:
    session = world.session()
    assert text(world, session, "s_count") == "1"
    assert "exit code 7" in lost(called(world, session, "s_flaky", file=str(tmp_path / "flaky")))
    assert text(world, session, "s_count") == "1"


def test_a_process_that_has_served_nothing_is_replaced_without_a_word(world: Gateway, tmp_path: Path) -> None:
    assert "result" in called(world, world.session(), "s_flaky", file=str(tmp_path / "flaky"))


@settings(stateless=True)
def test_the_process_of_a_stateless_server_is_replaced_without_a_word(world: Gateway) -> None:
    session = world.session()
    assert text(world, session, "s_count") == "1"
    killed(world, session)
    assert text(world, session, "s_count") == "1"


def test_a_rollout_of_a_server_is_told_once(bridge_program: Path, tmp_path: Path) -> None:
    port = free_port()
    with (
        bridge(bridge_program, tmp_path, *ECHO, "legacy", port=port) as running,
        gateway(tmp_path, configuration(server("s", running), folder=tmp_path)) as ours,
    ):
        ours.await_ready()
        session = ours.session()
        assert text(ours, session, "s_count") == "1"
        running.stop()
        ours.await_status("the server to be away", lambda _: rows(ours)["s"]["state"] != "Ready")
        with bridge(bridge_program, tmp_path, *ECHO, "legacy", port=port):
            ours.await_ready()
            lost(called(ours, session, "s_count"))
            assert text(ours, session, "s_count") == "1"


def test_losses_are_bounded() -> None:
    losses = LostState("s")
    for number in range(MAX_LOSSES + 1):
        losses.note(str(number), "a test")
    assert losses.take("0") is None
    assert "a test" in str(losses.take("1"))
    assert losses.take("1") is None


# --- more clients than places -------------------------------------------------------------------------------------------------


@settings(max_processes=2)
def test_the_session_that_was_not_used_for_the_longest_time_gives_way(world: Gateway) -> None:
    first, second, third = (world.session() for _ in range(3))
    assert [text(world, one, "s_count") for one in (first, second, first, third)] == ["1", "1", "2", "1"]
    assert text(world, first, "s_count") == "3"
    assert "gave way to another client's" in lost(called(world, second, "s_count"))


@settings(max_processes=1)
def test_a_client_that_reads_a_stream_keeps_its_place_and_others_are_told_at_once(world: Gateway) -> None:
    reading, other = world.session(), world.session()
    headers = {**reading, "Authorization": f"Bearer {TOKEN}", "Accept": "text/event-stream"}
    with httpx2.stream("GET", world.url, headers=headers, timeout=60) as stream:
        assert stream.status_code == 200
        assert text(world, reading, "s_count") == "1"
        error = called(world, other, "s_count")["error"]
        assert error["data"]["reason"] == "Overloaded"
        assert "all 1 places are taken (servers[].maxProcesses)" in error["message"]
        assert text(world, reading, "s_count") == "2"
    until("the stream to be closed", lambda: "result" in called(world, other, "s_count"))


def test_sessions_give_way_where_memory_is_short_and_the_status_says_what_to_change(bridge_program: Path, tmp_path: Path) -> None:
    """Eight sessions of over 60 MiB each, in 256 MiB."""
    large = "import runpy, sys; data = b'x' * (50 << 20); sys.argv[0:1] = []; runpy.run_path(sys.argv[0], run_name='__main__')"
    command = (sys.executable, "-c", large, ECHO[1], "legacy")
    with (
        made() as group,
        bridge(bridge_program, tmp_path, *command, wrapper=group.wrapper(256 << 20)) as running,
        gateway(tmp_path, configuration(server("s", running, max_processes=16), folder=tmp_path)) as ours,
    ):
        ours.await_ready()
        sessions = [ours.session() for _ in range(8)]
        assert [text(ours, session, "s_count") for session in sessions] == ["1"] * 8
        assert "gave way to another client's" in lost(called(ours, sessions[0], "s_count"))
        assert text(ours, sessions[7], "s_count") == "2"
        row = ours.await_status("the warning", lambda _: rows(ours)["s"].get("lastError"))["servers"][0]
        assert (row["state"], row["lastError"]["reason"], row.get("restarts", 0)) == ("Ready", "MemoryShort", 0)
        assert re.search(r"its memory limit, 256Mi, has room for about [34] processes", row["lastError"]["message"])


@settings(idle_timeout=0.2)
def test_a_process_that_ends_because_it_was_idle_is_told(world: Gateway) -> None:
    session = world.session()
    assert text(world, session, "s_count") == "1"
    process = Path("/proc", text(world, session, "s_pid"))
    until("the idle process to end", lambda: not process.exists())
    assert "not used for 0.2 s" in lost(called(world, session, "s_count"))
