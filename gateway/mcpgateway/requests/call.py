"""One request to a server, and the way back to its caller."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from msgspec import UNSET, Raw

from ..catalog.model import Item
from ..protocol import client_requests, given_uris, jsonrpc, request_meta, translation
from ..protocol.errors import Failure, Reason
from ..protocol.jsonrpc import ProtocolError
from ..protocol.versions import Era
from ..runtime.boundaries import Boundaries
from ..runtime.deadlines import Deadlines
from ..streams.questions import OnAnswer
from ..upstream.active_call import ActiveCall, Question
from ..upstream.backend import Backend
from ..upstream.connection import Connection, Outcome
from .active_calls import ActiveCalls
from .call_limits import CallLimits, TooManyCallsError
from .caller import Request
from .given_resources import GivenResources
from .input_required import PATIENCE, InputRequiredStore, ParkedCall
from .multi_round_trip import MultiRoundTrip
from .responder import Responder
from .tasks import Tasks, with_task_id
from .transmission import Transmission


@dataclass(frozen=True, slots=True)
class CallServices:
    """What all calls of a gateway share."""

    gateway: str
    calls: ActiveCalls
    limits: CallLimits
    input_required: InputRequiredStore
    deadlines: Deadlines
    boundaries: Boundaries
    tasks: Tasks
    given: GivenResources
    level: Callable[[str], bytes | None]  # the params of a session's last logging/setLevel
    ask: Callable[[ActiveCall, str, Raw, OnAnswer], None]  # a legacy client. Raises: ProtocolError if it cannot be asked
    withdraw: Callable[[ActiveCall], None]  # the open questions of a call that is over


class Call:
    """A request in flight: it ends once, by a reply, a loss, its deadline, or because its client goes.

    `Transmission` waits for its connection where none is ready; `ParkedCall` keeps what a legacy server asks its modern client,
    `MultiRoundTrip` what a modern server asks its legacy client.
    """

    __slots__ = (
        "_awaited",
        "_backend",
        "_connection",
        "_deadline",
        "_done",
        "_era",
        "_id",
        "_interactive",
        "_item",
        "_params",
        "_parked",
        "_patience",
        "_request",
        "_responder",
        "_rounds",
        "_sent",
        "_services",
        "_task_name",
        "_transmission",
        "capabilities",
        "key",
        "level",
        "modern",
        "server",
    )

    def __init__(
        self,
        request: Request,
        backend: Backend,
        params: dict[str, Raw],
        *,
        services: CallServices,
        item: Item | None = None,
        task_name: str = "",
    ) -> None:
        """`params` are the client's with the server's own names; `task_name` is that of the task that the request is about.

        Raises: TooManyCallsError.
        """
        caller = request.caller
        self.server = backend.server.name
        services.limits.enter(caller.principal, self.server)
        self.modern = request.answer.era == "modern"  # its client, also the one that comes back
        self.key = caller.key
        self.capabilities = caller.capabilities
        self.level = -1  # index of the log level that the caller wants, where it says so with each request
        self._request = request
        self._responder = request.answer
        self._backend = backend
        self._params = self._sent = params  # as the client has sent them, and in the server's era
        self._services = services
        self._item = item
        self._task_name = task_name
        self._era: Era = "legacy"  # the server's, once it is sent
        self._connection: Connection | None = None  # that it is sent over
        self._id = 0  # under which it is sent
        self._transmission: Transmission | None = None
        self._patience = backend.server.call_timeout  # seconds for the present turn: the server's, or the client's
        self._deadline = services.deadlines.add(self, self._patience)
        self._parked: ParkedCall | None = None
        self._rounds: MultiRoundTrip | None = None
        self._interactive = False  # whether its client has been asked, or another round has begun
        self._awaited = 0  # for how many of its questions it waits; a parked call counts once
        self._done = False

    # --- to the server ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Send it as soon as there is a connection."""
        self._attach()
        connection = self._backend.ready_connection(self._request.caller)
        if connection is not None:
            self._send(connection)
        else:
            self._transmission = self._new_transmission()
            self._transmission.connect()

    def _new_transmission(self) -> Transmission:
        return Transmission(
            self._backend,
            self._request.caller,
            self._services.boundaries,
            on_connected=self._send,
            on_unavailable=self._on_unavailable,
        )

    def _attach(self) -> None:
        """Make the present exchange the one that this call answers."""
        if self.modern:  # a legacy client's going is not a cancellation
            self._responder.exchange.on_disconnect = self.cancel
        else:
            self._services.calls.add(self, self._responder.id)

    def _send(self, connection: Connection) -> None:
        if self._done:  # while it waited for the connection
            self._backend.release(connection)
            return
        self._connection = connection
        connection.calls[self] = None
        self._era = era = self._backend.era
        level = self._wanted_level(connection)
        params = self._params
        if era != self._responder.era:
            params = translation.to_server(
                params,
                upstream=era,
                gateway=self._services.gateway,
                capabilities=self.capabilities,
                level=level,
            )
        self._sent = params
        self.transmit(params)

    def _wanted_level(self, connection: Connection) -> Raw | None:
        """From which level on the caller wants the server's log; a legacy server is told so for its whole connection.

        Returns: the level for a modern server, if the client does not say it itself.
        """
        if self.modern:
            meta = self._request.meta
            level = request_meta.log_level(meta) if meta.level is not UNSET else None
            if level is not None:
                self.level = request_meta.LOG_LEVELS.index(level)
                if self._era == "legacy" and connection.key and "logging" in self._backend.capabilities:
                    connection.set_level(jsonrpc.dump({"level": level}))
            return None
        body = self._services.level(self.key) if self._era == "modern" else None
        if body is None:
            return None
        raw = jsonrpc.members(body)["level"]
        self.level = request_meta.LOG_LEVELS.index(jsonrpc.text(raw) or "")
        return raw

    def transmit(self, params: dict[str, Raw]) -> None:
        """Send the request with these params: those of the client, or in a further round those with its answers."""
        connection = self._connection
        if connection is None or self._done:
            return
        id = self._id = connection.reserve()
        on_progress = None
        meta = self._request.meta
        if meta.progress is not UNSET and request_meta.progress_token(meta) is not None:
            params = request_meta.with_progress_token(params, jsonrpc.dump(id))
            on_progress = self._on_progress
        method, body = self._responder.method, jsonrpc.dump(params)
        connection.send(method, body, self._on_reply, id=id, on_progress=on_progress, item=self._item)

    # --- from the server --------------------------------------------------------------------------------------------------

    def notify(self, message: bytes) -> bool:
        """Send the caller a message before the answer. False: it does not take one."""
        return not self._done and not self._is_parked and self._responder.notify(message)

    def _on_progress(self, params: Raw) -> None:
        """Pass on a server's progress, under the token that the client gave."""
        token = request_meta.progress_token(self._request.meta)
        if not self._done and token is not None:
            fields = {**jsonrpc.members(params), "progressToken": Raw(token)}
            self.notify(jsonrpc.notification("notifications/progress", jsonrpc.dump(fields)))

    def _on_reply(self, outcome: Outcome, value: Raw | Failure) -> None:
        """The server's reply, or the loss of its connection. Raises: ProtocolError for one that cannot be passed on.

        Then the connection reports a failure in its place (`Connection.send`).
        """
        if self._done or (self._parked is not None and self._parked.keep(outcome, value)):
            return
        if isinstance(value, Failure):
            self._on_lost(value)
        elif outcome == "result":
            self._on_result(bytes(value))
        elif self._finish():
            self._responder.relay_error(bytes(value), server=self.server)

    def _on_lost(self, failure: Failure) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.calls.pop(self, None)
            self._backend.release(connection)
        if self._transmission is None:
            self._transmission = self._new_transmission()
        if not self._transmission.connect_again(failure, self._item):
            if connection is not None:
                connection.loss_told = True
            self._on_unavailable(failure)

    def _on_result(self, value: bytes) -> None:
        if self._era == "modern" and b"input_required" in value:
            if self.modern:
                value = client_requests.checked_result(value, server=self.server, capabilities=self.capabilities)
            elif self._asks_client(value):
                return
        result = self._for_client(value)
        if self._finish():
            self._responder.succeed(result, server=self.server)

    def _asks_client(self, value: bytes) -> bool:
        """Whether a modern server's result is a question to a legacy client, which then is asked."""
        self._interactive = True
        if self._rounds is None:
            self._rounds = MultiRoundTrip(self, self._sent, self._services.ask)
        return self._rounds.begin(Raw(value))

    def _for_client(self, value: bytes) -> bytes:
        """A result in the client's era, with the names that the client knows. Raises: ProtocolError."""
        if self.modern:
            cacheable = self._responder.method in translation.CACHEABLE
            value = translation.to_client(value, client="modern", upstream=self._era, cacheable=cacheable)
        if given_uris.MARK in value and (self._item is not None or self._task_name):
            self._services.given.note(self.key, self.server, value)
        if self._task_name:
            return with_task_id(value, self._task_name)
        if self._item is not None:
            return self._services.tasks.renamed(value, self.server, principal=self._request.caller.principal)
        return value

    def _on_unavailable(self, failure: Failure) -> None:
        if self._finish():
            self._responder.unavailable(failure)

    def give_up(self, error: ProtocolError) -> None:
        """End without the server's answer."""
        if self._finish():
            self._withdraw("no answer is wanted any more")
            self._responder.fail(error.code, f"server {self.server!r}: {error.message}", error.data, server=self.server)

    # --- the client is asked ----------------------------------------------------------------------------------------------

    @property
    def _is_parked(self) -> bool:
        return self._parked is not None and self._parked.waits

    def await_client(self) -> None:
        """The server waits for the caller now: people take longer than servers. Raises: ProtocolError, if too many calls wait."""
        if self._done:
            return
        if not self._awaited:
            try:
                self._services.limits.begin_wait(self._request.caller.principal, self.server)
            except TooManyCallsError as error:
                raise ProtocolError(jsonrpc.INTERNAL_ERROR, str(error), data=error.data()) from None
        self._awaited += 1
        self._interactive = True
        self._wait(PATIENCE)

    def go_on(self) -> None:
        """The caller has answered one question, or it is withdrawn; with the last one the server has its time again."""
        if not self._done and self._awaited:
            self._awaited -= 1
            if not self._awaited:
                self._services.limits.end_wait(self._request.caller.principal, self.server)
                self._wait(self._backend.server.call_timeout)

    def _wait(self, seconds: float) -> None:
        """The turn passes from the server to the client, or back."""
        deadlines = self._services.deadlines
        deadlines.discard(self, self._deadline)
        self._patience, self._deadline = seconds, deadlines.add(self, seconds)

    def ask(self, question: Question) -> bool:
        """A legacy server asks in the middle of this call: the modern client is told, and comes back. False: it cannot be.

        Raises: ProtocolError, if too many calls wait.
        """
        if self._done or not self.modern or self._responder.method not in translation.MULTI_ROUND:
            return False
        if self._parked is None:
            self._parked = ParkedCall(self._services.input_required)
        if self._parked.full:
            return False
        if not self._parked.waits:
            self.await_client()
        self._parked.add(question)
        if not self._parked.waits:
            self._park(self._parked)
        return True

    def _park(self, parked: ParkedCall) -> None:
        """Answer with the open questions; the call waits for the retry."""
        result = parked.park(self, self._request.binding)
        self._responder.exchange.on_disconnect = None
        self._responder.succeed(result, server=self.server)

    def resume(self, answer: Responder, params: dict[str, Raw]) -> None:
        """The client is back, with answers or without."""
        parked = self._parked
        if parked is None or self._done:
            answer.fail(jsonrpc.INVALID_PARAMS, "params.requestState is not valid: its call is over")
            return
        self._responder = answer
        self._attach()
        connection = self._connection
        if connection is not None and self in connection.calls:
            del connection.calls[self]
            connection.calls[self] = None  # as its newest call
        late = parked.resume(params)
        if late is None and parked.questions:  # the same ones again
            self._wait(PATIENCE)
            self._park(parked)
            return
        self.go_on()
        if late is not None and connection is not None:
            connection.deliver(self._on_reply, *late)

    # --- the end ----------------------------------------------------------------------------------------------------------

    def expire(self) -> None:
        """Neither the server nor, where it is asked, the client has answered in time."""
        if self._finish():
            connection = self._connection
            self._withdraw("timed out")
            message = f"no answer within {self._patience:g} s"
            if connection is not None and connection.throttled:
                message += ": it sends more notifications than it may, and so it is read more slowly"
            self._responder.unavailable(Failure(self.server, Reason.TIMEOUT, message))

    def cancel(self) -> None:
        """The caller wants no answer any more."""
        if self._finish():
            self._withdraw("cancelled by the client")
            self._responder.cancelled(server=self.server)

    def _withdraw(self, reason: str) -> None:
        """Stop waiting for a connection, or tell the server that no reply is wanted any more."""
        if self._transmission is not None:
            self._transmission.cancel()
        if self._connection is not None and self._id:
            self._connection.notify("notifications/cancelled", jsonrpc.dump({"requestId": self._id, "reason": reason}))
            self._connection.forget(self._id)

    def _finish(self) -> bool:
        """End it. Returns: whether it had not ended before."""
        if self._done:
            return False
        self._done = True
        if self._interactive:
            self._end_questions()
        services = self._services
        services.deadlines.discard(self, self._deadline)
        services.limits.leave(self._request.caller.principal, self.server)
        if not self.modern:
            services.calls.remove(self, self._responder.id)
        connection = self._connection
        if connection is not None:
            connection.calls.pop(self, None)
            self._backend.release(connection)
        self._responder.metrics.time(self.server, time.perf_counter() - self._responder.began)
        return True

    def _end_questions(self) -> None:
        if self._awaited:
            self._services.limits.end_wait(self._request.caller.principal, self.server)
        if self._parked is not None:
            self._parked.end()
        self._services.withdraw(self)
        self._rounds = None  # it leads back here: without the cycle there is nothing for the garbage collector
