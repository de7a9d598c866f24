"""Servers of which each client session has a process of its own: what is known, and said, of these processes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.conftest import server
from tests.support.bridges import ECHO, bridge
from tests.support.gateways import Gateway, configuration, gateway
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
