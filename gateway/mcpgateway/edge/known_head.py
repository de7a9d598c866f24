"""The head of a request that its connection has sent before: clients say the same with each call, but for the body's length.

At the beginning of a request equal bytes mean the same, so that a known head is compared and not parsed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_NAME: Final = b"\r\ncontent-length:"
_MAX_DIGITS: Final = 9


class Head:
    """A head as it was sent (RFC 9112 section 2), and what it says. The digits of Content-Length may differ."""

    __slots__ = ("_after", "_before", "fields")

    def __init__(self, before: bytes, after: bytes, fields: Mapping[bytes, bytes]) -> None:
        self.fields = fields  # by lower-case name
        self._before, self._after = before, after  # the digits

    def body(self, data: bytes) -> tuple[int, int] | None:
        """Where the body of a request begins and ends, in bytes from the start of `data`, which may not hold all of it yet.

        Returns: None if `data` does not begin with this head.
        """
        before = self._before
        if not data.startswith(before):
            return None
        at = len(before)
        end = data.find(b"\r", at, at + _MAX_DIGITS + 1)
        digits = data[at:end]
        if end < 0 or not digits.isdigit() or not data.startswith(self._after, end):
            return None
        start = end + len(self._after)
        return start, start + int(digits)


def learn(data: bytes, fields: Mapping[bytes, bytes]) -> Head | None:
    """The head that `data` begins with, which the parser has understood to say `fields`.

    Returns: None for one of which more than the length of the body might differ, or which is put in an uncommon way.
    """
    raw = data[: data.find(b"\r\n\r\n") + 4]
    plain = raw.startswith(b"POST ") and raw.count(b"\n") == raw.count(b"\r\n")
    if not plain or b"transfer-encoding" in fields or b"expect" in fields or not fields.get(b"content-length", b"").isdigit():
        return None
    at = raw.lower().find(_NAME) + len(_NAME)
    while raw[at : at + 1] == b" ":
        at += 1
    end = at + len(fields[b"content-length"])
    if raw[at:end] != fields[b"content-length"] or raw[end : end + 2] != b"\r\n" or raw[end + 2 : end + 3] in b" \t":
        return None
    return Head(raw[:at], raw[end:], fields)
