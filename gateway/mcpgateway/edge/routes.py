"""The paths of port 8811 and what answers them (MCP specification, "Streamable HTTP"; the transport of 2024-11-05; /health)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Final, Protocol

from ..access.admission import Denied
from ..protocol.exchange import JSON
from ..requests.router import Router
from ..streams.replay import Stream, events
from .exchange import Handler, HttpExchange
from .http_sse import HttpSse
from .shared import Route

_RETRY_AFTER: Final = b"5"  # seconds
_TEXT: Final = [(b"content-type", b"text/plain; charset=utf-8")]


class Pressure(Protocol):
    """The state of the process's memory."""

    @property
    def shedding(self) -> bool:
        """Whether new work is refused."""


def client_routes(router: Router, pressure: Pressure) -> dict[bytes, Route]:
    """The routes by path. New work is refused with 503 while memory is short; what ends work is not."""

    def admitted(serve: Callable[[HttpExchange], None]) -> Handler:
        def handler(exchange: HttpExchange) -> None:
            if pressure.shedding:
                message = "the gateway is short of memory: repeat the request later"
                exchange.refuse(503, message, [(b"retry-after", _RETRY_AFTER)])
                return
            try:
                serve(exchange)
            except Denied as denied:
                exchange.reply(denied.status, router.admission.refusal(denied), JSON + denied.headers)

        return handler

    def open_stream(exchange: HttpExchange) -> None:
        headers = exchange.headers
        principal = router.admission.admit(headers)
        if headers.get(b"mcp-protocol-version", b"").startswith(b"2026"):
            raise Denied(405, "this version of the protocol has POST only", [(b"allow", b"POST")])
        session = router.admission.session(headers, principal)
        if not exchange.takes_streams:
            raise Denied(406, "the header Accept must list text/event-stream")
        stream, number = router.streams.open(session.id, headers.get(b"last-event-id", b"").decode("latin-1"))
        exchange.stream(_messages(stream, number), on_end=lambda: router.streams.close(stream))

    def end_session(exchange: HttpExchange) -> None:
        headers = exchange.headers
        try:
            session = router.admission.session(headers, router.admission.admit(headers))
        except Denied as denied:
            exchange.reply(denied.status, router.admission.refusal(denied), JSON + denied.headers)
            return
        router.session_state.end(session)
        exchange.reply(204)

    sse = HttpSse(router)
    mcp = Route({b"POST": admitted(router.handle), b"GET": admitted(open_stream), b"DELETE": end_session})
    return {
        b"/mcp": mcp,
        b"/mcp/": mcp,
        b"/sse": Route({b"GET": admitted(sse.connect)}),
        b"/sse/messages": Route({b"POST": admitted(sse.post)}),
        b"/health": Route({b"GET": _health, b"HEAD": _health}, protected=False),
    }


def _health(exchange: HttpExchange) -> None:
    exchange.reply(200, b"ok\n", _TEXT)


async def _messages(stream: Stream, number: int) -> AsyncGenerator[bytes, None]:
    """A stream of a legacy session, for as long as its client reads."""
    yield b": open\n\n"
    async for event in events(stream, number):
        yield event
