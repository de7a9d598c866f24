"""The screens in docs/cli.md are what the commands print of recorded gateways."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from mcpgateway_operator.cli import app
from mcpgateway_operator.cli.output.screen import Screen
from mcpgateway_operator.cli.output.tables import table
from mcpgateway_operator.cli.output.text import age, suggestion, visible
from mcpgateway_operator.cli.target.model import Reference
from mcpgateway_operator.cli.verbs.diagnosis import Evidence, findings, steps
from mcpgateway_operator.cli.verbs.samples import parse
from mcpgateway_operator.cli.verbs.status import status_lines
from mcpgateway_operator.cli.verbs.top import Reading, reading, top_lines
from tests.support.paths import ROOT

DOCUMENT = (ROOT / "docs" / "cli.md").read_text()
NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
SINCE = "2026-11-28T11:55:00Z"
TITLE = "quickstart (namespace default, context kind)"
PLACE = {"kubectl": "kubectl -n default", "mcpgw": "-g quickstart -n default"}
ERROR = {"reason": "Exited", "message": "its process ended, exit code 1: KeyError: 'API_KEY'"}
RESOURCE: dict[str, Any] = {
    "metadata": {"name": "quickstart"},
    "spec": {"servers": [{"name": "time"}, {"name": "search"}]},
    "status": {
        "url": "http://quickstart.default.svc:8811/mcp",
        "readyServers": "1/2",
        "toolCount": 2,
        "conditions": [
            {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": SINCE}
            for kind, status, reason, message in (
                ("Accepted", "True", "Valid", "the spec is valid"),
                ("ResolvedRefs", "True", "Resolved", "all referenced Secrets and ConfigMaps exist"),
                ("Programmed", "True", "Programmed", "all objects are up to date"),
                ("Ready", "False", "ServerNotReady", "server search is Failed"),
            )
        ],
        "servers": [
            {"name": "time", "state": "Ready", "tools": 2, "processes": 1, "protocolVersion": "2026-07-28"},
            {"name": "search", "state": "Failed", "restarts": 4, "failedStarts": 4, "lastError": ERROR},
        ],
    },
}
METRICS = """\
mcpgateway_requests_total{method="tools/call",outcome="ok"} %(ok)d
mcpgateway_requests_total{method="tools/call",outcome="error"} 3
mcpgateway_sessions 5
mcpgateway_connections 7
mcpgateway_calls_in_flight 1
mcpgateway_call_duration_seconds_bucket{le="0.005",server="time"} %(quick)d
mcpgateway_call_duration_seconds_bucket{le="0.05",server="time"} %(ok)d
mcpgateway_call_duration_seconds_bucket{le="+Inf",server="time"} %(ok)d
mcpgateway_call_duration_seconds_count{server="time"} %(ok)d
mcpgateway_call_duration_seconds_sum{server="time"} %(sum)f
"""


def documented(lines: Iterable[str]) -> None:
    """Fail unless the document has exactly these lines in a block."""
    text = "\n".join(line.rstrip() for line in lines)
    assert text in DOCUMENT, f"docs/cli.md lacks:\n{text}"


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    monkeypatch.setenv("NO_COLOR", "1")
    return Screen("text")


def test_status(screen: Screen) -> None:
    documented(status_lines(RESOURCE, TITLE, screen, now=NOW))


def test_top() -> None:
    before = reading(parse(METRICS % {"ok": 100, "quick": 90, "sum": 1.0}), at=10.0)
    now = reading(parse(METRICS % {"ok": 140, "quick": 120, "sum": 1.4}), at=12.0)
    documented(top_lines(RESOURCE["status"]["servers"], now, before))


def test_top_before_any_call() -> None:
    nothing = Reading(0.0, {}, {}, {"sessions": 0})
    assert list(top_lines([{"name": "a", "state": "Ready"}], nothing, nothing))[-1].split()[:7] == ["a", "Ready", "0", *["-"] * 4]


def test_doctor() -> None:
    exits = {"search": {"code": 1, "stderr": ["Traceback (most recent call last):", "KeyError: 'API_KEY'"]}}
    evidence = Evidence(RESOURCE, PLACE, exits=exits)
    rows = [({"good": "ok", "bad": "BAD", "doubtful": "?"}[step.state], step.subject, step.words) for step in steps(evidence)]
    cause = findings(evidence)[0]
    documented([*table(("", "EXAMINED", "FOUND"), rows), "", cause.sentence, f"  {cause.command}"])


def test_doctor_on_a_missing_secret() -> None:
    cause = findings(Evidence(RESOURCE, PLACE, absent=(Reference("Secret", "mcp-token", "token"),)))[0]
    documented([cause.sentence, f"  {cause.command}"])


def test_every_command_is_in_the_document() -> None:
    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback is not None}
    commands |= {group.name for group in app.registered_groups if isinstance(group.name, str)}
    assert {name for name in commands if f"`{name}" not in DOCUMENT} <= {"version"}


def test_every_exit_code_is_in_the_document() -> None:
    from mcpgateway_operator.cli import bad_input

    codes = {
        kind.exit_code
        for kind in vars(bad_input).values()
        if isinstance(kind, type) and issubclass(kind, bad_input.BadInputError)
    }
    documented_codes = {int(code) for code in re.findall(r"^\| (\d+) \|", DOCUMENT, re.MULTILINE)}
    assert codes | {0, 2, 130} == documented_codes


def test_a_table_is_cut_on_a_terminal_alone() -> None:
    assert list(table(("A", "B"), [("x", "long words")], width=8)) == ["A  B", "x  long…"]
    assert list(table(("A", "B"), [("x", "long words")])) == ["A  B", "x  long words"]


def test_a_server_cannot_rewrite_the_terminal() -> None:
    assert visible("a\x1b[2Jb\n\x9b1m\u202e") == "a\\x1b[2Jb\n\\x9b1m\\x202e"


@pytest.mark.parametrize(("seconds", "text"), [(5, "5s"), (119, "119s"), (120, "2m"), (7200, "2h"), (200000, "2d"), (-5, "0s")])
def test_ages(seconds: int, text: str) -> None:
    since = datetime.fromtimestamp(NOW.timestamp() - seconds, UTC).isoformat()
    assert age(since, now=NOW) == text
    assert age("never", now=NOW) == ""


def test_suggestions() -> None:
    assert suggestion("tme", ["time", "search"]) == "did you mean 'time'?"
    assert suggestion("zzz", ["time"]) == "there is 'time'"
    assert suggestion("zzz", []) == "there is none"
