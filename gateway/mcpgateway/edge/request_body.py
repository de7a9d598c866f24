"""The body of a request: where it ends, and what it holds (RFC 9112 section 6.3 and 7.1). Pure: bytes in, counts out."""

from __future__ import annotations

import re
from typing import Final

from .limits import MAX_HEAD
from .request_head import CHUNKED, BadRequest

_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})(?:;([^\r\n]*))?\Z")  # no white space: parsers disagree about it
_TRAILER: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\Z")  # RFC 9110 section 5.5
_MAX_SIZE_LINE: Final = 4 << 10  # bytes of a chunk's size and extensions
_STEP: Final = 16 << 10  # bytes of chunks that are taken at once: a chunk of one byte costs as much as one of a thousand


class SizedBody:
    """A body whose length was announced."""

    __slots__ = ("_left", "content")

    def __init__(self, length: int) -> None:
        self.content = bytearray()
        self._left = length

    @property
    def complete(self) -> bool:
        """Whether all of it is there."""
        return self._left == 0

    def feed(self, data: bytes | bytearray) -> int:
        """Take what belongs to the body. Returns: how many bytes that are."""
        part = data[: self._left]
        self.content += part
        self._left -= len(part)
        return len(part)


class ChunkedBody:
    """A body in chunks. Extensions and trailers are dropped, but bounded."""

    __slots__ = ("_extra", "_left", "_limit", "_line", "complete", "content")

    def __init__(self, limit: int) -> None:
        self.content = bytearray()
        self.complete = False
        self._limit = limit
        self._left = 0  # bytes of the current chunk, and then 2 for the CRLF behind it
        self._line = self._size_line
        self._extra = 0  # bytes of extensions and trailers

    def feed(self, data: bytes | bytearray) -> int:
        """Take what belongs to the body, not always all at once. Returns: how many bytes that are.

        Raises: BadRequest (400 malformed, 413 content over the limit, 431 extensions and trailers over theirs).
        """
        at, end = 0, min(len(data), _STEP)
        while at < end and not self.complete:
            if self._left > 2:
                part = data[at : at + self._left - 2]
                self.content += part
                self._left -= len(part)
                at += len(part)
                continue
            if self._left:  # the CRLF behind a chunk
                if len(data) - at < 2:
                    break
                if data[at : at + 2] != b"\r\n":
                    raise BadRequest(400, "a chunk is longer than its size says")
                self._left = 0
                at += 2
                continue
            stop = data.find(b"\r\n", at)
            if stop - at > _MAX_SIZE_LINE or (stop < 0 and len(data) - at > _MAX_SIZE_LINE):
                raise BadRequest(431, f"a chunk's extension or a trailer is over {_MAX_SIZE_LINE} bytes")
            if stop < 0:
                break
            self._line(bytes(data[at:stop]))
            at = stop + 2
        return at

    def _size_line(self, line: bytes) -> None:
        match = _CHUNK_SIZE.match(line)
        if match is None:
            raise BadRequest(400, "a chunk's size must be a hexadecimal number")
        self._count(len(match[2] or b""))
        size = int(match[1], 16)
        if len(self.content) + size > self._limit:
            raise too_large(self._limit)
        if size:
            self._left = size + 2
        else:
            self._line = self._trailer_line

    def _trailer_line(self, line: bytes) -> None:
        if line and _TRAILER.match(line) is None:
            raise BadRequest(400, "a trailer is not well-formed")
        self._count(len(line))
        self.complete = not line

    def _count(self, extra: int) -> None:
        self._extra += extra
        if self._extra > MAX_HEAD:
            raise BadRequest(431, f"chunk extensions and trailers over {MAX_HEAD} bytes")


Body = SizedBody | ChunkedBody


def body_of(length: int, limit: int) -> Body:
    """An empty body of a length, which may be CHUNKED. Raises: BadRequest (413) if it is over the limit, in bytes."""
    if length > limit:
        raise too_large(limit)
    return ChunkedBody(limit) if length == CHUNKED else SizedBody(length)


def too_large(limit: int) -> BadRequest:
    """A body over the limit, in bytes."""
    return BadRequest(413, f"the body is over {limit} bytes (spec.limits.requestBytes)")
