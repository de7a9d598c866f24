"""Standard output and standard error of a command: people read tables and colours, programs documents."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from typing import Any, Literal

Format = Literal["text", "json", "yaml"]
_COLOURS = {"good": "32", "bad": "31", "doubtful": "33", "dim": "2", "strong": "1"}
_HOME = "\x1b[H\x1b[2J"  # ANSI X3.64: cursor to the upper left corner, and erase the display


def on_terminal(stream: Any) -> bool:
    """Whether colours and redrawing make sense. Source: https://no-color.org."""
    return bool(stream.isatty()) and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


class Screen:
    """Where one command writes."""

    def __init__(self, output: Format) -> None:
        self.format = output
        self._colours = on_terminal(sys.stdout)

    @property
    def for_people(self) -> bool:
        """Whether the output is text."""
        return self.format == "text"

    @property
    def width(self) -> int:
        """Columns of the terminal; 0 where the output goes elsewhere, and is not to be cut."""
        return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0

    def paint(self, text: str, colour: str) -> str:
        """Coloured text: good, bad, doubtful, dim or strong."""
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if self._colours and colour else text

    def lines(self, lines: Iterable[str]) -> None:
        """Print lines."""
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()

    def redraw(self, lines: Iterable[str]) -> None:
        """Print lines in place of those before, on a terminal; elsewhere below them."""
        self.lines([f"{_HOME}{line}" if number == 0 and self._colours else line for number, line in enumerate(lines)])

    def document(self, content: Any) -> None:
        """Print a document: JSON in one line a document, so that a watch is JSON Lines; or YAML."""
        if self.format == "yaml":
            import yaml

            sys.stdout.write(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, explicit_start=True))
        else:
            sys.stdout.write(json.dumps(content) + "\n")
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """One line beside the output."""
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    @contextlib.contextmanager
    def progress(self, text: str) -> Iterator[None]:
        """Say what takes time, while it takes time, on a terminal."""
        if not on_terminal(sys.stderr):
            yield
            return
        sys.stderr.write(f"\x1b[2m{text} …\x1b[0m")
        sys.stderr.flush()
        try:
            yield
        finally:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
