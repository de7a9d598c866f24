"""One request on its way to a server, and the way back to its caller."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from msgspec import UNSET, Raw

from . import era as eras
from . import jsonrpc
from .era import Era
from .jsonrpc import Envelope
from .telemetry import Metrics
from .upstream.backend import Backend, Caller
from .upstream.connection import Connection, Outcome
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

    __slots__ = ("era", "exchange", "id", "method", "metrics")

    def __init__(self, exchange: Exchange, *, metrics: Metrics, id: bytes, era: Era, method: str) -> None:
        self.exchange, self.metrics, self.id, self.era, self.method = exchange, metrics, id, era, method

    def succeed(self, raw: bytes) -> None:
        self.metrics.requests.labels(self.method, "ok").inc()
        self.exchange.reply(200, jsonrpc.result(self.id, raw), JSON)

    def relay_error(self, raw: bytes) -> None:
        """A server's own error object, in the client's era."""
        self.metrics.requests.labels(self.method, "error").inc()
        self.exchange.reply(200, jsonrpc.error(self.id, eras.error_to_client(raw, client=self.era)), JSON)

    def fail(self, code: int, message: str, data: Any = None) -> None:
        self.metrics.requests.labels(self.method, "error").inc()
        status = eras.HTTP_STATUS.get(code, 200) if self.era == "modern" else 200
        self.exchange.reply(status, jsonrpc.failure(self.id, code, message, data), JSON)

    def unavailable(self, error: UpstreamError) -> None:
        """A server that cannot answer: the error names it, the cause and the exit code."""
        self.fail(jsonrpc.INTERNAL_ERROR, str(error), error.data())


class Registry(dict[tuple[str, bytes], "Call"]):
    """The calls on their way, by session and id."""

    def latest(self, key: str, connection: Connection) -> Call | None:
        """The session's newest call on a connection."""
        mine = (call for (owner, _), call in reversed(self.items()) if owner == key and call.uses(connection))
        return next(mine, None)


class Talk(Protocol):
    """What a call needs of its client's other messages."""

    calls: Registry

    def ask(self, call: Call, method: str, params: bytes, on_answer: Callable[[Envelope], None]) -> bool:
        """Ask the call's client something. False: it cannot be asked."""


_MAX_ROUNDS = 10  # of questions that one call of a legacy client may cost
_CLIENT_PATIENCE = 600.0  # seconds that a call waits for a person, in place of its own limit


