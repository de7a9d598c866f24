"""One client connection of port 8811: bytes in, one exchange at a time, bytes out, and a deadline for each phase of it.

uvicorn's server accepts the connection and ends it at shutdown. Of uvicorn this uses `ServerState` (`connections`, `tasks`,
`total_requests`), and uvicorn calls `shutdown()`; nothing else.
Source: RFC 9112; docs/decisions/0009.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Coroutine
from typing import Any, Final, cast

from msgspec import UNSET
from uvicorn.server import ServerState

from ..access.admission import Denied
from ..protocol import jsonrpc
from ..protocol.exchange import JSON, Headers, RequestHeaders
from . import cors, response
from .exchange import Handler, HttpExchange
from .guard import peer_address
from .known_head import KnownHead, learn
from .limits import MAX_AHEAD, MAX_LINGER, MAX_READ
from .reading_pace import ReadingPace
from .request_body import Body, SizedBody, body_of
from .request_buffer import RequestBuffer
from .request_head import BadRequest, parse
from .shared import Edge


class Phase(enum.Enum):
    """What a connection is doing."""

    HEAD = enum.auto()  # a request has begun to arrive; also, at first, when nothing has arrived yet
    BODY = enum.auto()
    ANSWERING = enum.auto()
    IDLE = enum.auto()  # between two requests
    CLOSING = enum.auto()  # the last response is being written, and what arrives is dropped


# Names of the module, since to look one up in an enumeration's class costs as much as a call.
_HEAD, _BODY, _ANSWERING, _IDLE, _CLOSING = Phase


_RECEIVED: Final = memoryview(bytearray(MAX_READ))


class Connection(asyncio.BufferedProtocol):
    """Reads requests, one after the other: the next one is not parsed before the response to the last one is complete.

    An idle connection holds neither a parser nor a timer of its own, so that ten thousand of them are cheap.
    """

    __slots__ = (
        "_address",
        "_ahead",
        "_body",
        "_continuing",
        "_drained",
        "_dropped",
        "_exchange",
        "_pace",
        "_phase",
        "_read_paused",
        "_repeatable",
        "_repeated",
        "_requests",
        "_server",
        "_since",
        "_transport",
        "_wake_at",
        "_wake_bucket",
        "_writable",
        "edge",
        "loop",
    )

    def __init__(self, edge: Edge, server: ServerState) -> None:
        self.edge, self._server = edge, server
        self.loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._address: str | None = None  # None: not counted by the guard
        self._phase = _HEAD
        self._since = self.loop.time()  # when the phase began
        self._requests = RequestBuffer()
        self._ahead = self._requests.data  # received, and not yet part of a request
        self._body: Body | None = None  # of the exchange that is being read
        self._exchange: HttpExchange | None = None  # the one that is being read or answered
        self._repeatable: tuple[KnownHead, Handler] | None = None  # the last head, and what answers it
        self._repeated = False  # it has sent a request before
        self._continuing = False  # `_continue` is scheduled
        self._read_paused = False
        self._writable = True
        self._drained: asyncio.Event | None = None  # for who waits until the client has read
        self._pace = ReadingPace()
        self._dropped = 0  # bytes that have come after a refusal
        self._wake_at, self._wake_bucket = 0.0, 0  # when `expire` is due

    # --- called by the loop -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        # not checked: uvloop's transport has the interface of asyncio.Transport, but is no subclass of it
        self._transport = cast("asyncio.Transport", transport)
        connections: set[Any] = self._server.connections  # typed for uvicorn's own classes
        connections.add(self)
        self.edge.silence.watch(connections)
        self._wake(min(self.edge.limits.head_deadline, self.edge.limits.idle_timeout))
        address = peer_address(transport.get_extra_info("peername"))
        reason = self.edge.guard.admit(address)
        if reason:
            self._refuse(503, reason, retry_after=True)
        else:
            self._address = address

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed, by whomever."""
        self._server.connections.discard(cast("Any", self))
        self.edge.deadlines.discard(self, self._wake_bucket)
        if self._address is not None:
            self.edge.guard.release(self._address)
        self._phase = _CLOSING
        self._ahead.clear()
        self._body = self._repeatable = None
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.disconnect()
        if self._drained is not None:
            self._drained.set()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes are put: one place for all connections, since they are taken from there at once."""
        return _RECEIVED

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes have been put there."""
        self.data_received(bytes(_RECEIVED[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """Bytes of any number of requests, cut anywhere."""
        try:
            if self._repeatable is None or self._phase is not _IDLE or not self._repeat(data):
                self._receive(data)
        except BadRequest as error:
            self._refuse(error.status, error.message)
        except Exception as error:
            self.caught("connection", error)
            self._refuse(500, "internal error")

    def eof_received(self) -> None:
        """The client has left: the transport closes itself."""

    def pause_writing(self) -> None:
        """The client reads more slowly than it is answered."""
        self._writable = False
        self._pace.measure(self.loop.time(), self.unread)
        self._wake(self.edge.limits.write_grace)

    def resume_writing(self) -> None:
        """The client has read."""
        self._writable = True
        if self._phase is _IDLE:
            self._since = self.loop.time()
        if self._drained is not None:
            self._drained.set()
        if self._ahead:
            self._continue_soon()

    def end_silence(self) -> None:
        """Some time has passed: let a response begin that was already awaited the last time."""
        exchange = self._exchange
        if exchange is not None and self._phase is _ANSWERING:
            if exchange.awaited:
                exchange.end_silence()
            exchange.awaited = True

    # --- called by uvicorn ------------------------------------------------------------------------------------------------

    def shutdown(self) -> None:
        """The server stops: what has been begun is finished."""
        if self._exchange is not None:
            self._exchange.keep_alive = False
        elif self._phase is not _CLOSING:
            self._close()

    # --- reading ----------------------------------------------------------------------------------------------------------

    def _repeat(self, data: bytes) -> bool:
        """Take a request with the same head as the last one, without parsing it. Returns: whether it is one."""
        if self._repeatable is None or self._ahead or not self._writable:
            return False
        repeatable, handler = self._repeatable
        span = repeatable.body(data)
        if span is None:
            return False
        start, end = span
        size = len(data)
        if size > end or end - start > self.edge.router.config.request_bytes:
            return False
        exchange = HttpExchange(self, repeatable.head, handler)
        self._exchange = exchange
        if size == end:
            exchange.body = data[start:]
            self._answer(exchange)
        else:  # many clients send the body by itself
            body = SizedBody(end - start)
            body.feed(data[start:])
            self._begin_body(body)
            self._await_body(exchange, body, protected=True)
        return True

    def _receive(self, data: bytes) -> None:
        if self._phase is _CLOSING:
            self._dropped += len(data)
            if self._dropped > MAX_LINGER:
                self._abort()
            return
        body = self._body
        if isinstance(body, SizedBody) and self._writable and not self._ahead:
            taken = body.feed(data)
            if taken < len(data):
                self._ahead += data[taken:]
            if body.complete:
                self._body_complete(body)
        else:
            self._ahead += data
            self._advance()
        self._regulate()

    def _advance(self) -> None:
        """Take the next step that the received bytes allow; whoever has sent more requests waits for another turn."""
        if self._ahead and self._writable and not self._continuing:
            if self._body is not None:
                self._read_body(self._body)
            elif self._phase is not _ANSWERING:
                self._read_head()

    def _continue_soon(self) -> None:
        if not self._continuing:
            self._continuing = True
            self.loop.call_soon(self._continue)

    def _continue(self) -> None:
        self._continuing = False
        if self._phase is not _CLOSING:
            self.data_received(b"")

    def _regulate(self) -> None:
        """Reading pauses while there is more than can be used now, and goes on after that."""
        blocked = self._phase is _ANSWERING or not self._writable or self._continuing
        pause = blocked and len(self._ahead) > MAX_AHEAD
        if pause is not self._read_paused and self._transport is not None and not self._transport.is_closing():
            self._read_paused = pause
            if pause:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _read_head(self) -> None:
        if not self._requests.begun():
            return
        if self._phase is _IDLE:
            self._enter(_HEAD)
            self._wake(self.edge.limits.head_deadline)
        raw = self._requests.take_head()
        if raw is not None:
            self._begin(raw)

    def _begin(self, raw: bytes) -> None:
        """A head is complete."""
        edge = self.edge
        head = parse(raw)
        handler, protected = edge.handler(head, self._transport)
        exchange = self._exchange = HttpExchange(self, head, handler)
        body = body_of(head.body_length, edge.router.config.request_bytes)
        learned = learn(raw, head) if self._repeated else None  # from its second request on a connection is worth it
        self._repeatable = None if learned is None else (learned, handler)
        self._repeated = True
        if body.complete:
            self._answer(exchange)
            return
        self._begin_body(body)
        if self._ahead:
            self._read_body(body)
        self._await_body(exchange, body, protected=protected)

    def _await_body(self, exchange: HttpExchange, body: Body, *, protected: bool) -> None:
        """Of a body that is still to come, memory is used only for a client with valid credentials."""
        if body.complete:
            return
        if protected:
            try:
                self.edge.router.admission.admit(exchange.headers)
            except Denied as denied:
                exchange.keep_alive, exchange.incomplete = False, True
                self._phase, self._body = _ANSWERING, None
                exchange.reply(denied.status, self.edge.router.admission.refusal(denied), JSON + denied.headers)
                return
        if exchange.head.expect_continue and not body.content:
            self.write(response.CONTINUE)

    def _begin_body(self, body: Body) -> None:
        self._body = body
        self._enter(_BODY)
        self._wake(self.edge.limits.body_grace)

    def _read_body(self, body: Body) -> None:
        """Move what belongs to the body out of the received bytes."""
        taken = body.feed(self._ahead)
        del self._ahead[:taken]
        if body.complete:
            self._body_complete(body)
        elif taken and self._ahead:
            self._continue_soon()

    def _body_complete(self, body: Body) -> None:
        exchange = self._exchange
        self._body = None
        if exchange is not None:
            exchange.body = bytes(body.content)
            self._answer(exchange)

    # --- answering --------------------------------------------------------------------------------------------------------

    def _answer(self, exchange: HttpExchange) -> None:
        self._phase = _ANSWERING
        try:
            exchange.handler(exchange)
        except Exception as error:
            self.caught("exchange", error)
            failure = jsonrpc.failure(_request_id(exchange.body), jsonrpc.INTERNAL_ERROR, "internal error")
            exchange.reply(500, failure, JSON)

    def answered(self, exchange: HttpExchange) -> None:
        """The response is complete: the next request may begin."""
        self._server.total_requests += 1
        self._exchange = None
        if self._phase is _CLOSING:
            return
        if not exchange.keep_alive:
            if exchange.incomplete or self._ahead or self._read_paused:
                self._linger()
            else:
                self._close()
            return
        self._phase, self._since = _IDLE, self.loop.time()
        if self._ahead:
            self._continue_soon()

    def write(self, data: bytes) -> None:
        """Send bytes of a response; to a client that has left, none."""
        transport = self._transport
        if transport is not None and not transport.is_closing():
            if not self._writable:
                self._pace.wrote(len(data))
            transport.write(data)

    @property
    def unread(self) -> int:
        """Bytes of responses that the client has not read."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    async def drained(self) -> None:
        """Wait until the client has read most of what was sent."""
        while not self._writable and self._phase is not _CLOSING:
            if self._drained is None:
                self._drained = asyncio.Event()
            self._drained.clear()
            await self._drained.wait()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a part of a response as a task, for which the server waits at shutdown."""
        task = self.loop.create_task(work)
        self._server.tasks.add(task)
        task.add_done_callback(self._server.tasks.discard)
        return task

    def date(self) -> bytes:
        """The field Date."""
        return self.edge.date(self.loop.time())

    def cross_origin(self, headers: RequestHeaders) -> Headers:
        """What the response to a web page's request has in addition."""
        return cors.fields(headers, self.edge.router.admission)

    def failed_login(self) -> float:
        """The credentials were wrong. Returns: seconds to wait with the response."""
        self.edge.metrics.auth_failures.inc()
        return self.edge.failed_logins.record(self._address or "", self.loop.time())

    def caught(self, boundary: str, error: Exception) -> None:
        """Report an exception that was caught at a boundary."""
        self.edge.router.boundaries.report(boundary, error, address=self._address or "")

    # --- deadlines --------------------------------------------------------------------------------------------------------

    def _enter(self, phase: Phase) -> None:
        self._phase, self._since = phase, self.loop.time()

    def _wake(self, seconds: float) -> None:
        """See to it that `expire` is called that soon."""
        at = self.loop.time() + seconds
        if not self._wake_bucket or at < self._wake_at:
            deadlines = self.edge.deadlines
            if self._wake_bucket:
                deadlines.discard(self, self._wake_bucket)
            self._wake_at, self._wake_bucket = at, deadlines.add(self, seconds)

    def _due(self) -> float:
        """When the current phase must be over, in seconds of the loop's clock."""
        limits = self.edge.limits
        if self._phase is _CLOSING or not self._writable:
            return self._pace.measured + (limits.write_grace if self.unread else limits.linger)
        if self._phase is _HEAD:
            return self._since + limits.head_deadline
        if self._phase is _BODY and self._body is not None:
            return self._since + limits.body_grace + len(self._body.content) / limits.body_rate
        if self._phase is _IDLE:
            return self._since + limits.idle_timeout
        return self.loop.time() + limits.idle_timeout

    def expire(self) -> None:
        """A deadline may have passed."""
        self._wake_bucket = 0
        now = self.loop.time()
        due = self._due()
        if due <= now and self._reads(now):
            due = now + self.edge.limits.write_grace
        if now < due:
            self._wake(min(due - now, self.edge.limits.idle_timeout))
        elif self._phase is _CLOSING or not self._writable:
            self.edge.metrics.connections_cut.labels("response").inc()
            self._abort()
        elif self._phase is _IDLE:
            self._close()
        else:
            self.edge.metrics.connections_cut.labels("head" if self._phase is _HEAD else "body").inc()
            self._refuse(408, "the request did not arrive in time")

    def _reads(self, now: float) -> bool:
        """Whether the client has read enough of what was unread; then that is measured from now on."""
        if self._writable and self._phase is not _CLOSING:
            return False
        reads = self._pace.keeps(self.edge.limits.write_rate, now=now, unread=self.unread)
        if reads:
            self._pace.measure(now, self.unread)
        return reads

    # --- the end ----------------------------------------------------------------------------------------------------------

    def _refuse(self, status: int, message: str, *, retry_after: bool = False) -> None:
        """Respond and close: after a refusal in the middle of a request the rest of the stream has no meaning."""
        exchange, self._exchange = self._exchange, None
        self._body = None
        if exchange is not None and exchange.streaming:
            self._abort()  # the client sees a stream without its end
        elif self._phase is not _CLOSING:
            body = jsonrpc.failure(b"null", jsonrpc.INVALID_REQUEST, message)
            headers = [*JSON, (b"retry-after", b"5")] if retry_after else JSON
            if exchange is not None and exchange.head.origin is not None:
                headers = headers + self.cross_origin(exchange.headers)
            self.write(response.head(status, headers, self.date(), length=len(body), close=True) + body)
            self._linger()
        if exchange is not None:
            exchange.disconnect()

    def _linger(self) -> None:
        """Close for writing, and drop what still arrives: a reset could take the response from the client (RFC 9112 9.6)."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._end()
        if self._read_paused:
            self._read_paused = False
            transport.resume_reading()
        transport.write_eof()

    def _close(self) -> None:
        if self._transport is not None:
            self._end()
            self._transport.close()

    def _end(self) -> None:
        self._enter(_CLOSING)
        self._ahead.clear()
        self._pace.measure(self._since, self.unread)
        limits = self.edge.limits
        self._wake(limits.write_grace if self.unread else limits.linger)

    def _abort(self) -> None:
        self._phase = _CLOSING
        if self._transport is not None:
            self._transport.abort()


def _request_id(body: bytes) -> bytes:
    """The id of a request, as far as there is one."""
    try:
        id = jsonrpc.decode(body).id
        return b"null" if id is UNSET else bytes(id)
    except Exception:
        return b"null"


def connection_class(edge: Edge) -> type[asyncio.BufferedProtocol]:
    """A class for `uvicorn.Config(http=…)`, whose connections share an edge."""

    class BoundConnection(Connection):
        __slots__ = ()

        def __init__(
            self,
            config: Any,
            server_state: ServerState,
            app_state: dict[str, Any],
            _loop: asyncio.AbstractEventLoop | None = None,
        ) -> None:
            super().__init__(edge, server_state)

    return BoundConnection
