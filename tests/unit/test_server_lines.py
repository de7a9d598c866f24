"""What `mcpgw up` shows of servers: news, and nothing twice."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mcpgateway_operator.cli.show import ServerLines, settled


def row(state: str, reason: str = "", message: str = "", *, name: str = "a") -> dict[str, Any]:
    error = {"reason": reason, "message": message} if reason else None
    return {"name": name, "state": state, "tools": 1, "protocolVersion": "2026-07-28", "isolation": "Shared", "lastError": error}


def shown(rows: list[dict[str, Any]], *, step: float = 1.0) -> list[str]:
    lines = ServerLines()
    return [line for number, item in enumerate(rows) for _, line in lines.lines([item], now=number * step)]


def test_a_server_that_fails_again_and_again_is_shown_once_for_each_cause() -> None:
    turn = [row("Failed", "Exited", "exit code 1 after 0.3 s"), row("Failed", "CrashLoop", "3 starts failed"), row("Connecting")]
    later = [row("Failed", "Exited", "exit code 1 after 0.4 s"), row("Failed", "CrashLoop", "17 starts failed")]
    assert shown([*turn, *later] * 50) == ["Failed: Exited: exit code 1 after 0.3 s", "Failed: CrashLoop: 3 starts failed"]


def test_a_server_that_comes_and_goes_is_shown_until_it_is_clear_that_it_flaps() -> None:
    lines = shown([row("Ready"), row("Restarting", "Exited", "exit code 1")] * 100)
    assert len(lines) == 6
    assert "it changes again and again" in lines[-1]


def test_a_server_that_is_calm_again_is_shown_again() -> None:
    lines = ServerLines()
    for number in range(100):
        list(lines.lines([row("Ready"), row("Failed", "Exited", "x")], now=float(number)))
    (line,) = [line for _, line in lines.lines([row("Ready")], now=1000.0)]
    assert line.startswith("ready: 1 tools")


STATES = st.sampled_from(["Ready", "Failed", "Restarting", "Connecting"])
rows = st.builds(row, STATES, st.sampled_from(["", "Exited"]), st.text("ab1 ", max_size=3))


@given(st.lists(rows, max_size=60))
def test_no_sequence_of_states_fills_the_screen(changes: list[dict[str, Any]]) -> None:
    assert len(shown(changes)) <= 6


def test_a_start_that_goes_on_is_not_settled() -> None:
    assert not settled(row("Connecting"))
    assert not settled(row("Failed", "Unreachable", "no bridge"))
    assert settled(row("Failed", "MissingReference", "x"))
    assert settled(row("Ready"))
