"""Text that a server or client has written is visible and bounded in every message of ours: errors, lastError, the report."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mcpgateway.edge.internal import MAX_HIDDEN, Report, ServerStatus, failed_status, named_hidden
from mcpgateway.protocol import jsonrpc
from mcpgateway.protocol.errors import Exit, Failure, Reason, exited, invalid_entry
from mcpgateway.protocol.visible_text import MAX_MESSAGE, message_text, visible

LARGEST_REPORT = 1 << 20  # bytes that the operator reads
HIDDEN = ["\x00", "\x1b[31m", "\r", "\u202e", "\u2066", "\u2028", "\U000e0041", "\x9b", "\ud83d", "€", "\n"]
TEXT = st.text(st.characters() | st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"]), max_size=200) | st.builds(
    lambda part, times: part * times, st.sampled_from(HIDDEN), st.integers(0, 5000)
)


def assert_shown(text: str) -> None:
    assert visible(text) == text
    assert len(text) <= MAX_MESSAGE
    text.encode()  # no surrogate


@settings(deadline=None)
@given(TEXT)
@example("\u202e" * 5000)
@example("x" * MAX_MESSAGE)
@example("x" * (MAX_MESSAGE + 1))
def test_a_failure_shows_what_a_server_has_written(text: str) -> None:
    process = exited("s", Exit(code=1, stderr=("first", text)))
    for failure in (Failure("s", Reason.PROTOCOL_ERROR, f"it refused initialize: {text}"), process, invalid_entry("s", text)):
        assert_shown(failure.message)
        row = failed_status(failure)
        assert row.last_error == {"reason": failure.reason.value, "message": failure.message}


@settings(deadline=None)
@given(TEXT)
def test_an_error_response_of_ours_shows_what_a_peer_has_written(text: str) -> None:
    answer = json.loads(jsonrpc.failure(b"1", -32603, text))
    assert_shown(answer["error"]["message"])


@given(st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=MAX_MESSAGE))
def test_a_text_without_hidden_characters_within_the_bound_stays(text: str) -> None:
    assert message_text(text) == text


@settings(deadline=None)
@given(TEXT.map(lambda text: text.encode(errors="replace").decode()))
@example("\U000e0041" * 5000)
def test_the_report_of_64_servers_is_within_what_the_operator_reads(text: str) -> None:
    rows: list[ServerStatus] = [failed_status(Failure(f"server-{number}", Reason.EXITED, text * 100)) for number in range(64)]
    hidden = named_hidden([f"server/{text}"] * 5000)
    assert len(hidden) == MAX_HIDDEN
    for name in hidden:
        assert_shown(name)
    report: Any = Report(config="c", ready=True, draining=False, tool_count=0, servers=tuple(rows), hidden_tools=hidden)
    assert len(msgspec.json.encode(report)) < LARGEST_REPORT
