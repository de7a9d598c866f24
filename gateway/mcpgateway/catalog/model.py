"""What is offered, and by whom: an immutable snapshot, built whenever a server comes, goes or changes.

The MCP specification leaves the merging to aggregators; names follow its "Tools" page (1 to 128 of A-Z a-z 0-9 _ - .), cut to the
64 characters of [A-Za-z0-9_-] that model providers accept. URIs are never rewritten: they are keys of reads, templates,
subscriptions, links and embedded resources at once.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final, Literal

from msgspec import UNSET, Raw

from ..config import ToolNames, ToolOverride, ToolRules
from ..protocol import headers as mcp_headers
from ..protocol import jsonrpc, request_meta

PAGE: Final = 500  # items; many clients never ask for a second page
MAX_NAME = 64
_FORBIDDEN = re.compile(r"[^A-Za-z0-9_-]")
_OFFSET = re.compile(r"[1-9][0-9]{0,8}")  # of a cursor

KindName = Literal["tools", "prompts", "resources", "resourceTemplates"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of thing that servers offer in a list."""

    name: KindName  # the member of the list's result
    method: str
    capability: str  # of a server that has it
    key: str  # the member that an item is asked for by
    renamed: bool  # whether keys get the server's prefix


KINDS: Final[Mapping[KindName, Kind]] = {
    kind.name: kind
    for kind in (
        Kind("tools", "tools/list", "tools", "name", renamed=True),
        Kind("prompts", "prompts/list", "prompts", "name", renamed=True),
        Kind("resources", "resources/list", "resources", "uri", renamed=False),
        Kind("resourceTemplates", "resources/templates/list", "resources", "uriTemplate", renamed=False),
    )
}


@dataclass(frozen=True, slots=True)
class Item:
    """A tool, prompt, resource or template as its server offers it; `raw` is the server's own JSON object."""

    kind: KindName
    server: str
    name: str  # the key's value: a name, URI or URI template
    raw: Raw
    rename: str = ""  # what it is called in place of its name
    mirrors: bool = False  # a tool of which arguments have to be repeated in headers


@dataclass(frozen=True, slots=True)
class Hint:
    """How long a list may be kept, and by whom (MCP specification 2026-07-28, "Caching")."""

    ttl: int = 0  # ms
    public: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """What one server offers, under its own names; a list without a hint may not be kept."""

    items: tuple[Item, ...] = ()
    hints: Mapping[KindName, Hint] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Listing:
    """The merged list of one kind."""

    kind: Kind
    items: Mapping[str, Item] = field(default_factory=dict)  # by exposed name
    rows: tuple[bytes, ...] = ()  # the items as they are sent
    tail: bytes = b""  # what the modern era adds to a page
    hidden: tuple[str, ...] = ()  # "server/name" whose exposed name was taken
    away: Mapping[str, str] = field(default_factory=dict)  # exposed name -> server that is away: named, but not offered

    def page(self, cursor: str | None, *, modern: bool) -> bytes:
        """One page, as the result of the list's method. Raises: ProtocolError for a cursor that is not of this list."""
        start = 0 if cursor is None else self._start(cursor)
        end = start + PAGE
        more = b""
        if end < len(self.rows):
            more = b',"nextCursor":' + jsonrpc.dump(self._cursor(end))
        rows = b",".join(self.rows[start:end])
        return b'{"' + self.kind.name.encode() + b'":[' + rows + b"]" + more + (self.tail if modern else b"") + b"}"

    def _start(self, cursor: str) -> int:
        """The offset of a cursor; only the spelling that was issued is accepted."""
        digits = cursor.split(".", 2)[1:2]
        offset = int(digits[0]) if digits and _OFFSET.fullmatch(digits[0]) else 0
        if not 0 < offset < len(self.rows) or cursor != self._cursor(offset):
            raise jsonrpc.ProtocolError(
                jsonrpc.INVALID_PARAMS, "params.cursor is not of this list, or the list has changed: start without a cursor"
            )
        return offset

    def _cursor(self, offset: int) -> str:
        return f"{self.kind.name}.{offset}.{self._mark()}"

    def _mark(self) -> str:
        return hashlib.sha256(b"\n".join(self.rows)).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Catalog:
    """All merged lists."""

    listings: Mapping[KindName, Listing]

    @property
    def tools(self) -> Mapping[str, Item]:
        """The tools that are offered, by exposed name."""
        return self.listings["tools"].items

    def count(self, server: str, kind: KindName = "tools") -> int:
        """How many of a server's tools, or of another kind, are offered."""
        return sum(item.server == server for item in self.listings[kind].items.values())

    def changed_since(self, before: Catalog) -> list[str]:
        """The capabilities whose lists differ from an earlier catalog's."""
        changed = {KINDS[name].capability: None for name, listing in self.listings.items() if listing != before.listings[name]}
        return list(changed)

    def owner(self, uri: str) -> str | None:
        """The server that a URI is read from: the one that lists it, or whose template makes it; None if nobody's does."""
        listed = self.listings["resources"].items.get(uri)
        if listed is not None:
            return listed.server
        templates = self.listings["resourceTemplates"].items.values()
        return next((item.server for item in templates if _pattern(item.name).fullmatch(uri)), None)


