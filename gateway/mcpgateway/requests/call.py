"""One request on its way to a server, and the way back to its caller."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw

from ..catalog.model import Item
from ..protocol import jsonrpc, request_meta, translation
from ..protocol.decoder import Decoder
from ..protocol.errors import Failure, Reason, UpstreamError
from ..protocol.jsonrpc import Envelope, ProtocolError
from ..runtime.deadlines import Deadlines
from ..upstream.backend import Backend
from ..upstream.connection import Connection, Outcome
from .caller import Request
from .input_required import PATIENCE, InputRequiredStore, Question
from .multi_round_trip import MultiRoundTrip
from .responder import Responder
from .tasks import Tasks, with_task_id

_LOST_IN_FLIGHT: Final = frozenset({Reason.EXITED, Reason.UNREACHABLE, Reason.DRAINING})


class ActiveCalls(dict[tuple[str, bytes], "Call"]):
    """The calls on their way, by session and id."""

    def on(self, connection: Connection) -> Iterator[Call]:
        """All calls on a connection, the newest first."""
        return (call for call in reversed(self.values()) if call.connection is connection)

    def latest(self, connection: Connection) -> Call | None:
        """The newest call on a connection."""
        return next(self.on(connection), None)


@dataclass(frozen=True, slots=True)
class CallServices:
    """What all calls of a gateway share."""

    gateway: str
    calls: ActiveCalls
    input_required: InputRequiredStore
    deadlines: Deadlines
    tasks: Tasks
    level: Callable[[str], bytes | None]  # the params of a session's last logging/setLevel
    ask: Callable[[Call, str, bytes, Callable[[Envelope], None]], bool]  # a legacy client; False: it cannot be asked


class Call:
    """A request on its way: it ends by a reply, a loss, its deadline, or the caller's going."""

    # what holds for most calls is said once, for the class
    connection: Connection | None = None
    level = -1  # index of the log level that the caller wants, where it says so with each request
    _params: dict[str, Raw]  # the client's, with the server's own names in them
    _sent: dict[str, Raw]  # in the server's era
    _binding = ""
    _rounds: MultiRoundTrip | None = None
    _asked = 0  # questions so far: an answered one's number is not given again
    _questions: Mapping[str, Question] = MappingProxyType({})  # a legacy server's, that its modern client has not answered
    _parked_as = ""
    _late: tuple[Outcome, Raw | Failure] | None = None  # came while the call was parked
    _id = ""
    _token: bytes | None = None  # the client's progress token
    _registered: tuple[str, bytes]
    _task: asyncio.Task[None] | None = None
    _done = _retried = False

    def __init__(
        self, request: Request, backend: Backend, *, services: CallServices, item: Item | None = None, task: str = ""
    ) -> None:
        self._answer, self._caller, self._meta = request.answer, request.caller, request.meta
        self._backend, self._services, self._item = backend, services, item
        self._about = task  # the name of the task that the request is about
        self._answer.server = self.server
        self._patience = backend.server.call_timeout
        self._deadline = services.deadlines.add(self, self._patience)

    @property
    def key(self) -> str:
        """The session that it belongs to, or the identity without one."""
        return self._caller.key

    @property
    def server(self) -> str:
        """The server that it is for."""
        return self._backend.server.name

    @property
    def modern(self) -> bool:
        """Whether its client is of the modern era."""
        return self._answer.era == "modern"

    def notify(self, message: bytes) -> bool:
        """Send the caller a message before the answer. False: it does not take one."""
        return not self._done and not self._parked_as and self._answer.notify(message)

    # --- time -------------------------------------------------------------------------------------------------------------

    def _wait(self, seconds: float) -> None:
        self._services.deadlines.discard(self, self._deadline)
        self._patience = seconds
        self._deadline = self._services.deadlines.add(self, seconds)

    def await_client(self) -> None:
        """The server waits for the caller now: people take longer than servers."""
        self._wait(PATIENCE)

    def go_on(self) -> None:
        """The caller has answered."""
        if not self._done:
            self._wait(self._backend.server.call_timeout)

    # --- to the server ----------------------------------------------------------------------------------------------------

    def start(self, params: dict[str, Raw], *, binding: str = "") -> None:
        """Send it as soon as there is a connection. `binding` says what a `requestState` of it belongs to."""
        self._params, self._binding = params, binding
        self._attach()
        connection = self._backend.ready_connection(self._caller)
        if connection is not None:
            self._send(connection)
        else:
            self._task = asyncio.get_running_loop().create_task(self._send_later())

    def _attach(self) -> None:
        """Make the present exchange the one that this call answers."""
        self._registered = (self.key, self._answer.id)
        self._services.calls[self._registered] = self
        if self.modern:  # a legacy client's going is not a cancellation
            self._answer.exchange.on_disconnect = self.cancel

    async def _send_later(self) -> None:
        try:
            connection = await self._backend.connection(self._caller)
        except UpstreamError as error:
            if self._finish():
                self._answer.unavailable(error.failure)
            return
        if self._done:
            self._backend.release(connection)
        else:
            self._send(connection)

    def _send(self, connection: Connection) -> None:
        self.connection = connection
        level = self._wanted_level(connection)
        params = self._params
        if self._backend.era != self._answer.era:
            params = translation.to_server(
                params,
                upstream=self._backend.era,
                gateway=self._services.gateway,
                capabilities=self._caller.capabilities,
                level=level,
            )
        self._token = request_meta.progress_token(self._meta)
        self.transmit(params)

    def _wanted_level(self, connection: Connection) -> Raw | None:
        """From which level on the caller wants the server's log; a legacy server is told so for its whole connection.

        Returns: the level for a modern server, if the client does not say it itself.
        """
        if self.modern:
            level = request_meta.log_level(self._meta)
            if level is not None:
                self.level = request_meta.LOG_LEVELS.index(level)
                if self._backend.era == "legacy" and connection.key and "logging" in self._backend.capabilities:
                    connection.set_level(jsonrpc.dump({"level": level}))
            return None
        body = self._services.level(self.key) if self._backend.era == "modern" else None
        if body is None:
            return None
        raw = jsonrpc.members(body)["level"]
        self.level = request_meta.LOG_LEVELS.index(jsonrpc.text(raw) or "")
        return raw

    def transmit(self, params: dict[str, Raw]) -> None:
        """Send these params, or the same request with other ones in a further round."""
        connection = self.connection
        if connection is None or self._done:
            return
        id = self._id = connection.reserve()
        self._sent = params
        on_progress = None
        if self._token is not None:
            params = request_meta.with_progress_token(params, jsonrpc.dump(id))
            on_progress = self._on_progress
        connection.send(
            self._answer.method, jsonrpc.dump(params), self._on_reply, id=id, on_progress=on_progress, item=self._item
        )

    # --- from the server --------------------------------------------------------------------------------------------------

    def _on_progress(self, params: Raw) -> None:
        """A server's progress, under the token that the client gave."""
        if self._done or self._token is None:
            return
        fields = {**jsonrpc.members(params), "progressToken": Raw(self._token)}
        self.notify(jsonrpc.notification("notifications/progress", jsonrpc.dump(fields)))

    def _on_reply(self, outcome: Outcome, value: Raw | Failure) -> None:
        if self._done:
            return
        if self._parked_as:  # the caller comes back for it
            self._late = (outcome, Raw(bytes(value)) if isinstance(value, Raw) else value)
        elif isinstance(value, Failure) and self._may_retry(value):
            self._retried = True
            self.connection = None
            self._task = asyncio.get_running_loop().create_task(self._send_later())
        elif not (outcome == "result" and isinstance(value, Raw) and self._needs_input(value)):
            self._conclude(outcome, value)

    def _may_retry(self, error: Failure) -> bool:
        """Once, and only what was not begun, or does no harm when it is done twice (MCP specification, "Tool Annotations")."""
        if self._retried or error.reason == Reason.SESSION_LOST:
            return not self._retried
        return error.reason in _LOST_IN_FLIGHT and self._item is not None and _harmless(self._item)

    def _needs_input(self, value: Raw) -> bool:
        """Whether a modern server's result is a question to a legacy client, which then is asked."""
        if self.modern or self._backend.era == "legacy" or b"input_required" not in bytes(value):
            return False
        if self._rounds is None:
            self._rounds = MultiRoundTrip(self, self._sent)
        return self._rounds.begin(value, self._services.ask)

    def _conclude(self, outcome: Outcome, value: Raw | Failure) -> None:
        self._finish()
        if isinstance(value, Failure):
            self._answer.unavailable(value)
        elif outcome == "result":
            answer = self._answer
            cacheable = answer.method in translation.CACHEABLE
            result = translation.to_client(bytes(value), client=answer.era, upstream=self._backend.era, cacheable=cacheable)
            if self._about:
                result = with_task_id(result, self._about)
            elif self._item is not None:
                result = self._services.tasks.renamed(result, self.server, principal=self._caller.principal)
            answer.succeed(result)
        else:
            self._answer.relay_error(bytes(value))

    def give_up(self, error: ProtocolError) -> None:
        """End without the server's answer."""
        if self._finish():
            self._cancel_upstream("its question cannot be answered")
            self._answer.fail(error.code, f"server {self.server!r}: {error.message}", error.data)

    # --- a legacy server's questions to a modern client -------------------------------------------------------------------

    def asked(self, question: Question) -> bool:
        """The server asks in the middle of this call: its client is told, and comes back. False: it cannot be asked."""
        if self._done or not self._binding or not request_meta.can_be_asked(question.method, self._caller.capabilities):
            return False
        self._asked += 1
        self._questions = {**self._questions, f"{question.method.partition('/')[0]}-{self._asked}": question}
        if not self._parked_as:
            self._park()
        return True

    def _park(self) -> None:
        """Answer with what is open, and wait for the retry."""
        self._leave()
        self._parked_as, state = self._services.input_required.put(self, self._binding)
        self._registered = (self.key, self._parked_as.encode())
        self._services.calls[self._registered] = self
        self.await_client()
        asked = {key: question.shown() for key, question in self._questions.items()}
        result = {"resultType": "input_required", "inputRequests": asked, "requestState": state}
        self._answer.succeed(jsonrpc.dump(result))

    def resume(self, answer: Responder, params: dict[str, Raw]) -> None:
        """The client is back, with answers or without."""
        self._leave()
        self._parked_as = ""
        self._answer = answer
        answer.server = self.server
        self._attach()
        try:
            given = jsonrpc.members(params.get("inputResponses", UNSET))
        except ProtocolError:
            given = {}
        answers = {key: bytes(given[key]) for key in self._questions if bytes(given.get(key, b"")).startswith(b"{")}
        for key, words in answers.items():
            self._questions[key].answer(words)
        self._questions = {key: question for key, question in self._questions.items() if key not in answers}
        self.go_on()
        late, self._late = self._late, None
        if late is not None:
            self._conclude(*late)
        elif self._questions:
            self._park()

    # --- the end ----------------------------------------------------------------------------------------------------------

    def expire(self) -> None:
        """Neither the server nor, where it is asked, the client has answered in time."""
        if self._finish():
            self._cancel_upstream("timed out")
            error = Failure(self._backend.server.name, Reason.TIMEOUT, f"no answer within {self._patience:g} s")
            self._answer.unavailable(error)

    def cancel(self) -> None:
        """The caller wants no answer any more; the specification forbids one."""
        if self._finish():
            self._cancel_upstream("cancelled by the client")
            self._answer.over("cancelled")
            self._answer.exchange.reply(202)

    def _cancel_upstream(self, reason: str) -> None:
        if self._task is not None:
            self._task.cancel()
        for question in self._questions.values():
            question.refuse("the client did not answer")
        if self.connection is not None:
            self.connection.notify("notifications/cancelled", jsonrpc.dump({"requestId": self._id, "reason": reason}))
            self.connection.forget(self._id)

    def _leave(self) -> None:
        """Neither the present exchange nor the parking place is this call's any more."""
        if self._services.calls.get(self._registered) is self:
            del self._services.calls[self._registered]
        if self._parked_as:
            self._services.input_required.drop(self._parked_as)

    def _finish(self) -> bool:
        """Whether this is the first ending."""
        if self._done:
            return False
        self._done = True
        self._services.deadlines.discard(self, self._deadline)
        self._leave()
        if self.connection is not None:
            self._backend.release(self.connection)
        self._answer.metrics.time(self.server, time.perf_counter() - self._answer.began)
        return True


class _Annotations(msgspec.Struct, rename="camel"):
    read_only_hint: Any = False
    idempotent_hint: Any = False


class _Annotated(msgspec.Struct):
    annotations: _Annotations = msgspec.field(default_factory=_Annotations)


_annotated = Decoder(_Annotated)


def _harmless(item: Item) -> bool:
    """Whether a tool says that it reads only, or that doing it twice is as good as once."""
    try:
        hints = _annotated.decode(item.raw).annotations
    except jsonrpc.ProtocolError:
        return False
    return hints.read_only_hint is True or hints.idempotent_hint is True
