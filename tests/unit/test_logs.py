"""Logs show hidden characters of what servers send."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mcpgateway.runtime.logs import MAX_TEXT

PROGRAM = """
import structlog
from mcpgateway.protocol.visible_text import visible
from mcpgateway.runtime.logs import set_up_logging
set_up_logging(json={json}, visible=visible)
log = structlog.get_logger()
try:
    raise ValueError("in\\x1b[2Ja traceback")
except ValueError:
    log.exception("said \\x1b[31m", error="a\\u202eb", count=7)
"""
LIBRARY = """
import logging
from mcpgateway.protocol.visible_text import visible
from mcpgateway.runtime.logs import MAX_TEXT, set_up_logging
set_up_logging(json=True, visible=visible)
try:
    raise ValueError("in\\x1b[2Ja traceback")
except ValueError:
    logging.getLogger("library").exception("said \\u202e")
logging.getLogger("library").error("y" * (MAX_TEXT + 100))
"""


@pytest.mark.parametrize("json", [True, False])
def test_hidden_characters_of_values_and_tracebacks_are_shown(json: bool) -> None:
    command = [sys.executable, "-c", PROGRAM.format(json=json)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    for shown in ("said <U+001B>[31m", "a<U+202E>b", "in<U+001B>[2Ja traceback", "7"):
        assert shown in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_what_libraries_log_is_shown_and_cut_too() -> None:
    text = subprocess.run([sys.executable, "-c", LIBRARY], capture_output=True, text=True, check=True).stderr
    assert "ERROR library: said <U+202E>" in text
    assert "in<U+001B>[2Ja traceback" in text
    assert "\x1b" not in text
    assert MAX_TEXT - 100 < text.count("y") < MAX_TEXT + 50
    assert "…" in text
