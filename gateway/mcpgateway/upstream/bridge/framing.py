"""Newline framing without asyncio's limit of 64 KiB a line, linear in the number of bytes.

Source: MCP specification, "stdio": one JSON-RPC message a line, UTF-8, delimiter LF.
"""

from __future__ import annotations

from ...protocol.limits import MAX_MESSAGE, LineTooLong


class LineSplitter:
    """Turns chunks of any size into whole lines."""

    def __init__(self, limit: int = MAX_MESSAGE) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that this chunk completes, without their newline. Raises: LineTooLong."""
        *lines, rest = chunk.split(b"\n")
        if lines and self._parts:
            lines[0] = b"".join([*self._parts, lines[0]])
            self._parts, self._size = [], 0
        if rest:
            self._parts.append(rest)
            self._size += len(rest)
        if self._size > self._limit or any(len(line) > self._limit for line in lines):
            raise LineTooLong(f"it wrote a line of over {self._limit >> 20} MiB, which is the most that a message may have")
        return lines
