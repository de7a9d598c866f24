"""Pages of merged lists, as clients ask for them.

Many clients never ask for a second page, so a page has as many items as an answer may have bytes.
"""

from __future__ import annotations

import re
from typing import Final

from ..protocol import jsonrpc
from .model import Listing

MAX_PAGE: Final = 8 << 20  # bytes of the items of a page, as many as a server's page may have; one item always fits
_OFFSET: Final = re.compile(r"[1-9][0-9]{0,8}")  # of a cursor


def page(listing: Listing, cursor: str | None, *, modern: bool) -> bytes:
    """One page, as the result of the list's method. Raises: ProtocolError for a cursor that is not of this list."""
    start = 0 if cursor is None else _start(listing, cursor)
    end = _end(listing, start)
    more = b""
    if end < len(listing.rows):
        more = b',"nextCursor":' + jsonrpc.dump(_cursor(listing, end))
    rows = b",".join(listing.rows[start:end])
    return b'{"' + listing.kind.name.encode() + b'":[' + rows + b"]" + more + (listing.tail if modern else b"") + b"}"


def _end(listing: Listing, start: int) -> int:
    """The offset after the last item that fits on the page."""
    size = 0
    for offset, row in enumerate(listing.rows[start:], start):
        size += len(row) + 1
        if size > MAX_PAGE and offset > start:
            return offset
    return len(listing.rows)


def _start(listing: Listing, cursor: str) -> int:
    """The offset of a cursor; only the spelling that was issued is accepted."""
    digits = cursor.split(".", 2)[1:2]
    offset = int(digits[0]) if digits and _OFFSET.fullmatch(digits[0]) else 0
    if not 0 < offset < len(listing.rows) or cursor != _cursor(listing, offset):
        raise jsonrpc.ProtocolError(
            jsonrpc.INVALID_PARAMS, "params.cursor is not of this list, or the list has changed: start without a cursor"
        )
    return offset


def _cursor(listing: Listing, offset: int) -> str:
    return f"{listing.kind.name}.{offset}.{listing.mark}"
