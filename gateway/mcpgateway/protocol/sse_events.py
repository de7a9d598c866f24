"""Server-sent events: written as bytes, and read from chunks of any size.

Source: WHATWG HTML, "Server-sent events", section 9.2.5 and 9.2.6; MCP specification 2025-11-25, "Streamable HTTP", resumability.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from .decoder import one_line
from .limits import MAX_EVENT_LINES, MAX_MESSAGE, LineTooLong

KEEP_ALIVE_COMMENT: Final = b": keep-alive\n\n"  # nothing to its reader; keeps middleboxes from closing the stream

_LINE_END = re.compile(rb"\r\n|\n|\r")


# --- written --------------------------------------------------------------------------------------------------------------


def message_event(message: bytes, *, id: str = "") -> bytes:
    """One JSON-RPC message as an event, with an id where it can be asked for again (`Last-Event-ID`)."""
    head = b"event: message\nid: %b\ndata: " % id.encode() if id else b"event: message\ndata: "
    return head + one_line(message) + b"\n\n"


def named_event(name: str, data: str) -> bytes:
    """An event that is no message; neither its name nor its data contains a line break."""
    return f"event: {name}\ndata: {data}\n\n".encode()


def priming_event(id: str) -> bytes:
    """An event without data: from here on a client that is cut off can come back.

    It has no field `retry`, which is due only before a server closes the stream itself: the Java SDK refuses a stream with it.
    """
    return b"id: %b\ndata:\n\n" % id.encode()


# --- read -----------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Event:
    """One event; `data` has its lines joined."""

    name: str
    data: bytes
    id: str = ""  # of this event, or of the last event that had an id


@dataclass(slots=True)
class EventParser:
    """Turns chunks of any size into whole events; its work is linear in the number of bytes."""

    limit: int = MAX_MESSAGE  # bytes of one event's data, line ends included
    max_lines: int = MAX_EVENT_LINES
    retry: float | None = None  # seconds that the server requests a client to wait before it reconnects
    last_id: str = ""
    _name: str = ""
    _data: list[bytes] = field(default_factory=list)
    _size: int = 0  # bytes of the event's data so far
    _lines: int = 0  # lines since the last empty one
    _parts: list[bytes] = field(default_factory=list)  # of a line whose end has not come
    _held: int = 0  # bytes of those

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that this chunk completes. Raises: LineTooLong for an event of too many bytes or lines."""
        if self._parts and not _LINE_END.search(chunk) and not self._parts[-1].endswith(b"\r"):
            self._hold(chunk)
            return []
        text = b"".join([*self._parts, chunk])
        self._parts, self._held = [], 0
        *lines, rest = _LINE_END.split(text)
        if text.endswith(b"\r"):  # its LF may come with the next chunk
            rest = lines.pop() + b"\r"
        events = []
        for line in lines:
            if line:
                self._take(line)
            elif self._lines and (event := self._complete()) is not None:
                events.append(event)
        if rest:
            self._hold(rest)
        return events

    def _hold(self, part: bytes) -> None:
        self._parts.append(part)
        self._held += len(part)
        self._check()

    def _check(self) -> None:
        if self._size + self._held > self.limit:
            raise LineTooLong(f"an event of over {self.limit} bytes")
        if self._lines > self.max_lines:
            raise LineTooLong(f"an event of over {self.max_lines} lines")

    def _complete(self) -> Event | None:
        """An empty line has come: the lines before it are an event, if there is data among them."""
        event = Event(self._name or "message", b"\n".join(self._data), self.last_id) if self._data else None
        self._name, self._data, self._size, self._lines = "", [], 0, 0
        return event

    def _take(self, line: bytes) -> None:
        self._lines += 1
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._size += len(value) + 1
        elif name == b"event":
            self._name = value.decode(errors="replace")
        elif name == b"id" and b"\0" not in value:
            self.last_id = value.decode(errors="replace")
        elif name == b"retry" and value.isdigit():
            self.retry = int(value[:9]) / 1000
        self._check()
