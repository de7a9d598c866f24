"""The way back to one caller."""

from __future__ import annotations

import time
from typing import Any, Final

from ..access.audit import Audit, Entry, Outcome
from ..access.sessions import Session
from ..protocol import jsonrpc, translation, versions
from ..protocol.errors import Failure
from ..protocol.exchange import JSON, Exchange, Headers
from ..protocol.versions import Era
from ..runtime.metrics import Metrics
from ..streams.replay import Replay, Stream

_PRIMED: Final = "2025-11-25"  # from this version on clients expect a stream to begin with an event that has only an id
_MAX_TEXT: Final = 512  # characters of what a client chooses that are written to the audit log


class Responder:
    """Answers one request in its caller's era. What it is made with does not change; a stream begins with the first message."""

    def __init__(
        self,
        exchange: Exchange,
        *,
        metrics: Metrics,
        id: bytes,
        era: Era,
        method: str,
        label: str,
        name: str = "",
        principal: str = "",
        audit: Audit | None = None,
        session: Session | None = None,
        replay: Replay | None = None,
    ) -> None:
        """`label` is the method for metrics, `name` that of the tool, prompt or resource as the client knows it."""
        self.exchange: Final = exchange
        self.metrics: Final = metrics
        self.id: Final = id
        self.era: Final = era
        self.method: Final = method
        self.name: Final = name
        self.began: Final = time.perf_counter()
        self._label: Final = label
        self._principal: Final = principal
        self._audit: Final = audit
        self._session: Final = session
        self._replay: Final = replay  # where a legacy session resumes a stream
        self._stream: Stream | None = None

    # --- messages before the answer ---------------------------------------------------------------------------------------

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

    # --- the answer -------------------------------------------------------------------------------------------------------

    def succeed(self, raw: bytes, *, server: str = "") -> None:
        """Answer with a result, already in the caller's era. `server` is the one that it comes from."""
        self._record("ok", server=server)
        self._reply(200, jsonrpc.result(self.id, raw))

    def introduce(self, raw: bytes, headers: Headers) -> None:
        """Answer `initialize` with its result, and the header that names the new session."""
        self._record("ok")
        self.exchange.reply(200, jsonrpc.result(self.id, raw), [*JSON, *headers])

    def relay_error(self, raw: bytes, *, server: str) -> None:
        """Answer with a server's own error object, in the caller's era."""
        error = translation.error_to_client(raw, client=self.era)
        code = jsonrpc.error_code(error)
        self._record("error", code, server=server)
        self._reply(self._status(code), jsonrpc.error(self.id, error))

    def fail(self, code: int, message: str, data: Any = None, *, server: str = "") -> None:
        """Answer with an error of our own."""
        self._record("error", code, server=server)
        self._reply(self._status(code), jsonrpc.failure(self.id, code, message, data))

    def unavailable(self, failure: Failure) -> None:
        """Answer for a server that cannot: the error names it, the cause and the exit code."""
        self.fail(jsonrpc.INTERNAL_ERROR, str(failure), failure.data(), server=failure.server)

    def cancelled(self, *, server: str = "") -> None:
        """The caller wants no answer any more, and the specification forbids one; the HTTP request needs its end."""
        self._record("cancelled", server=server)
        self.exchange.reply(202)

    def _status(self, code: int) -> int:
        return versions.HTTP_STATUS.get(code, 200) if self.era == "modern" else 200

    def _reply(self, status: int, body: bytes) -> None:
        if self._stream is None:
            self.exchange.reply(status, body, JSON)
            return
        event = self._stream.add(jsonrpc.one_line(body))
        self._stream.finish()
        self.exchange.reply(status, body, JSON, event=event)

    def _record(self, outcome: Outcome, code: int = 0, *, server: str = "") -> None:
        """Count the request, and write it to the audit log; that its client is gone changes nothing."""
        self.metrics.count(self._label, outcome)
        if self._audit is not None:
            entry = Entry(
                time=time.time(),
                principal=self._principal,
                session=self._session.id if self._session is not None else "",
                method=self.method[:_MAX_TEXT],
                name=self.name[:_MAX_TEXT],
                server=server,
                outcome=outcome,
                code=code,
                ms=round((time.perf_counter() - self.began) * 1e3, 3),
            )
            self._audit.add(entry)
