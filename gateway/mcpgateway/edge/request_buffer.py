"""What a client has sent and no request has taken yet, and the heads that are cut out of it (RFC 9112 section 2). Pure."""

from __future__ import annotations

from typing import Final

from .limits import MAX_BLANK, MAX_HEAD, MAX_TARGET
from .request_head import HEAD_END, BadRequest

_EMPTY_LINE: Final = b"\r\n"


class RequestBuffer:
    """Received bytes, at the front of which a request begins or goes on."""

    __slots__ = ("_blank", "data")

    def __init__(self) -> None:
        self.data = bytearray()
        self._blank = 0  # bytes of empty lines since the last head

    def begun(self) -> bool:
        """Whether a request has begun to arrive. Empty lines before it are dropped (RFC 9112 section 2.2).

        Raises: BadRequest (400) for too many of them, and for line ends that parsers read differently.
        """
        if self.data[:1] in _EMPTY_LINE:
            self._drop_empty_lines()
        return bool(self.data) and self.data != b"\r"

    def _drop_empty_lines(self) -> None:
        data, size = self.data, 0
        while size <= MAX_BLANK and data.startswith(_EMPTY_LINE, size):
            size += len(_EMPTY_LINE)
        del data[:size]
        self._blank += size
        if self._blank > MAX_BLANK:
            raise BadRequest(400, f"over {MAX_BLANK} bytes of empty lines before a request")
        if data[:1] == b"\n" or (data[:1] == b"\r" and len(data) > 1):  # parsers disagree about what such a line is
            raise BadRequest(400, "the request is not well-formed HTTP: a line must end with CR and LF")

    def take_head(self) -> bytes | None:
        """Cut out the head of a request that has begun; None while it is incomplete. Raises: BadRequest (414, 431)."""
        data = self.data
        end = data.find(HEAD_END)
        size = end + len(HEAD_END)
        if size > MAX_HEAD or (end < 0 and len(data) > MAX_HEAD):
            raise _too_large(data)
        if end < 0:
            return None
        head = bytes(data[:size])
        del data[:size]
        self._blank = 0
        return head


def _too_large(data: bytearray) -> BadRequest:
    if data.find(b"\r\n", 0, MAX_TARGET) < 0:
        return BadRequest(414, f"the request target is over {MAX_TARGET} bytes")
    return BadRequest(431, f"the request line and headers are over {MAX_HEAD} bytes")
