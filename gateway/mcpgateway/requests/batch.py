"""A POST with several messages: each is served as if it came by itself, and their responses go into one HTTP response.

Source: MCP specification 2025-03-26, "Streamable HTTP", "Sending Messages to the Server".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from ..protocol import batches, jsonrpc
from ..protocol.exchange import JSON, Exchange, Headers

MAX_ANSWERS: Final = 16 << 20  # bytes of responses that wait for the rest of their batch
_TOO_LARGE: Final = f"the responses to this batch are over {MAX_ANSWERS >> 20} MiB: send fewer requests in one batch"


class _Member:
    """One message of a batch, as an exchange of its own."""

    def __init__(self, batch: _Batch, exchange: Exchange, body: bytes) -> None:
        self.headers, self.offered, self.body = exchange.headers, exchange.offered, body
        self.on_disconnect: Callable[[], None] | None = None
        self._batch, self._exchange = batch, exchange
        self._done = False

    @property
    def takes_streams(self) -> bool:
        """Whether its client reads streams of events."""
        return self._exchange.takes_streams

    def reply(self, status: int, body: bytes = b"", headers: Headers = [], *, event: str = "") -> None:  # noqa: B006 - never changed
        """Answer; a notification, a response and a cancelled request get none."""
        if not self._done:
            self._done, self.on_disconnect = True, None
            self._batch.complete(body, event)

    def notify(self, message: bytes, event: str = "") -> bool:
        """Send a message before the answer."""
        return not self._done and self._exchange.notify(message, event)


class _Batch:
    """Counts what is not complete. A client that takes streams gets each response as it comes, another one all in an array."""

    def __init__(self, exchange: Exchange, bodies: list[bytes], handle: Callable[[Exchange], None]) -> None:
        self._exchange, self._handle = exchange, handle
        self._members = [_Member(self, exchange, body) for body in bodies]
        self._next = 0
        self._left = len(bodies)
        self._answers: list[bytes] = []  # not sent yet
        self._size = 0  # of those, in bytes
        exchange.on_disconnect = self._disconnect

    def step(self) -> None:
        """Serve one message, and the next one when others had their turn."""
        member = self._members[self._next]
        self._next += 1
        if self._next < len(self._members):
            asyncio.get_running_loop().call_soon(self.step)
        refused = batches.refusal(member.body)
        if refused is None:
            self._handle(member)
        else:
            member.reply(200, refused)

    def complete(self, answer: bytes, event: str) -> None:
        """A member is complete, with an answer or without."""
        self._left -= 1
        if self._left and not (answer and self._exchange.takes_streams and self._exchange.notify(answer, event)):
            self._keep(answer)
        elif not self._left:
            self._finish(answer, event)

    def _keep(self, answer: bytes) -> None:
        if self._size + len(answer) > MAX_ANSWERS:
            answer = jsonrpc.failure(jsonrpc.legible_id(answer), jsonrpc.INTERNAL_ERROR, _TOO_LARGE)
        if answer:
            self._size += len(answer)
            self._answers.append(answer)

    def _finish(self, answer: bytes, event: str) -> None:
        exchange = self._exchange
        self._members.clear()  # they lead back here: without the cycle there is nothing for the garbage collector
        if exchange.takes_streams and not self._answers:
            exchange.reply(200 if answer else 202, answer, JSON if answer else [], event=event)
            return
        self._keep(answer)
        exchange.reply(200 if self._answers else 202, batches.array(self._answers) if self._answers else b"", JSON)

    def _disconnect(self) -> None:
        for member in self._members:
            if member.on_disconnect is not None:
                member.on_disconnect()


def serve(exchange: Exchange, handle: Callable[[Exchange], None]) -> None:
    """Answer a POST whose body is an array, by what serves a POST with one message. Raises: ProtocolError."""
    _Batch(exchange, batches.messages(exchange.body), handle).step()
