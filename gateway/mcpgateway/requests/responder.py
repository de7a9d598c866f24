"""The way back to one caller."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ..access.audit import Audit, Entry, Outcome
from ..access.sessions import Session
from ..protocol import jsonrpc, translation, versions
from ..protocol.errors import Failure
from ..protocol.versions import Era
from ..runtime.metrics import Metrics
from ..streams.replay import Replay, Stream

Headers = list[tuple[bytes, bytes]]  # of a response
RequestHeaders = Mapping[bytes, bytes]  # by lower-case name; one that is repeated is joined by a comma
_PRIMED = "2025-11-25"  # from this version on clients expect a stream to begin with an event that has only an id
_MAX_WORDS = 512  # characters of what a client makes up that are written down
JSON: Headers = [(b"content-type", b"application/json")]


class Exchange(Protocol):
    """One HTTP request and the means to answer it once."""

    headers: RequestHeaders
    body: bytes
    on_disconnect: Callable[[], None] | None

    @property
    def takes_streams(self) -> bool:
        """Whether its client reads streams of events."""

    @property
    def offered(self) -> tuple[str, ...]:
        """The legacy versions that `initialize` may agree on over this transport."""

    def reply(self, status: int, body: bytes = b"", headers: Headers = ..., *, event: str = "") -> None:
        """Answer; a second answer, or one to a client that is gone, is dropped. `event` is the id of its event in a stream."""

    def notify(self, message: bytes, event: str = "") -> bool:
        """Send a message before the answer, which makes the response a stream. False: the client does not take it.

        An empty message is an event with nothing but its id.
        """


class Responder:
    """The way back to one caller, in its own era."""

    # what holds for most requests is said once, for the class
    name = ""  # of what is asked for, as the client knows it
    server = ""  # who has it
    _stream: Stream | None = None

    def __init__(
        self,
        exchange: Exchange,
        *,
        metrics: Metrics,
        id: bytes,
        era: Era,
        method: str,
        principal: str = "",
        audit: Audit | None = None,
        session: Session | None = None,
        replay: Replay | None = None,
    ) -> None:
        self.exchange, self.metrics, self.id, self.era, self.method = exchange, metrics, id, era, method
        self.label = method  # for metrics; what a client makes up must not become one
        self.began = time.perf_counter()
        self._principal, self._audit = principal, audit
        self._session, self._replay = session, replay  # where a legacy session can come back for what it has missed

    def notify(self, message: bytes) -> bool:
        """Send the caller a message before the answer. False: it does not take one."""
        if self._session is None or self._replay is None:
            return self.exchange.notify(message)
        if self._stream is None:
            if not self.exchange.takes_streams:
                return False
            self._stream = self._replay.open(self._session.id)
            if self._session.version >= _PRIMED:
                self.exchange.notify(b"", self._stream.event_id(0))
        self.exchange.notify(message, self._stream.add(message))
        return True

    def _reply(self, status: int, body: bytes) -> None:
        if self._stream is None:
            self.exchange.reply(status, body, JSON)
            return
        event = self._stream.add(jsonrpc.one_line(body))
        self._stream.finish()
        self.exchange.reply(status, body, JSON, event=event)

    def over(self, outcome: Outcome, code: int = 0) -> None:
        """Count it, and write down who asked for what; a client that is gone gets no answer, but is counted, too."""
        self.metrics.count(self.label, outcome)
        if self._audit is not None:
            entry = Entry(
                time=time.time(),
                principal=self._principal,
                session=self._session.id if self._session is not None else "",
                method=self.method[:_MAX_WORDS],
                name=self.name[:_MAX_WORDS],
                server=self.server,
                outcome=outcome,
                code=code,
                ms=round((time.perf_counter() - self.began) * 1e3, 3),
            )
            self._audit.add(entry)

    def succeed(self, raw: bytes) -> None:
        """A result, already in the caller's era."""
        self.over("ok")
        self._reply(200, jsonrpc.result(self.id, raw))

    def relay_error(self, raw: bytes) -> None:
        """A server's own error object, in the client's era."""
        error = translation.error_to_client(raw, client=self.era)
        code = jsonrpc.error_code(error)
        self.over("error", code)
        status = versions.HTTP_STATUS.get(code, 200) if self.era == "modern" else 200
        self._reply(status, jsonrpc.error(self.id, error))

    def fail(self, code: int, message: str, data: Any = None) -> None:
        """An error of our own."""
        self.over("error", code)
        status = versions.HTTP_STATUS.get(code, 200) if self.era == "modern" else 200
        self._reply(status, jsonrpc.failure(self.id, code, message, data))

    def unavailable(self, failure: Failure) -> None:
        """A server that cannot answer: the error names it, the cause and the exit code."""
        self.fail(jsonrpc.INTERNAL_ERROR, str(failure), failure.data())
