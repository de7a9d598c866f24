"""Logs: JSON lines or text on standard error."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog


def set_up_logging(*, json: bool, visible: Callable[[str], str]) -> None:
    """JSON lines for programs, text for terminals; libraries log warnings and errors only.

    `visible` is applied to each text: what a server sends may be a part of it, and terminals act on control characters.
    """

    def show_hidden_characters(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {key: visible(value) if isinstance(value, str) else value for key, value in event.items()}

    renderer = structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            show_hidden_characters,
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
