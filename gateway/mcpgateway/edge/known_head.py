"""The head of a request that its connection has sent before: clients repeat it with each call, but for the body's length.

At the beginning of a request equal bytes have an equal meaning, so such a head is compared and not parsed.
"""

from __future__ import annotations

from typing import Final

from .request_head import RequestHead

_NAME: Final = b"\r\ncontent-length:"
_MAX_DIGITS: Final = 9


class KnownHead:
    """A head as it was sent (RFC 9112 section 2), and its meaning. The digits of Content-Length may differ."""

    __slots__ = ("_after", "_at", "_before", "_rest", "head")

    def __init__(self, before: bytes, after: bytes, head: RequestHead) -> None:
        self.head = head
        self._before, self._after = before, after  # the digits
        self._at, self._rest = len(before), len(after)

    def body(self, data: bytes) -> tuple[int, int] | None:
        """Where the body of a request begins and ends, in bytes from the start of `data`, which may not hold all of it yet.

        Returns: None if `data` does not begin with this head.
        """
        if not data.startswith(self._before):
            return None
        at = self._at
        end = data.find(b"\r", at, at + _MAX_DIGITS + 1)
        digits = data[at:end]
        if end < 0 or not digits.isdigit() or not data.startswith(self._after, end):
            return None
        start = end + self._rest
        return start, start + int(digits)


def learn(raw: bytes, head: RequestHead) -> KnownHead | None:
    """What recognises a head again, from its bytes and its meaning.

    Returns: None for one of which more than the length of the body might differ, or that is formed in an uncommon way.
    """
    fields = head.fields
    length = fields.get(b"content-length", b"")
    if head.method != b"POST" or not head.keep_alive or head.expect_continue or not length.isdigit():
        return None
    at = raw.lower().find(_NAME) + len(_NAME)
    while raw[at : at + 1] == b" ":
        at += 1
    end = at + len(length)
    if raw[at:end] != length or raw[end : end + 2] != b"\r\n":
        return None
    return KnownHead(raw[:at], raw[end:], head)
