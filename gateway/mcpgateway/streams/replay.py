"""Streams of events that a legacy client may resume: what it has missed is kept for a while.

Source: MCP specification 2025-11-25, "Resumability and Redelivery": ids are unique in a session, and only one stream is replayed.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from typing import Final

from ..protocol import sse_events

KEEP_ALIVE: Final = 15.0  # seconds between comments on an idle stream: middleboxes close what is silent
MAX_EVENTS: Final = 1000  # of one stream; then its oldest event goes
MAX_STREAMS: Final = 100  # of one session; then its oldest stream goes
MAX_SESSION_BYTES: Final = 4 << 20  # of one session; then the oldest event of the stream that grows goes
MAX_BYTES: Final = 64 << 20  # of all sessions; then what the largest session has kept goes


class Stream:
    """The messages of one stream, numbered from 1."""

    def __init__(self, session: _Session, id: str) -> None:
        self.id = id
        self.done = False  # nothing will be added
        self.attached = False  # a client reads it now
        self._session = session
        self._kept: deque[tuple[int, bytes]] = deque()
        self._number = 0
        self._added = asyncio.Event()

    def add(self, message: bytes) -> str:
        """Add a message. Returns: the id of its event."""
        self._number += 1
        self._kept.append((self._number, message))
        self._session.grow(self, len(message))
        self._added.set()
        return self.event_id(self._number)

    def trim(self, *, over: bool) -> int:
        """Drop the oldest event of too many, or while the session is `over` its bytes. Returns: the bytes that this frees."""
        return len(self._kept.popleft()[1]) if len(self._kept) > MAX_EVENTS or (over and len(self._kept) > 1) else 0

    def clear(self) -> int:
        """Drop all events. Returns: the bytes that this frees."""
        freed = sum(len(message) for _, message in self._kept)
        self._kept.clear()
        return freed

    def finish(self) -> None:
        """The last message has been added."""
        self.done = True
        self._added.set()

    def event_id(self, number: int) -> str:
        """The id of an event; 0 is the one before the first."""
        return f"{self.id}-{number}"

    def after(self, number: int) -> list[tuple[int, bytes]]:
        """The numbers and messages after a number, as far as they are kept."""
        return [(n, message) for n, message in self._kept if n > number]

    @property
    def oldest(self) -> int:
        """The number of the oldest event that is kept; of the next one, if none is."""
        return self._kept[0][0] if self._kept else self._number + 1

    async def wait(self, number: int) -> None:
        """Wait until there is something after a number, or there will be nothing more."""
        while not self.done and self._number <= number:
            self._added.clear()
            await self._added.wait()

    @property
    def number(self) -> int:
        """The number of the latest event."""
        return self._number


class _Session:
    """The streams of one session, the oldest first, and the bytes that they keep."""

    def __init__(self, owner: Replay) -> None:
        self.streams: OrderedDict[str, Stream] = OrderedDict()
        self.size = 0
        self._owner = owner

    def grow(self, stream: Stream, by: int) -> None:
        """One of the streams has grown by a message."""
        if self.streams.get(stream.id) is not stream:  # it is not kept any more
            stream.clear()
            return
        self._count(by)
        while freed := stream.trim(over=self.size > MAX_SESSION_BYTES):
            self._count(-freed)
        self._owner.bound()

    def add(self, stream: Stream) -> None:
        """Keep one more stream."""
        self.streams[stream.id] = stream
        if len(self.streams) > MAX_STREAMS:
            oldest = next(iter(self.streams.values()))
            surplus = next((stream for stream in self.streams.values() if not stream.attached), oldest)
            del self.streams[surplus.id]
            self._count(-surplus.clear())
            surplus.finish()

    def clear(self) -> None:
        """Drop all events; the streams stay open."""
        for stream in self.streams.values():
            self._count(-stream.clear())

    def _count(self, by: int) -> None:
        self.size += by
        self._owner.size += by


class Replay:
    """What is kept for all sessions."""

    def __init__(self) -> None:
        self.size = 0  # bytes
        self._sessions: dict[str, _Session] = {}
        self._ids = itertools.count(1)

    def open(self, key: str) -> Stream:
        """A new stream of a session."""
        session = self._sessions.get(key)
        if session is None:
            session = self._sessions[key] = _Session(self)
        stream = Stream(session, f"s{next(self._ids)}")
        session.add(stream)
        return stream

    def find(self, key: str, event: str) -> tuple[Stream, int] | None:
        """The stream of an event's id, and the event's number; None unless it is kept for this session."""
        id, _, number = event.rpartition("-")
        session = self._sessions.get(key)
        stream = session.streams.get(id) if session is not None else None
        if stream is None or not (number.isascii() and number.isdecimal()) or len(number) >= 10:
            return None
        return stream, int(number)

    def bound(self) -> None:
        """Above the bound of all sessions, the largest one loses its events: a session pays for what its own server sends."""
        while self.size > MAX_BYTES:
            max(self._sessions.values(), key=lambda session: session.size).clear()

    def forget(self, key: str) -> None:
        """Drop what is kept for a session that is over."""
        session = self._sessions.pop(key, None)
        if session is not None:
            session.clear()
            session.streams.clear()

    def holds(self, key: str) -> bool:
        """Whether something is kept for a session."""
        return key in self._sessions


async def events(stream: Stream, number: int, *, keep_alive: float = KEEP_ALIVE) -> AsyncIterator[bytes]:
    """A stream from after an event on, as server-sent events, with comments while nothing happens.

    A client that reads too slowly to get all events loses its stream, and may resume it.
    """
    number = max(number, stream.oldest - 1)  # what is before that is lost to a client that resumes
    while True:
        for event, message in stream.after(number):
            yield sse_events.message_event(message, id=stream.event_id(event))
            number = event
        if stream.done and number >= stream.number:
            return
        try:
            async with asyncio.timeout(keep_alive):
                await stream.wait(number)
        except TimeoutError:
            yield sse_events.KEEP_ALIVE_COMMENT
        if stream.oldest > number + 1:
            return