def build(offers: Sequence[Offer], *, naming: ToolNames, gateway: str, absent: Collection[str] = ()) -> Catalog:
    """Merge what the servers offer; their order and that of their lists is kept, and the same input gives the same bytes.

    The items of servers in `absent` keep their names, so that nobody else's change meanwhile, but are not offered.
    """
    meta = jsonrpc.dump({request_meta.SERVER_INFO_KEY: request_meta.server_info(gateway)})
    listings = {}
    for kind in KINDS.values():
        having = [(offer, [item for item in offer.items if item.kind == kind.name]) for offer in offers]
        hint = _merged([offer.hints.get(kind.name, Hint()) for offer, items in having if items or kind.name in offer.hints])
        scope = b"public" if hint.public else b"private"
        tail = b',"resultType":"complete","ttlMs":%d,"cacheScope":"%b","_meta":%b' % (hint.ttl, scope, meta)
        items = [item for _, found in having for item in found]
        listings[kind.name] = _listing(kind, items, naming=naming, absent=absent, tail=tail)
    return Catalog(listings)


def _merged(hints: Sequence[Hint]) -> Hint:
    """The strictest of several."""
    if not hints:
        return Hint()
    return Hint(ttl=min(hint.ttl for hint in hints), public=all(hint.public for hint in hints))


def _listing(kind: Kind, items: Sequence[Item], *, naming: ToolNames, absent: Collection[str], tail: bytes) -> Listing:
    times = Counter(item.rename or item.name for item in items)
    exposed: dict[str, Item] = {}
    hidden = []
    for item in items:
        name = _exposed(kind, item, naming, conflict=times[item.rename or item.name] > 1)
        if name in exposed:
            hidden.append(f"{item.server}/{item.name}")
        else:
            exposed[name] = item
    away = {name: item.server for name, item in exposed.items() if item.server in absent}
    offered = {name: item for name, item in exposed.items() if name not in away}
    rows = tuple(_renamed(kind, item, name) for name, item in offered.items())
    return Listing(kind, items=offered, rows=rows, tail=tail, hidden=tuple(hidden), away=away)


def _exposed(kind: Kind, item: Item, naming: ToolNames, *, conflict: bool) -> str:
    if not kind.renamed:
        return item.name
    own = item.rename or item.name
    if naming.prefix == "Always" or (naming.prefix == "OnConflict" and conflict):
        return exposed_name(item.server, own, separator=naming.separator)
    return fit(own)


def exposed_name(server: str, tool: str, *, separator: str) -> str:
    """`<server><separator><tool>`, made to fit."""
    return fit(f"{server}{separator}{tool}")


def fit(name: str) -> str:
    """A name that every client accepts; one that had to be changed ends in a hash of the original, so that it stays unique."""
    clean = _FORBIDDEN.sub("_", name)
    if clean == name and len(name) <= MAX_NAME:
        return name
    mark = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{clean[: MAX_NAME - 9]}_{mark}"


