"""One `POST /mcp` and its response, as bytes on the connection.

Source: RFC 9112 (HTTP/1.1); HTML standard, "Server-sent events".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from ..protocol import jsonrpc, versions
from ..requests.responder import JSON, Headers, RequestHeaders
from ..streams.replay import KEEP_ALIVE

if TYPE_CHECKING:
    from .connection import GatewayProtocol

_MAX_UNREAD = 1 << 20  # bytes of events that a client may leave unread before it gets no more
_RETRY = 1000  # ms after which a client comes back to a stream that was cut
_PLAIN_HEAD = STATUS_LINE[200] + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n"
_STREAM_HEAD = (
    b"content-type: text/event-stream\r\ncache-control: no-store\r\nx-accel-buffering: no\r\ntransfer-encoding: chunked\r\n"
)


class _Silent(asyncio.Event):
    """uvicorn sets a cycle's event; an exchange has nobody who waits for it, and one for all will do."""

    def set(self) -> None:
        """Nothing to be told."""


_SILENT = _Silent()


class McpExchange:
    """One `POST /mcp`. It has the attributes of uvicorn's RequestResponseCycle that the protocol class touches."""

    # what holds for most requests is said once, for the class
    message_event = _SILENT  # nobody waits for this kind of cycle
    offered = versions.OFFERED_LEGACY
    on_disconnect: Callable[[], None] | None = None
    complete = False
    response_complete = False
    _streaming = False

    def __init__(self, protocol: GatewayProtocol, headers: RequestHeaders, *, keep_alive: bool, expect_continue: bool) -> None:
        self._protocol = protocol
        self.headers = headers
        self.keep_alive = keep_alive
        self.expect_continue = expect_continue
        self.chunks: list[bytes] = []

    @property
    def body(self) -> bytes:
        """The whole body, once it is complete."""
        return self.chunks[0] if len(self.chunks) == 1 else b"".join(self.chunks)

    @property
    def disconnected(self) -> bool:
        """uvicorn sets this when the connection is lost before the response was complete."""
        return self.response_complete

    @disconnected.setter
    def disconnected(self, value: bool) -> None:
        if value and not self.response_complete:
            self.response_complete = True
            if self.on_disconnect is not None:
                self.on_disconnect()

    def reply(
        self,
        status: int,
        body: bytes = b"",
        headers: Headers = [],  # noqa: B006 - never changed
        *,
        event: str = "",
    ) -> None:
        """Write the response; a second one, or one to a client that is gone, is dropped."""
        if self.response_complete:
            return
        self.response_complete = True
        self.on_disconnect = None  # it leads back here: without the circle there is nothing for the garbage collector
        protocol = self._protocol
        if self._streaming:
            self._end_stream(body, event)
        else:
            self._write_whole(status, body, headers)
        if not self.keep_alive:
            protocol.transport.close()
        protocol.cycle = cast("RequestResponseCycle", None)  # an idle connection does not keep its last request
        protocol.on_response_complete()

    def _write_whole(self, status: int, body: bytes, headers: Headers) -> None:
        transport = self._protocol.transport
        if status == 200 and headers is JSON and self.keep_alive:
            head = _PLAIN_HEAD % len(body)
        else:
            lines = [name + b": " + value + b"\r\n" for name, value in headers]
            close = b"" if self.keep_alive else b"connection: close\r\n"
            head = STATUS_LINE[status] + b"".join(lines) + close + b"content-length: %d\r\n\r\n" % len(body)
        if len(body) < 1 << 16:
            transport.write(head + body)
        else:
            transport.write(head)
            transport.write(body)

    # --- stream -----------------------------------------------------------------------------------------------------------

    def notify(self, message: bytes, event: str = "") -> bool:
        """Send a message before the response, which becomes a stream of events by it (HTML standard, "Server-sent events").

        Returns: False for a client that does not take streams, or does not read the one it has: then it is dropped.
        """
        transport = self._protocol.transport
        if self.response_complete or not self.takes_streams or transport.get_write_buffer_size() > _MAX_UNREAD:
            return False
        if not self._streaming:
            self._streaming = True
            connection = b"" if self.keep_alive else b"connection: close\r\n"
            transport.write(STATUS_LINE[200] + _STREAM_HEAD + connection + b"\r\n")
            self._keep_open()
        self._write_event(message, event)
        return True

    @property
    def takes_streams(self) -> bool:
        """Whether its client reads streams of events."""
        accept = self.headers.get(b"accept", b"")
        return self._protocol.http_version != "1.0" and (b"text/event-stream" in accept or b"*/*" in accept)

    def _write_event(self, message: bytes, event: str) -> None:
        if event and not message:
            self._write_chunk(b"id: %b\nretry: %d\ndata:\n\n" % (event.encode(), _RETRY))
            return
        id = b"id: %b\n" % event.encode() if event else b""
        self._write_chunk(b"event: message\n" + id + b"data: " + jsonrpc.one_line(message) + b"\n\n")

    def _write_chunk(self, data: bytes) -> None:
        self._protocol.transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def _keep_open(self) -> None:
        """Comments keep middleboxes from closing a stream on which nothing happens."""
        if not self.response_complete:
            self._protocol.loop.call_later(KEEP_ALIVE, self._comment)

    def _comment(self) -> None:
        if not self.response_complete:
            self._write_chunk(b": keep-alive\n\n")
            self._keep_open()

    def _end_stream(self, body: bytes, event: str) -> None:
        if body:
            self._write_event(body, event)
        self._protocol.transport.write(b"0\r\n\r\n")
