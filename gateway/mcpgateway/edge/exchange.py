"""One request and its response.

Source: RFC 9110 (HTTP semantics); RFC 9112 (HTTP/1.1); HTML standard, "Server-sent events".
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING

from ..protocol import jsonrpc, sse_events, versions
from ..protocol.exchange import JSON, Headers
from ..streams.replay import KEEP_ALIVE
from . import response
from .limits import MAX_UNREAD_EVENTS
from .request_head import RequestHead

if TYPE_CHECKING:
    from .connection import Connection

Handler = Callable[["HttpExchange"], None]


class HttpExchange:
    """One request, complete with its body when a handler gets it, and the means to respond once."""

    # what holds for most requests is set once, for the class
    offered = versions.OFFERED_LEGACY
    on_disconnect: Callable[[], None] | None = None
    body = b""
    done = False  # the response is complete, or has nowhere to go
    streaming = False  # the response is a stream of events, and has begun
    awaited = False  # it was unanswered at a look through all connections
    incomplete = False  # refused before all of its body was read

    def __init__(self, connection: Connection, head: RequestHead, handler: Handler) -> None:
        self._connection = connection
        self.head = head
        self.headers = head.fields
        self.handler = handler
        self.keep_alive = head.keep_alive

    def disconnect(self) -> None:
        """The connection is lost before the response was complete."""
        if not self.done:
            self.done = True
            if self.on_disconnect is not None:
                self.on_disconnect()

    # --- one response -----------------------------------------------------------------------------------------------------

    def reply(
        self,
        status: int,
        body: bytes = b"",
        headers: Headers = [],  # noqa: B006 - never changed
        *,
        event: str = "",
    ) -> None:
        """Write the response; a second one, or one to a client that is gone, is dropped."""
        if self.done:
            return
        if self.streaming:
            if body:
                self._write_event(body, event)
            self.end_stream()
        elif status == 401 and (delay := self._connection.failed_login()) > 0:
            self._connection.loop.call_later(delay, self._write_whole, status, body, headers)
        else:
            self._write_whole(status, body, headers)

    def refuse(self, status: int, message: str, headers: Headers = []) -> None:  # noqa: B006 - never changed
        """Respond with an error before any JSON-RPC."""
        body = jsonrpc.failure(b"null", jsonrpc.INVALID_REQUEST, message)
        self.reply(status, body, JSON + headers)

    def _write_whole(self, status: int, body: bytes, headers: Headers) -> None:
        if self.done:
            return
        connection = self._connection
        if self.head.origin is not None:
            headers = headers + connection.cross_origin(self.headers)
        size = len(body)
        if status == 200 and headers is JSON and self.keep_alive:  # of a POST
            head = connection.edge.json_head(size, connection.loop.time())
        else:
            head = response.head(status, headers, connection.date(), length=size, close=not self.keep_alive)
            if self.head.method == b"HEAD":
                body = b""
        if size < response.JOINED:
            connection.write(head + body)
        else:
            connection.write(head)
            connection.write(body)
        self._complete()

    def _complete(self) -> None:
        self.done = True
        self.on_disconnect = None  # it leads back here: without the cycle there is nothing for the garbage collector
        self._connection.answered(self)

    # --- stream -----------------------------------------------------------------------------------------------------------

    @property
    def takes_streams(self) -> bool:
        """Whether its client reads streams of events."""
        accept = self.headers.get(b"accept", b"").lower()
        return b"text/event-stream" in accept or b"*/*" in accept or b"text/*" in accept

    def notify(self, message: bytes, event: str = "") -> bool:
        """Send a message before the response, which becomes a stream of events by it (HTML standard, "Server-sent events").

        Returns: False for a client that does not take streams, or does not read the one it has: then it is dropped.
        """
        if self.done or not self.takes_streams or self._connection.unread > MAX_UNREAD_EVENTS:
            return False
        if not self.streaming:
            self.begin_stream()
            self._keep_open()
        self._write_event(message, event)
        return True

    def end_silence(self) -> None:
        """The response is long in coming: begin it as a stream, for a client that asks for streams by name.

        That to `initialize`, which waits for servers that start, names the session in a header, so its head cannot go first.
        """
        headers = self.headers
        within = b"mcp-session-id" in headers or b"mcp-method" in headers  # a session, or the modern era
        if within and not self.done and not self.streaming and b"text/event-stream" in headers.get(b"accept", b"").lower():
            self.begin_stream()
            self._comment()

    def begin_stream(self) -> None:
        """Send the head of a stream of events. Without chunks, in HTTP/1.0, it ends with its connection."""
        self.streaming = True
        chunked = self.head.version == "1.1"
        self.keep_alive = self.keep_alive and chunked
        connection = self._connection
        headers = [] if self.head.origin is None else connection.cross_origin(self.headers)
        connection.write(response.stream_head(headers, connection.date(), chunked=chunked, close=not self.keep_alive))

    def write(self, data: bytes) -> None:
        """Send a part of the stream."""
        if not self.done:
            self._connection.write(response.chunk(data) if self.head.version == "1.1" else data)

    def end_stream(self) -> None:
        """The stream is complete."""
        if not self.done:
            if self.head.version == "1.1":
                self._connection.write(response.LAST_CHUNK)
            self._complete()

    def _write_event(self, message: bytes, event: str) -> None:
        if event and not message:
            self.write(sse_events.priming_event(event))
        else:
            self.write(sse_events.message_event(message, id=event))

    def _keep_open(self) -> None:
        """Comments keep middleboxes from closing a stream on which nothing happens."""
        if not self.done:
            self._connection.loop.call_later(KEEP_ALIVE, self._comment)

    def _comment(self) -> None:
        if not self.done:
            self.write(sse_events.KEEP_ALIVE_COMMENT)
            self._keep_open()

    def stream(self, events: AsyncGenerator[bytes, None], *, on_end: Callable[[], None]) -> None:
        """Respond with a stream of what a generator yields, as fast as the client reads; `on_end` is called however it ends."""
        self.begin_stream()
        task = self._connection.start(self._pump(events))
        task.add_done_callback(lambda _: on_end())

        def cancel() -> None:
            task.cancel()

        self.on_disconnect = cancel

    async def _pump(self, events: AsyncGenerator[bytes, None]) -> None:
        try:
            async with contextlib.aclosing(events):
                async for event in events:
                    self.write(event)
                    await self._connection.drained()
                    if self.done:
                        return
        except Exception as error:
            self._connection.caught("stream", error)
            self.keep_alive = False
        self.end_stream()
