"""Streams of events that a legacy client may come back to: what it has missed is kept for a while.

Source: MCP specification 2025-11-25, "Resumability and Redelivery": ids are unique in a session, and only one stream is replayed.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from typing import Final

KEEP_ALIVE: Final = 15.0  # seconds between comments on an idle stream: middleboxes close what is silent
_MAX_EVENTS: Final = 1000  # of one stream; then the oldest goes
_MAX_BYTES: Final = 64 << 20  # of all streams together; then the oldest stream goes
_MAX_STREAMS: Final = 20_000


class Stream:
    """The messages of one stream, numbered from 1."""

    def __init__(self, owner: Replay, key: str, id: str) -> None:
        self.key, self.id = key, id
        self.done = False  # nothing will be added
        self.attached = False  # somebody reads it now
        self.size = 0
        self._owner = owner
        self._kept: deque[tuple[int, bytes]] = deque()
        self._number = 0
        self._news = asyncio.Event()

    def add(self, message: bytes) -> str:
        """Add a message. Returns: the id of its event."""
        self._number += 1
        self._kept.append((self._number, message))
        self._owner.grown(self, len(message))
        if len(self._kept) > _MAX_EVENTS:
            self._owner.grown(self, -len(self._kept.popleft()[1]))
        self._news.set()
        return self.event_id(self._number)

    def finish(self) -> None:
        """The last message has been added."""
        self.done = True
        self._news.set()

    def event_id(self, number: int) -> str:
        """The id of an event; 0 is the one before the first."""
        return f"{self.id}-{number}"

    def after(self, number: int) -> list[tuple[str, bytes]]:
        """The events after a number, as far as they are kept."""
        return [(self.event_id(n), message) for n, message in self._kept if n > number]

    async def wait(self, number: int) -> None:
        """Wait until there is something after a number, or there will be nothing more."""
        while not self.done and self._number <= number:
            self._news.clear()
            await self._news.wait()

    @property
    def number(self) -> int:
        """The number of the latest event."""
        return self._number


class Replay:
    """The streams of all sessions."""

    def __init__(self) -> None:
        self._streams: OrderedDict[tuple[str, str], Stream] = OrderedDict()
        self._size = 0
        self._ids = itertools.count(1)

    def open(self, key: str) -> Stream:
        """A new stream of a session."""
        stream = Stream(self, key, f"s{next(self._ids)}")
        self._streams[key, stream.id] = stream
        if len(self._streams) > _MAX_STREAMS:
            self._drop_oldest()
        return stream

    def find(self, key: str, event: str) -> tuple[Stream, int] | None:
        """The stream of an event's id, and the event's number; None if it is not (any more) this session's."""
        id, _, number = event.rpartition("-")
        stream = self._streams.get((key, id))
        return (stream, int(number)) if stream is not None and number.isdecimal() and len(number) < 10 else None

    def grown(self, stream: Stream, by: int) -> None:
        """A stream keeps more, or less."""
        if self._streams.get((stream.key, stream.id)) is not stream:
            return  # it is not kept any more itself
        stream.size += by
        self._size += by
        while self._size > _MAX_BYTES and len(self._streams) > 1:
            self._drop_oldest()

    def forget(self, key: str) -> None:
        """A session is over."""
        for found in [found for found in self._streams if found[0] == key]:
            self._size -= self._streams.pop(found).size

    def _drop_oldest(self) -> None:
        _, stream = self._streams.popitem(last=False)
        self._size -= stream.size


async def events(stream: Stream, number: int, *, keep_alive: float = KEEP_ALIVE) -> AsyncIterator[bytes]:
    """A stream from after an event on, as server-sent events, with comments while nothing happens."""
    while True:
        for id, message in stream.after(number):
            yield b"event: message\nid: %b\ndata: %b\n\n" % (id.encode(), message)
        number = stream.number
        if stream.done:
            return
        try:
            async with asyncio.timeout(keep_alive):
                await stream.wait(number)
        except TimeoutError:
            yield b": keep-alive\n\n"
