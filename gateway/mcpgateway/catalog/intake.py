"""A server's lists as they come, page by page, within bounds: an offer is made of what is within, and says what is not.

Source: MCP specification 2025-11-25, "Pagination"; 2026-07-28, "Caching".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from ..protocol import headers as mcp_headers
from ..protocol import jsonrpc
from ..protocol.decoder import Decoder, each_item
from ..protocol.visible_text import visible
from .model import FailedList, HiddenItem, Hint, Item, Kind, KindName, Offer
from .repair import UnusableItemError, repaired

MAX_PAGES: Final = 100  # of one list
MAX_ITEMS: Final = 5000  # of one list
MAX_BYTES: Final = 4 << 20  # of all lists of one server
MAX_PAGE: Final = 8 << 20  # bytes of one page
MAX_VALUES: Final = 250_000  # of one page, counted by its commas
MAX_CURSOR: Final = 4096  # bytes
_MAX_NAMED: Final = 5  # hidden items that are kept by name
_MAX_SHOWN: Final = 64  # characters of a hidden item's name
_ITEM_WORK: Final = 512  # bytes that an item counts for by itself
_TOO_MUCH: Final = f"more than {MAX_ITEMS} items or {MAX_PAGES} pages in a list, or {MAX_BYTES >> 20} MiB in all lists"
_NO_CURSORS: Final = (b"null", b'""')  # as some servers write that there is no further page
STEP: Final = 64 << 10  # bytes of items, counted in each step of their repair, after which others get a turn


class Intake:
    """Collects the lists of one server into an offer."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._items: list[Item] = []
        self._hints: dict[KindName, Hint] = {}
        self._hidden: list[HiddenItem] = []
        self._more_hidden = 0
        self._failed: list[FailedList] = []
        self._bytes = 0
        self._full: set[KindName] = set()  # lists of which a bound is reached: no more pages are asked for
        self._cursors: dict[KindName, set[bytes]] = {}

    def offer(self) -> Offer:
        """What has been collected."""
        return Offer(tuple(self._items), dict(self._hints), tuple(self._hidden), self._more_hidden, tuple(self._failed))

    def fail(self, failed: FailedList) -> None:
        """A list cannot be read, or not to its end."""
        self._failed.append(failed)

    def read(self, kind: Kind, page: Raw) -> Iterator[None]:
        """Take the items of a page, a step at each iteration: between two of them others get their turn on the event loop.

        Raises: ProtocolError when the page is not what the specification says.
        """
        if len(bytes(page)) > MAX_PAGE:
            self._full.add(kind.name)
            self._note(kind, "(a whole page)", f"it has over {MAX_PAGE >> 20} MiB")
            return
        if bytes(page).count(b",") > MAX_VALUES:
            self._full.add(kind.name)
            self._note(kind, "(a whole page)", f"it has over {MAX_VALUES:,} values")
            return
        fields = _page.decode(page, what="not an object")
        listing = fields.listing(kind.name)
        if listing is UNSET:
            raise jsonrpc.ProtocolError(jsonrpc.INTERNAL_ERROR, f"{kind.method} answered without a list of {kind.name}")
        self._hints[kind.name] = _hint(fields)
        yield
        count = sum(item.kind == kind.name for item in self._items)
        worked = 0
        for raw in each_item(listing):
            size = len(bytes(raw))
            worked += _ITEM_WORK
            if kind.name in self._full or count >= MAX_ITEMS or self._bytes + size > MAX_BYTES:
                self._full.add(kind.name)
                self._hide(kind, raw, _TOO_MUCH)
            else:
                before = len(self._items)
                for _ in self._take(kind, raw):
                    worked += size
                    if worked > STEP:
                        worked = 0
                        yield
                count += len(self._items) - before
            if worked > STEP:
                worked = 0
                yield

    def following(self, kind: Kind, page: Raw) -> Raw | None:
        """The cursor of the next page; None where there is none, a cursor comes again, or a bound is reached."""
        cursor = _page.decode(page, what="not an object").next_cursor
        if cursor is UNSET or bytes(cursor) in _NO_CURSORS:
            return None
        seen = self._cursors.setdefault(kind.name, set())
        if bytes(cursor) in seen:
            return None
        seen.add(bytes(cursor))
        if kind.name in self._full or len(seen) >= MAX_PAGES or len(bytes(cursor)) > MAX_CURSOR:
            self._note(kind, "(all pages that follow)", _TOO_MUCH)
            return None
        return Raw(bytes(cursor))

    def _take(self, kind: Kind, raw: Raw) -> Iterator[None]:
        try:
            name, right = yield from repaired(kind, raw)
        except UnusableItemError as error:
            self._hide(kind, raw, str(error))
            return
        yield  # the digest of a tool decodes it
        body = bytes(right)
        self._bytes += len(body)
        mirrors = kind.name == "tools" and mcp_headers.KEYWORD in body
        self._items.append(Item(kind.name, self._server, name, right, mirrors=mirrors))

    def _hide(self, kind: Kind, raw: Raw, reason: str) -> None:
        if len(self._hidden) >= _MAX_NAMED:
            self._more_hidden += 1
            return
        self._note(kind, _named(kind, raw) or "(without a name)", reason)

    def _note(self, kind: Kind, name: str, reason: str) -> None:
        if len(self._hidden) >= _MAX_NAMED:
            self._more_hidden += 1
        else:
            self._hidden.append(HiddenItem(kind.name, self._server, visible(name[:_MAX_SHOWN]), reason))


class _Page(msgspec.Struct, rename="camel"):
    tools: Raw | UnsetType = UNSET
    prompts: Raw | UnsetType = UNSET
    resources: Raw | UnsetType = UNSET
    resource_templates: Raw | UnsetType = UNSET
    next_cursor: Raw | UnsetType = UNSET
    ttl_ms: Raw | UnsetType = UNSET
    cache_scope: Raw | UnsetType = UNSET

    def listing(self, name: KindName) -> Raw | UnsetType:
        """The list of that name."""
        match name:
            case "tools":
                return self.tools
            case "prompts":
                return self.prompts
            case "resources":
                return self.resources
            case "resourceTemplates":
                return self.resource_templates


class _Keys(msgspec.Struct, rename="camel"):
    name: Raw | UnsetType = UNSET
    uri: Raw | UnsetType = UNSET
    uri_template: Raw | UnsetType = UNSET


_page = Decoder(_Page)
_keys = Decoder(_Keys)


def _named(kind: Kind, raw: Raw) -> str | None:
    """What an item is called that may be unusable for any reason."""
    try:
        keys = _keys.decode(raw)
    except jsonrpc.ProtocolError:
        return None
    return jsonrpc.text({"name": keys.name, "uri": keys.uri, "uriTemplate": keys.uri_template}[kind.key])


def parse_hint(raw: Raw) -> Hint:
    """How long a page may be kept; absent or malformed hints mean that it may not be kept. Raises: ProtocolError."""
    return _hint(_page.decode(raw, what="not an object"))


def _hint(page: _Page) -> Hint:
    ttl = b"0" if page.ttl_ms is UNSET else bytes(page.ttl_ms)
    public = jsonrpc.text(page.cache_scope) == "public"
    return Hint(ttl=int(ttl) if ttl.isdigit() and len(ttl) < 12 else 0, public=public)
