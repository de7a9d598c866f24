"""Server-sent events, read as they come.

Source: WHATWG HTML, "Server-sent events", parsing an event stream.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ..upstream.bridge.framing import LineTooLong

_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(slots=True)
class Event:
    """One event; `data` has its lines joined."""

    name: str
    data: bytes
    id: str = ""  # of this event, or the last one that had any


@dataclass(slots=True)
class EventParser:
    """Turns chunks of any size into whole events."""

    limit: int = 16 << 20  # bytes of one event
    retry: float | None = None  # seconds that the server wants a client to wait before it comes back
    last_id: str = ""
    _name: str = ""
    _data: list[bytes] = field(default_factory=list)
    _size: int = 0
    _parts: list[bytes] = field(default_factory=list)

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that this chunk completes. Raises: LineTooLong."""
        if not _LINE_END.search(chunk) and self._parts:
            self._hold(chunk)
            return []
        text = b"".join([*self._parts, chunk])
        self._parts, self._size = [], sum(map(len, self._data))
        *lines, rest = _LINE_END.split(text)
        if text.endswith(b"\r"):  # its LF may come with the next chunk
            rest = lines.pop() + b"\r"
        if rest:
            self._hold(rest)
        return [event for line in lines if (event := self._take(line)) is not None]

    def _hold(self, part: bytes) -> None:
        self._parts.append(part)
        self._grow(len(part))

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > self.limit:
            raise LineTooLong(f"an event of over {self.limit} bytes")

    def _take(self, line: bytes) -> Event | None:
        if not line:
            event = Event(self._name or "message", b"\n".join(self._data), self.last_id) if self._data else None
            self._name, self._data, self._size = "", [], 0
            return event
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._grow(len(value))
        elif name == b"event":
            self._name = value.decode(errors="replace")
        elif name == b"id" and b"\0" not in value:
            self.last_id = value.decode(errors="replace")
        elif name == b"retry" and value.isdigit():
            self.retry = int(value[:9]) / 1000
        return None
