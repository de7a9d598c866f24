"""Logs: JSON lines or text on standard error."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, Final

import structlog

MAX_TEXT: Final = 64 << 10  # characters of one text in the log


def set_up_logging(*, json: bool, visible: Callable[[str], str]) -> None:
    """JSON lines for programs, text for terminals; libraries log warnings and errors only.

    `visible` is applied to each text, and it is cut at MAX_TEXT: what a server sends may be a part of it, and terminals act on
    control characters.
    """

    def shown(text: str) -> str:
        return visible(text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "…")

    def show_texts(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {key: shown(value) if isinstance(value, str) else value for key, value in event.items()}

    renderer = structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            show_texts,
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(shown))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


class _Formatter(logging.Formatter):
    """The lines of libraries, tracebacks included."""

    def __init__(self, shown: Callable[[str], str]) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")
        self._shown = shown

    def format(self, record: logging.LogRecord) -> str:
        return self._shown(super().format(record))