def _renamed(kind: Kind, item: Item, name: str) -> bytes:
    if name == item.name:
        return jsonrpc.one_line(bytes(item.raw))
    fields = jsonrpc.members(item.raw)
    return jsonrpc.dump({key: Raw(jsonrpc.dump(name)) if key == kind.key else value for key, value in fields.items()})


_EXPRESSION = re.compile(r"\{([+#./;?&]?)[^{}]*\}")


def _pattern(template: str) -> re.Pattern[str]:
    """A URI template as a pattern: wide enough to find who made a URI, not to take it apart (RFC 6570).

    A simple expression matches within a path segment, one with an operator matches anything.
    """
    parts = []
    end = 0
    for expression in _EXPRESSION.finditer(template):
        parts += [re.escape(template[end : expression.start()]), ".*" if expression[1] else "[^/]*"]
        end = expression.end()
    return re.compile("".join(parts) + re.escape(template[end:]), re.DOTALL)


def shaped(offer: Offer, rules: ToolRules) -> Offer:
    """What is left of an offer, and under which words, by the rules for its tools."""
    if rules == ToolRules():
        return offer
    overrides = {override.name: override for override in rules.overrides}
    kept = [
        _overridden(item, overrides.get(item.name)) if item.kind == "tools" else item
        for item in offer.items
        if item.kind != "tools" or _allowed(item.name, rules)
    ]
    return Offer(tuple(kept), offer.hints)


def _allowed(name: str, rules: ToolRules) -> bool:
    allowed = not rules.allow or any(fnmatchcase(name, glob) for glob in rules.allow)
    return allowed and not any(fnmatchcase(name, glob) for glob in rules.deny)


def _overridden(item: Item, override: ToolOverride | None) -> Item:
    if override is None:
        return item
    raw = item.raw
    if override.description:
        raw = Raw(jsonrpc.dump({**jsonrpc.members(raw), "description": override.description}))
    return replace(item, raw=raw, rename=override.rename)


def digest(item: Item) -> str:
    """A tool as its server describes it, however the JSON is written: to see whether it has changed."""
    return _digest(bytes(item.raw))


@lru_cache(maxsize=16384)
def _digest(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(jsonrpc.canonical(raw)).hexdigest()}"


def server_digest(offer: Offer) -> str:
    """All tools of a server, in whatever order it lists them; empty for one without tools."""
    digests = sorted(digest(item) for item in offer.items if item.kind == "tools")
    return f"sha256:{hashlib.sha256(' '.join(digests).encode()).hexdigest()}" if digests else ""


def approved(offer: Offer, pin: str | None) -> bool:
    """Whether a server's tools may be offered: they are exactly those that somebody has approved."""
    return pin is None or server_digest(offer) in ("", pin)


def unpinned(offer: Offer, pin: str | None) -> Offer:
    """An offer without its tools, if they are not approved."""
    if approved(offer, pin):
        return offer
    return Offer(tuple(item for item in offer.items if item.kind != "tools"), offer.hints)


def parse_hint(raw: Raw) -> Hint:
    """How long a page may be kept; what is not said or not understood means not at all."""
    fields = jsonrpc.members(raw)
    ttl = bytes(fields.get("ttlMs", b"0"))
    public = jsonrpc.text(fields.get("cacheScope", UNSET)) == "public"
    return Hint(ttl=int(ttl) if ttl.isdigit() and len(ttl) < 12 else 0, public=public)


def parse_page(server: str, kind: Kind, raw: Raw) -> list[Item]:
    """The items of one page of a list. Raises: ProtocolError when the page is not what the specification says."""
    listing = jsonrpc.members(raw).get(kind.name, UNSET)
    if listing is UNSET:
        raise jsonrpc.ProtocolError(jsonrpc.INTERNAL_ERROR, f"{kind.method} answered without a list of {kind.name}")
    found = []
    for item in jsonrpc.items(listing):
        name = jsonrpc.text(jsonrpc.members(item).get(kind.key, UNSET))
        if name:
            mirrors = kind.name == "tools" and mcp_headers.KEYWORD in bytes(item)
            found.append(Item(kind=kind.name, server=server, name=name, raw=item, mirrors=mirrors))
    return found
