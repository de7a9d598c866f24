"""The way back to one caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from . import era as eras
from . import jsonrpc
from .era import Era
from .telemetry import Metrics
from .upstream.errors import UpstreamError

Headers = list[tuple[bytes, bytes]]
JSON: Headers = [(b"content-type", b"application/json")]


class Exchange(Protocol):
    """One HTTP request and the means to answer it once."""

    headers: Headers
    body: bytes
    on_disconnect: Callable[[], None] | None

    def reply(self, status: int, body: bytes = b"", headers: Headers = ...) -> None:
        """Answer; a second answer, or one to a client that is gone, is dropped."""

    def notify(self, message: bytes) -> bool:
        """Send a message before the answer, which makes the response a stream. False: the client does not take it."""


class Answer:
    """The way back to one caller, in its own era."""

    __slots__ = ("era", "exchange", "id", "label", "method", "metrics")

    def __init__(self, exchange: Exchange, *, metrics: Metrics, id: bytes, era: Era, method: str) -> None:
        self.exchange, self.metrics, self.id, self.era, self.method = exchange, metrics, id, era, method
        self.label = method  # for metrics; what a client makes up must not become one

    def succeed(self, raw: bytes) -> None:
        """A result, already in the caller's era."""
        self.metrics.count(self.label, "ok")
        self.exchange.reply(200, jsonrpc.result(self.id, raw), JSON)

    def relay_error(self, raw: bytes) -> None:
        """A server's own error object, in the client's era."""
        self.metrics.count(self.label, "error")
        error = eras.error_to_client(raw, client=self.era)
        status = eras.HTTP_STATUS.get(jsonrpc.error_code(error), 200) if self.era == "modern" else 200
        self.exchange.reply(status, jsonrpc.error(self.id, error), JSON)

    def fail(self, code: int, message: str, data: Any = None) -> None:
        """An error of our own."""
        self.metrics.count(self.label, "error")
        status = eras.HTTP_STATUS.get(code, 200) if self.era == "modern" else 200
        self.exchange.reply(status, jsonrpc.failure(self.id, code, message, data), JSON)

    def unavailable(self, error: UpstreamError) -> None:
        """A server that cannot answer: the error names it, the cause and the exit code."""
        self.fail(jsonrpc.INTERNAL_ERROR, str(error), error.data())
