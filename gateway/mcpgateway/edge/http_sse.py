"""HTTP with SSE, the transport of 2024-11-05, for clients that know no other: one stream for everything that a server says.

Source: MCP specification 2024-11-05, "Transports". Behind it is a legacy session like any other; it ends with its stream.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from ..access.admission import SESSION_HEADER, Denied
from ..access.credentials import joined
from ..protocol import jsonrpc, versions
from ..requests.responder import Headers, RequestHeaders
from ..requests.router import Router
from ..streams.replay import KEEP_ALIVE, Stream, events

STREAM_HEADERS: Final = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
_MAX_WAITING: Final = 1000  # messages that a client may leave unread
_MAX_OPEN: Final = 10_000
_BODY_DEADLINE: Final = 10.0  # seconds


@dataclass(slots=True)
class _Client:
    """One open stream and the session behind it."""

    principal: str
    outgoing: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(_MAX_WAITING))
    token: str = ""

    def put(self, message: bytes) -> bool:
        """Send a message; a client that reads nothing loses its stream."""
        try:
            self.outgoing.put_nowait(b"event: message\ndata: " + jsonrpc.one_line(message) + b"\n\n")
        except asyncio.QueueFull:
            return False
        return True


class _Posted:
    """One posted message; what is answered to it goes to the stream."""

    offered = versions.OFFERED_SSE
    takes_streams = True

    def __init__(self, client: _Client, headers: RequestHeaders, body: bytes) -> None:
        self.headers, self.body = headers, body
        self.on_disconnect: Callable[[], None] | None = None
        self.status = 202
        self.refusal = b""
        self._client = client

    def reply(self, status: int, body: bytes = b"", headers: Headers = [], *, event: str = "") -> None:  # noqa: B006 - never changed
        """A JSON-RPC answer goes to the stream; what was refused before it came to that is the POST's own answer."""
        for name, value in headers:
            if name == SESSION_HEADER:
                self._client.token = value.decode()
        if status >= 400:
            self.status, self.refusal = status, body
        elif body:
            self._client.put(body)

    def notify(self, message: bytes, event: str = "") -> bool:
        """Send a message before the answer."""
        return not message or self._client.put(message)


def denied_response(router: Router, denied: Denied) -> Response:
    """A refusal before any JSON-RPC."""
    body = router.admission.refusal(denied)
    headers = {name.decode(): value.decode() for name, value in denied.headers}
    return Response(body, status_code=denied.status, media_type="application/json", headers=headers)


def routes(router: Router) -> list[Route]:
    """GET /sse, and the POST path that its first event names."""
    clients: dict[str, _Client] = {}

    async def connect(request: Request) -> Response:
        try:
            principal = router.admission.admit(joined(request.headers.raw))
            if len(clients) >= _MAX_OPEN:
                raise Denied(503, f"{_MAX_OPEN} streams are open")
        except Denied as denied:
            return denied_response(router, denied)
        id, client = secrets.token_urlsafe(24), _Client(principal)
        clients[id] = client

        async def stream() -> AsyncIterator[bytes]:
            try:
                async for event in _events(router, id, client):
                    yield event
            finally:
                del clients[id]
                _end(router, client)

        return StreamingResponse(stream(), media_type="text/event-stream", headers=STREAM_HEADERS)

    async def post(request: Request) -> Response:
        try:
            headers = joined(request.headers.raw)
            principal = router.admission.admit(headers)
            client = clients.get(request.query_params.get("id", ""))
            if client is None or client.principal != principal:
                raise Denied(404, "no such stream: open /sse first")
            try:
                async with asyncio.timeout(_BODY_DEADLINE):
                    body = await request.body()
            except TimeoutError:
                raise Denied(408, "the request did not arrive in time") from None
        except Denied as denied:
            return denied_response(router, denied)
        if client.token:
            headers[SESSION_HEADER] = client.token.encode()
        posted = _Posted(client, headers, body)
        router.handle(posted)
        return Response(posted.refusal, status_code=posted.status, media_type="application/json" if posted.refusal else None)

    return [Route("/sse", connect, methods=["GET"]), Route("/sse/messages", post, methods=["POST"])]


async def _events(router: Router, id: str, client: _Client) -> AsyncIterator[bytes]:
    """The POST path, then all that is said: answers, and from initialize on what the session's servers say by themselves."""
    yield b"event: endpoint\ndata: /sse/messages?id=%b\n\n" % id.encode()
    relaying: asyncio.Task[None] | None = None
    stream: Stream | None = None
    try:
        while True:
            try:
                async with asyncio.timeout(KEEP_ALIVE):
                    event = await client.outgoing.get()
            except TimeoutError:
                event = b": keep-alive\n\n"
            if event is None or client.outgoing.full():
                return
            yield event
            if relaying is None and client.token:
                session = router.admission.session({SESSION_HEADER: client.token.encode()}, client.principal)
                stream, _ = router.server_messages.open(session.id)
                relaying = asyncio.ensure_future(_relay(stream, client))
    finally:
        if relaying is not None:
            relaying.cancel()
        if stream is not None:
            router.server_messages.close(stream)


async def _relay(stream: Stream, client: _Client) -> None:
    async for event in events(stream, 0, keep_alive=3600.0):
        if event.startswith(b"event:"):
            await client.outgoing.put(event)
    await client.outgoing.put(None)  # the gateway drains


def _end(router: Router, client: _Client) -> None:
    if client.token:
        try:
            router.end_session(router.admission.session({SESSION_HEADER: client.token.encode()}, client.principal))
        except Denied:
            return  # it has ended already
