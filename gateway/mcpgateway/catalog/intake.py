"""A server's lists as they come, page by page, within bounds: an offer is made of what is within, and says what is not.

Source: MCP specification 2025-11-25, "Pagination"; 2026-07-28, "Caching".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import UNSET, Raw

from ..protocol import headers as mcp_headers
from ..protocol import jsonrpc
from ..protocol.visible_text import visible
from .model import HiddenItem, Hint, Item, Kind, KindName, Offer
from .repair import UnusableItemError, key_of, members_of, repaired

MAX_PAGES: Final = 100  # of one list
MAX_ITEMS: Final = 5000  # of one list
MAX_BYTES: Final = 4 << 20  # of all lists of one server
MAX_PAGE: Final = 8 << 20  # bytes of one page
MAX_CURSOR: Final = 4096  # bytes
_MAX_NAMED: Final = 5  # hidden items that are kept by name
_MAX_SHOWN: Final = 64  # characters of a hidden item's name
_TOO_MUCH: Final = f"more than {MAX_ITEMS} items or {MAX_PAGES} pages in a list, or {MAX_BYTES >> 20} MiB in all lists"
_STEP: Final = 64 << 10  # bytes of items after which others get a turn


class Intake:
    """Collects the lists of one server into an offer."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._items: list[Item] = []
        self._hints: dict[KindName, Hint] = {}
        self._hidden: list[HiddenItem] = []
        self._more_hidden = 0
        self._bytes = 0
        self._full: set[KindName] = set()  # lists of which a bound is reached: no more pages are asked for
        self._cursors: dict[KindName, set[bytes]] = {}

    def offer(self) -> Offer:
        """What has been collected."""
        return Offer(tuple(self._items), dict(self._hints), tuple(self._hidden), self._more_hidden)

    def read(self, kind: Kind, page: Raw) -> Iterator[None]:
        """Take the items of a page, a step at each iteration: between two of them others get their turn on the event loop.

        Raises: ProtocolError when the page is not what the specification says.
        """
        if len(bytes(page)) > MAX_PAGE:
            self._full.add(kind.name)
            self._note(kind, "(a whole page)", f"it has over {MAX_PAGE >> 20} MiB")
            return
        listing = jsonrpc.members(page).get(kind.name, UNSET)
        if listing is UNSET:
            raise jsonrpc.ProtocolError(jsonrpc.INTERNAL_ERROR, f"{kind.method} answered without a list of {kind.name}")
        self._hints[kind.name] = parse_hint(page)
        count = sum(item.kind == kind.name for item in self._items)
        step = 0
        for raw in jsonrpc.items(listing):
            size = len(bytes(raw))
            if kind.name in self._full or count >= MAX_ITEMS or self._bytes + size > MAX_BYTES:
                self._full.add(kind.name)
                self._hide(kind, raw, _TOO_MUCH)
            else:
                count += self._take(kind, raw)
            step += size
            if step > _STEP:
                step = 0
                yield

    def following(self, kind: Kind, page: Raw) -> Raw | None:
        """The cursor of the next page; None where there is none, a cursor comes again, or a bound is reached."""
        cursor = jsonrpc.members(page).get("nextCursor")
        if cursor is None or bytes(cursor) == b"null":
            return None
        seen = self._cursors.setdefault(kind.name, set())
        if bytes(cursor) in seen:
            return None
        seen.add(bytes(cursor))
        if kind.name in self._full or len(seen) >= MAX_PAGES or len(bytes(cursor)) > MAX_CURSOR:
            self._note(kind, "(all pages that follow)", _TOO_MUCH)
            return None
        return Raw(bytes(cursor))

    def _take(self, kind: Kind, raw: Raw) -> bool:
        try:
            fields = members_of(raw)
            name = key_of(kind, fields)
            right = repaired(kind, raw, fields)
        except UnusableItemError as error:
            self._hide(kind, raw, str(error))
            return False
        body = bytes(right)
        self._bytes += len(body)
        mirrors = kind.name == "tools" and mcp_headers.KEYWORD in body
        self._items.append(Item(kind.name, self._server, name, Raw(body), mirrors=mirrors))
        return True

    def _hide(self, kind: Kind, raw: Raw, reason: str) -> None:
        if len(self._hidden) >= _MAX_NAMED:
            self._more_hidden += 1
            return
        fields = jsonrpc.members_or_none(raw) or {}
        name = jsonrpc.text(fields.get(kind.key, UNSET)) or "(without a name)"
        self._note(kind, name, reason)

    def _note(self, kind: Kind, name: str, reason: str) -> None:
        if len(self._hidden) >= _MAX_NAMED:
            self._more_hidden += 1
        else:
            self._hidden.append(HiddenItem(kind.name, self._server, visible(name[:_MAX_SHOWN]), reason))


def parse_hint(raw: Raw) -> Hint:
    """How long a page may be kept; absent or malformed hints mean that it may not be kept."""
    fields = jsonrpc.members(raw)
    ttl = bytes(fields.get("ttlMs", b"0"))
    public = jsonrpc.text(fields.get("cacheScope", UNSET)) == "public"
    return Hint(ttl=int(ttl) if ttl.isdigit() and len(ttl) < 12 else 0, public=public)