class Call:
    """A request on its way: it ends by a reply, a loss, its deadline, or the caller's going."""

    __slots__ = (
        "_answer",
        "_backend",
        "_began",
        "_caller",
        "_connection",
        "_done",
        "_id",
        "_method",
        "_params",
        "_rounds",
        "_talk",
        "_task",
        "_timer",
        "_token",
    )

    def __init__(self, answer: Answer, backend: Backend, *, caller: Caller, talk: Talk, began: float) -> None:
        self._answer, self._backend, self._caller, self._began = answer, backend, caller, began
        self._talk = talk
        self._method = ""
        self._params: dict[str, Raw] = {}  # as they go to the server
        self._rounds = 0
        self._connection: Connection | None = None
        self._id = ""
        self._token: bytes | None = None  # the client's progress token
        self._task: asyncio.Task[None] | None = None
        self._done = False
        self._timer = self._deadline(backend.server.call_timeout)

    @property
    def key(self) -> str:
        """The session that it belongs to, or the principal without one."""
        return self._caller.key

    @property
    def server(self) -> str:
        """The server that it is for."""
        return self._backend.server.name

    def _deadline(self, seconds: float) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, self._expire, seconds)

    def uses(self, connection: Connection) -> bool:
        """Whether it is on its way over this connection."""
        return self._connection is connection

    def notify(self, message: bytes) -> bool:
        """Send the caller a message before the answer. False: it does not take one."""
        return not self._done and self._answer.exchange.notify(message)

    def await_client(self) -> None:
        """The server waits for the caller now: people take longer than servers."""
        self._timer.cancel()
        self._timer = self._deadline(_CLIENT_PATIENCE)

    def go_on(self) -> None:
        """The caller has answered."""
        if not self._done:
            self._timer.cancel()
            self._timer = self._deadline(self._backend.server.call_timeout)

    def start(self, method: str, params: dict[str, Raw], *, gateway: str) -> None:
        """Send it as soon as there is a connection. `params` are the client's, with the server's own names in them."""
        self._talk.calls[self.key, self._answer.id] = self
        if self._answer.era == "modern":  # a legacy client's going is not a cancellation
            self._answer.exchange.on_disconnect = self.cancel
        connection = self._backend.ready_connection()
        if connection is not None:
            self._send(connection, method, params, gateway)
        else:
            self._task = asyncio.get_running_loop().create_task(self._send_later(method, params, gateway))

    async def _send_later(self, method: str, params: dict[str, Raw], gateway: str) -> None:
        try:
            connection = await self._backend.connection(self._caller)
        except UpstreamError as error:
            if self._finish():
                self._answer.unavailable(error)
            return
        if not self._done:
            self._send(connection, method, params, gateway)

    def _send(self, connection: Connection, method: str, params: dict[str, Raw], gateway: str) -> None:
        self._connection = connection
        self._method = method
        capabilities = self._caller.capabilities
        self._params = eras.to_server(params, upstream=self._backend.era, gateway=gateway, capabilities=capabilities)
        self._token = eras.progress_token(self._params)
        self._transmit(connection, self._params)

    def _transmit(self, connection: Connection, params: dict[str, Raw]) -> None:
        id = self._id = connection.reserve()
        on_progress = None
        if self._token is not None:
            params = eras.with_progress_token(params, jsonrpc.dump(id))
            on_progress = self._on_progress
        connection.send(self._method, jsonrpc.dump(params), self._on_reply, id=id, on_progress=on_progress)

    def _on_progress(self, params: Raw) -> None:
        """A server's progress, under the token that the client gave."""
        if self._done or self._token is None:
            return
        fields = {**jsonrpc.members(params), "progressToken": Raw(self._token)}
        self.notify(jsonrpc.notification("notifications/progress", jsonrpc.dump(fields)))

    def _on_reply(self, outcome: Outcome, value: Raw | UpstreamError) -> None:
        if self._done or (outcome == "result" and isinstance(value, Raw) and self._needs_input(value)):
            return
        self._finish()
        if isinstance(value, UpstreamError):
            self._answer.unavailable(value)
        elif outcome == "result":
            answer = self._answer
            cacheable = answer.method in eras.CACHEABLE
            answer.succeed(eras.to_client(bytes(value), client=answer.era, upstream=self._backend.era, cacheable=cacheable))
        else:
            self._answer.relay_error(bytes(value))

    # --- a modern server's questions to a legacy client -------------------------------------------------------------------

    def _needs_input(self, value: Raw) -> bool:
        """Whether a result is a question. A legacy client is asked, and the request sent again with its answers.

        Source: MCP specification 2026-07-28, "Multi Round-Trip Requests".
        """
        if self._answer.era == "modern" or self._backend.era == "legacy" or b"input_required" not in bytes(value):
            return False
        try:
            fields = jsonrpc.members(value)
        except jsonrpc.ProtocolError:
            return False
        if jsonrpc.text(fields.get("resultType", UNSET)) != "input_required":
            return False
        self._rounds += 1
        try:
            questions = jsonrpc.members(fields.get("inputRequests", UNSET))
            if self._rounds > _MAX_ROUNDS:
                raise jsonrpc.ProtocolError(jsonrpc.INTERNAL_ERROR, f"the server asked more than {_MAX_ROUNDS} times")
            Questions(self, questions, fields.get("requestState")).ask(self._talk)
        except jsonrpc.ProtocolError as error:
            self.give_up(error)
        return True

    def give_up(self, error: jsonrpc.ProtocolError) -> None:
        """End without the server's answer."""
        if self._finish():
            self._answer.fail(error.code, f"server {self.server!r}: {error.message}", error.data)

    def send_again(self, answers: dict[str, Raw], state: Raw | None) -> None:
        """The same request with what the server wanted."""
        if self._done or self._connection is None:
            return
        params = {key: value for key, value in self._params.items() if key not in ("inputResponses", "requestState")}
        if answers:
            params["inputResponses"] = Raw(jsonrpc.dump(answers))
        if state is not None:
            params["requestState"] = state
        self._transmit(self._connection, params)

    def _expire(self, timeout: float) -> None:
        if self._finish():
            self._cancel_upstream("timed out")
            error = UpstreamError(self._backend.server.name, "Timeout", f"no answer within {timeout:g} s")
            self._answer.unavailable(error)

    def cancel(self) -> None:
        """The caller wants no answer any more; the specification forbids one."""
        if self._finish():
            self._cancel_upstream("cancelled by the client")
            self._answer.exchange.reply(202)

    def _cancel_upstream(self, reason: str) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._connection is not None:
            self._connection.notify("notifications/cancelled", jsonrpc.dump({"requestId": self._id, "reason": reason}))
            self._connection.forget(self._id)

    def _finish(self) -> bool:
        """Whether this is the first ending."""
        if self._done:
            return False
        self._done = True
        self._timer.cancel()
        if self._talk.calls.get((self.key, self._answer.id)) is self:
            del self._talk.calls[self.key, self._answer.id]
        self._answer.metrics.calls.labels(self.server).observe(time.perf_counter() - self._began)
        return True


class Questions:
    """One round of a modern server's questions, each asked as a legacy server would have."""

    def __init__(self, call: Call, questions: dict[str, Raw], state: Raw | None) -> None:
        self._call, self._questions, self._state = call, questions, state
        self._answers: dict[str, Raw] = {}

    def ask(self, talk: Talk) -> None:
        """Ask all of them at once. Raises: ProtocolError if the client cannot be asked."""
        if not self._questions:
            self._call.send_again({}, self._state)
        for key, raw in self._questions.items():
            fields = jsonrpc.members(raw)
            method = jsonrpc.text(fields.get("method", UNSET)) or ""
            params = eras.question_to_legacy(method, fields.get("params", Raw(b"{}")), id=key)
            if not talk.ask(self._call, method, params, partial(self._on_answer, key)):
                raise jsonrpc.ProtocolError(jsonrpc.INTERNAL_ERROR, f"{method}: the client has no stream open to be asked on")

    def _on_answer(self, key: str, envelope: Envelope) -> None:
        if envelope.result is UNSET:
            detail = jsonrpc.text(jsonrpc.members(envelope.error).get("message", UNSET))
            self._call.give_up(jsonrpc.ProtocolError(jsonrpc.INTERNAL_ERROR, f"the client refused to answer: {detail}"))
            return
        self._answers[key] = envelope.result
        if len(self._answers) == len(self._questions):
            self._call.send_again(self._answers, self._state)
