"""Where an exception that nothing expected ends: at the edge of the one request, callback or deadline that it came by.

The owner of a boundary catches `Exception`, reports it here, and gives the affected peer its error; all other work goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog

log: Final = structlog.get_logger()


class Boundaries:
    """Writes a log line with the traceback, and counts, an exception that has been caught at a boundary."""

    def __init__(self, on_caught: Callable[[str], None] = lambda boundary: None) -> None:
        self._on_caught = on_caught

    def report(self, boundary: str, error: Exception, **context: str) -> None:
        """Report an exception that was caught at a `boundary`; `context` says of what, for example the server or the method."""
        self._on_caught(boundary)
        log.error("internal error", boundary=boundary, exc_info=error, **context)
