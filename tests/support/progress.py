"""Progress of long preparations on stderr: a line when a step begins, ends, and between; in place on a terminal."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import ClassVar

_START = time.monotonic()
_INTERVAL = 15.0  # seconds between two lines about the same step; on a terminal it is one line, and each second


def say(text: str) -> None:
    """One line, with the time since this program began."""
    sys.stderr.write(f"{_in_place()}[test-cluster {clock(time.monotonic() - _START)}] {text}\n")
    sys.stderr.flush()


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _in_place() -> str:
    return "\r\x1b[K" if sys.stderr.isatty() else ""


class Step:
    """What takes its time: announced, repeated with `detail` while it lasts, and closed with its duration.

    Of nested steps the innermost is repeated.
    """

    _open: ClassVar[list[Step]] = []

    def __init__(self, what: str) -> None:
        self.what = what
        self.detail = ""
        self._began = time.monotonic()
        self._ended = threading.Event()
        self._repeating = threading.Thread(target=self._repeat, daemon=True)

    def __enter__(self) -> Step:
        say(self.what)
        self._open.append(self)
        self._repeating.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._repeating.join()
        self._open.remove(self)
        say(f"{self._line()}{', failed' if kind is not None else ', done'}")

    def _line(self) -> str:
        return ", ".join(filter(None, (f"{self.what}: {clock(time.monotonic() - self._began)}", self.detail)))

    def _repeat(self) -> None:
        terminal = sys.stderr.isatty()
        while not self._ended.wait(1.0 if terminal else _INTERVAL):
            if self._open[-1:] != [self]:
                continue
            if terminal:
                sys.stderr.write(f"{_in_place()}{self._line()}")
                sys.stderr.flush()
            else:
                say(self._line())
