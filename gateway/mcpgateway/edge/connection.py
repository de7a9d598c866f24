"""The HTTP edge: a uvicorn protocol class that hands `POST /mcp` straight to the router and leaves all else to ASGI.

It also guards connections: uvicorn alone never closes one that stalls. The class leans on uvicorn's internals (attributes and
callbacks of HttpToolsProtocol), which is why the version is pinned; tests/gateway/test_http.py states what is relied on.
"""

from __future__ import annotations

import asyncio
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from ..protocol import jsonrpc
from ..requests.responder import JSON, Exchange, RequestHeaders
from ..requests.router import Router
from ..runtime.deadlines import Deadlines
from .exchange import McpExchange
from .known_head import Head, learn

if TYPE_CHECKING:
    from collections import deque

    from uvicorn._types import ASGI3Application

HEADER_DEADLINE = 10.0  # seconds from the first byte (or the connection) to the end of the headers
BODY_DEADLINE = 10.0  # seconds for a body, and one more for each
BODY_RATE = 256 << 10  # bytes
_MAX_HEADERS = 64 << 10
_MAX_PIPELINED = 16


class _Flow(FlowControl):
    """uvicorn's, but for an event that most connections never need, and that costs more than all the rest."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.read_paused = self.write_paused = False

    @cached_property
    def _is_writable_event(self) -> asyncio.Event:  # type: ignore[override]
        event = asyncio.Event()
        event.set()
        return event


class _Pipeline(list[Any]):
    """The requests that wait for their turn: a deque is for many, and costs every connection half a kilobyte."""

    def appendleft(self, item: Any) -> None:
        """The latest."""
        self.insert(0, item)


class GatewayProtocol(HttpToolsProtocol):
    """uvicorn's protocol class with a fast path and with deadlines."""

    router: Router  # set by `protocol_class`, as the next one
    quiet: Deadlines  # of all connections: a timer for each would be a tenth of what an idle one costs
    # apart from uvicorn's: of more than thirty attributes Python does not share the names between connections any more
    __slots__ = (
        "_body_bytes",
        "_deadline",
        "_exchange",
        "_fields",
        "_head",
        "_header_bytes",
        "_heads",
        "_held",
        "_plain",
        "_quiet_since",
        "_reading",
        "_watching",
        "http_version",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self.http_version = "1.1"
        self._reading = False  # in the middle of a request
        self._fields: dict[bytes, bytes] = {}
        self._header_bytes = 0
        self._body_bytes = 0
        self._exchange: McpExchange | None = None  # the one whose body is being read
        self._heads = 0  # requests whose heads have been parsed
        self._head: Head | None = None  # the last one, if it can be known again
        self._plain: McpExchange | None = None  # begun by the data that is being parsed
        self._held = b""  # a known head, of which nothing has been parsed: its body is still to come
        self._quiet_since = 0.0  # when the last response was complete
        self._subscriptions = False  # for being quiet too long
        self.pipeline = cast("deque[tuple[RequestResponseCycle, ASGI3Application]]", _Pipeline())

    # --- guard ------------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport)
        self._arm(HEADER_DEADLINE)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head is None or self._reading or self._busy():
            self._parse(data)
            return
        if self._held:
            data, self._held = self._held + data, b""
        body = self._head.body(data)
        if body is None or body[1] - body[0] > self.router.config.request_bytes:
            self._parse(data)
        elif len(data) == body[1]:
            self._disarm()
            exchange = McpExchange(self, self._head.fields, keep_alive=True, expect_continue=False)
            exchange.chunks.append(data[body[0] :])
            exchange.complete = True
            self.cycle = cast("RequestResponseCycle", exchange)
            self._dispatch(exchange)
        elif len(data) == body[0]:  # many clients send the body by itself
            self._held = data
            self._arm(BODY_DEADLINE)
        else:
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        between, heads, self._plain = not self._reading, self._heads, None
        if self.parser is None:
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
        super().data_received(data)
        if not self._reading:
            self._disarm()
        elif self._deadline is None:
            self._arm(HEADER_DEADLINE)
        # from its second request on a connection is worth it
        if between and self._plain is not None and self._heads == heads + 1 > 1 and self._plain.keep_alive:
            self._head = learn(data, self._plain.headers)
        self._plain = None
        self._rest()

    def _rest(self) -> None:
        """Between requests there is nothing to parse, and a parser is an eighth of what an idle connection costs."""
        if self._plain is None and not self._reading and not self._busy():
            self.parser = cast("httptools.HttpRequestParser", None)

    def on_response_complete(self) -> None:
        """uvicorn sets and clears a timer for each response; here one looks now and then whether it has been quiet."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
            return
        self._rest()
        self._quiet_since = self.loop.time()
        if not self._subscriptions:
            self._subscriptions = True
            self.quiet.add(self, self.timeout_keep_alive)

    def expire(self) -> None:
        """The connection may have been quiet for too long."""
        self._subscriptions = False
        if self.transport.is_closing():
            return
        quiet = 0.0 if self._reading or self._busy() else self.loop.time() - self._quiet_since
        if quiet >= self.timeout_keep_alive:
            self.transport.close()
        else:
            self._subscriptions = True
            self.quiet.add(self, max(1.0, self.timeout_keep_alive - quiet))

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._deadline = self.loop.call_later(seconds, self._stalled)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _stalled(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self._refuse(408, "the request did not arrive in time")

    def _refuse(self, status: int, message: str) -> None:
        """Answer and close: after a refusal in mid-request the rest of the stream has no meaning."""
        body = jsonrpc.failure(b"null", jsonrpc.INVALID_REQUEST, message)
        head = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[status] + head + body)
        self.transport.close()

    # --- parser callbacks -------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        # uvicorn makes an ASGI scope here; that is put off until it is known to be needed
        self.url, self._fields, self.expect_100_continue = b"", {}, False
        self._reading = True
        self._heads += 1
        self._header_bytes = self._body_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > _MAX_HEADERS:
            if not self.transport.is_closing():
                self._refuse(431, f"headers over {_MAX_HEADERS} bytes")
            return
        name = name.lower()
        fields = self._fields
        fields[name] = fields[name] + b", " + value if name in fields else value  # RFC 9110 section 5.3

    def on_headers_complete(self) -> None:
        if self._deadline is not None:
            self._arm(BODY_DEADLINE)
        fields, self._fields = self._fields, {}  # what comes after the body is not taken for headers
        self.expect_100_continue = fields.get(b"expect", b"").lower() == b"100-continue"
        if self.parser.get_method() != b"POST" or self.url.partition(b"?")[0] != b"/mcp":
            self._exchange = None
            self._leave_to_asgi(fields)
            return
        self.http_version = self.parser.get_http_version()
        keep_alive = self.http_version != "1.0" and self.parser.should_keep_alive()
        exchange = McpExchange(self, fields, keep_alive=keep_alive, expect_continue=self.expect_100_continue)
        self._exchange = self._plain = exchange
        if self._busy():
            self.flow.pause_reading()
            self.pipeline.appendleft((cast("RequestResponseCycle", exchange), self.app))
            if len(self.pipeline) > _MAX_PIPELINED:
                self._refuse(429, "too many pipelined requests")
            return
        self._begin(exchange)

    def _leave_to_asgi(self, fields: RequestHeaders) -> None:
        url, expect = self.url, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect
        self.headers.extend(fields.items())
        super().on_headers_complete()

    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _begin(self, exchange: McpExchange) -> None:
        self.cycle = cast("RequestResponseCycle", exchange)
        if exchange.expect_continue and not exchange.complete:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if exchange.complete:
            self._dispatch(exchange)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        limit = self.router.config.request_bytes
        if self._body_bytes > limit:
            if not self.transport.is_closing():
                self._refuse(413, f"the body is over {limit} bytes (spec.limits)")
            return
        exchange = self._exchange
        if exchange is None:
            super().on_body(body)
            return
        exchange.chunks.append(body)
        if self._deadline is not None:
            self._arm(BODY_DEADLINE + self._body_bytes / BODY_RATE)

    def on_message_complete(self) -> None:
        self._reading = False
        exchange = self._exchange
        if exchange is None:
            super().on_message_complete()
            return
        exchange.complete = True
        self._exchange = None
        if self.cycle is cast("RequestResponseCycle", exchange) and not self.transport.is_closing():
            self._dispatch(exchange)

    def _dispatch(self, exchange: McpExchange) -> None:
        try:
            self.router.handle(cast("Exchange", exchange))
        except Exception:
            self.logger.exception("a request failed")
            exchange.reply(500, jsonrpc.failure(b"null", jsonrpc.INTERNAL_ERROR, "internal error"), JSON)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """uvicorn calls this for the next pipelined request, too."""
        if isinstance(cycle, McpExchange):
            self._begin(cycle)
        else:
            self.cycle = cycle
            super()._start_asgi_task(cycle, app)


def protocol_class(router: Router) -> type[GatewayProtocol]:
    """A protocol class bound to a router, for `uvicorn.Config(http=…)`."""
    return type("BoundGatewayProtocol", (GatewayProtocol,), {"router": router, "quiet": Deadlines()})
