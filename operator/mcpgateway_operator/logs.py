"""Logs: one JSON object a line on standard error, whoever writes it."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

_SHARED = (structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso"))


class _Lines(structlog.stdlib.ProcessorFormatter):
    """kopf logs the error that ends it with a traceback through its own code: its type and message are enough."""

    def __init__(self) -> None:
        super().__init__(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *_SHARED],
            processors=[
                _short_error,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )


def _short_error(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    error = event.pop("exc_info", None)
    if error:
        event["error"] = f"{error[0].__name__}: {error[1]}"
    return event


def set_up_logging() -> None:
    """Of libraries only warnings and errors: kopf logs every call of a handler."""
    structlog.configure(
        processors=[*_SHARED, structlog.processors.format_exc_info, structlog.processors.JSONRenderer()],
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(_Lines())
    logging.basicConfig(level=logging.WARNING, handlers=[lines])
    logging.captureWarnings(True)
    # kopf's watches cause this, with a traceback, when they are cancelled in the middle of a long list; there is nothing to do.
    closing = "an error occurred during closing of asynchronous generator"
    logging.getLogger("asyncio").addFilter(lambda record: not record.getMessage().startswith(closing))
