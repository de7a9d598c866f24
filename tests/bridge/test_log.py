"""What a server writes to stderr cannot control the terminal that shows the container's log."""

from __future__ import annotations

import sys

import pytest

from tests.bridge.conftest import CAT, DIRECT, Start
from tests.support.bridges import until

SEQUENCES = {
    "colour": (b"\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
    "clear screen": (b"\x1b[2J\x1b[H", r"\x1b[2J\x1b[H"),
    "window title": (b"\x1b]0;title\x07", r"\x1b]0;title\a"),
    "hyperlink": (b"\x1b]8;;http://x\x1b\\text\x1b]8;;\x1b\\", r"\x1b]8;;http://x\x1b\text\x1b]8;;\x1b" + "\\"),
    "8-bit CSI": (b"\xc2\x9b2J", r"\u009b2J"),
    "carriage return": (b"real\r[mcp-bridge] forged", r"real\r[mcp-bridge] forged"),
    "backspace": (b"ab\b\bcd", r"ab\b\bcd"),
    "bidirectional": ("a\u202eb".encode(), r"a\u202eb"),
    "not UTF-8": (b"\xff\xfe", r"\xff\xfe"),
    "text": ("tab\tü € 漢 \\n".encode(), "tab\tü € 漢 \\n"),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_control_sequences_of_stderr_are_escaped_in_the_log_and_the_report(start: Start, name: str) -> None:
    written, shown = SEQUENCES[name]
    program = f"import os; os.write(2, {written!r} + b'\\n'); input()"
    running = start(sys.executable, "-c", program)
    with running.connect(DIRECT) as client:
        client.control()
        until("the line", lambda: f"] {shown}\n" in running.log.read_text(errors="surrogateescape"))
        client.send(b"{}")
        assert client.control()["exit"]["stderr"] == [shown]
    assert b"\x1b" not in running.log.read_bytes()


def test_control_sequences_of_stdout_junk_and_of_the_command_are_escaped(start: Start) -> None:
    running = start(*CAT, "\x1b[31mnone")
    with running.connect({"mode": "attach", "session": "s"}) as client:
        client.control()
        until("the report", lambda: "none" in running.log.read_text())
    junk = start(sys.executable, "-c", r"print('\x1b[2Jjunk\r', flush=True); input()")
    with junk.connect({"mode": "attach", "session": "s"}) as client:
        client.control()
        until("the line", lambda: r"\x1b[2Jjunk\r" in junk.log.read_text())
    assert b"\x1b" not in running.log.read_bytes() + junk.log.read_bytes()
