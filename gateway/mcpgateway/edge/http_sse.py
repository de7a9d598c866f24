"""HTTP with SSE, the transport of 2024-11-05, for clients that have no other: one stream for everything that a server sends.

Source: MCP specification 2024-11-05, "Transports". Behind it is a legacy session like any other; it ends with its stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs

from msgspec import UNSET

from ..access.admission import SESSION_HEADER, Denied
from ..access.sessions import Session
from ..protocol import jsonrpc, sse_events, versions
from ..protocol.exchange import JSON, Headers, RequestHeaders
from ..requests.router import Router
from ..streams.replay import KEEP_ALIVE, Stream, events
from .exchange import HttpExchange

_MAX_WAITING: Final = 1000  # messages that a client may leave unread
_MAX_OPEN: Final = 10_000
_MAX_PARAMETERS: Final = 16  # of a query


@dataclass(slots=True)
class _Client:
    """One open stream and the session behind it."""

    principal: str
    outgoing: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(_MAX_WAITING))
    token: str = ""
    stream: Stream | None = None  # what the session's servers send unasked, and
    relaying: asyncio.Task[None] | None = None  # the task that copies it

    def put(self, message: bytes) -> bool:
        """Send a message; a client that reads nothing loses its stream."""
        try:
            self.outgoing.put_nowait(sse_events.message_event(message))
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
        """The answer to a request goes to the stream, an error too; what is refused of anything else is the POST's own answer."""
        for name, value in headers:
            if name == SESSION_HEADER:
                self._client.token = value.decode()
        if status >= 400 and jsonrpc.legible_id(body) == b"null":
            self.status, self.refusal = status, body
        elif body:
            self._client.put(body)

    def notify(self, message: bytes, event: str = "") -> bool:
        """Send a message before the answer."""
        return not message or self._client.put(message)


class HttpSse:
    """GET /sse, and the POST path that its first event names."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._clients: dict[str, _Client] = {}

    def connect(self, exchange: HttpExchange) -> None:
        """Open a stream. Raises: Denied."""
        principal = self._router.admission.admit(exchange.headers)
        if len(self._clients) >= _MAX_OPEN:
            raise Denied(503, f"{_MAX_OPEN} streams are open", [(b"retry-after", b"30")])
        id, client = secrets.token_urlsafe(24), _Client(principal)
        self._clients[id] = client

        def end() -> None:
            del self._clients[id]
            self._end(client)

        path = f"{exchange.head.prefix.decode('latin-1')}/sse/messages?id={id}"
        exchange.stream(self._events(path, client), on_end=end)

    async def _events(self, path: str, client: _Client) -> AsyncGenerator[bytes, None]:
        """The POST path as the client reaches it, then every message: answers, and after initialize what servers send unasked."""
        yield sse_events.named_event("endpoint", path)
        while True:
            try:
                async with asyncio.timeout(KEEP_ALIVE):
                    event = await client.outgoing.get()
            except TimeoutError:
                event = sse_events.KEEP_ALIVE_COMMENT
            if event is None or client.outgoing.full():
                return
            yield event
            if client.relaying is None and client.token:
                session = self._session(client)
                client.stream, _ = self._router.streams.open(session.id)
                client.relaying = asyncio.ensure_future(_relay(client.stream, client))

    def _session(self, client: _Client) -> Session:
        """Raises: Denied."""
        return self._router.admission.session({SESSION_HEADER: client.token.encode()}, client.principal)

    def _end(self, client: _Client) -> None:
        """The stream is closed, and its session ends with it."""
        if client.relaying is not None:
            client.relaying.cancel()
        if client.stream is not None:
            self._router.streams.close(client.stream)
        if client.token:
            with contextlib.suppress(Denied):  # it has ended already
                self._router.session_state.end(self._session(client))

    def post(self, exchange: HttpExchange) -> None:
        """Take a message; what is answered to it goes to the stream. Raises: Denied."""
        principal = self._router.admission.admit(exchange.headers)
        client = self._clients.get(_stream_id(exchange.head.query))
        if client is None or client.principal != principal:
            raise Denied(404, "no such stream: open /sse first")
        headers = dict(exchange.headers)
        refused = None if client.token else _before_session(exchange.body)
        if refused is not None:
            client.put(refused)
            exchange.reply(202)
            return
        if client.token:
            headers[SESSION_HEADER] = client.token.encode()
        posted = _Posted(client, headers, exchange.body)
        self._router.handle(posted)
        exchange.reply(posted.status, posted.refusal, JSON if posted.refusal else [])


def _before_session(body: bytes) -> bytes | None:
    """The answer to a request that needs a session; None for `initialize`, and what is no request.

    Clients of several versions try `server/discover` first, and take an error for a reason to send `initialize`.
    """
    try:
        envelope = jsonrpc.decode(body)
    except jsonrpc.ProtocolError:
        return None
    if envelope.id is UNSET or envelope.method in (UNSET, "initialize"):
        return None
    return jsonrpc.failure(bytes(envelope.id), jsonrpc.INVALID_REQUEST, "this stream has no session yet: send initialize first")


def _stream_id(query: bytes) -> str:
    """The parameter `id`, empty if there is not exactly one."""
    try:
        ids = parse_qs(query.decode("latin-1"), max_num_fields=_MAX_PARAMETERS).get("id", [])
    except ValueError:
        return ""
    return ids[0] if len(ids) == 1 else ""


async def _relay(stream: Stream, client: _Client) -> None:
    async for event in events(stream, 0, keep_alive=3600.0):
        if event.startswith(b"event:"):
            await client.outgoing.put(event)
    await client.outgoing.put(None)  # the gateway drains
