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
from dataclasses import dataclass, field
from typing import Final, Literal

from msgspec import UNSET, Raw

from . import era, jsonrpc
from .config import ToolNames

MAX_NAME = 64
_FORBIDDEN = re.compile(r"[^A-Za-z0-9_-]")

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


@dataclass(frozen=True, slots=True)
class Listing:
    """The merged list of one kind, ready to be sent."""

    items: Mapping[str, Item] = field(default_factory=dict)  # by exposed name
    legacy: bytes = b""
    modern: bytes = b""
    hidden: tuple[str, ...] = ()  # "server/name" whose exposed name was taken
    away: Mapping[str, str] = field(default_factory=dict)  # exposed name -> server that is away: named, but not offered


@dataclass(frozen=True, slots=True)
class Catalog:
    """All merged lists."""

    listings: Mapping[KindName, Listing]

    @property
    def tools(self) -> Mapping[str, Item]:
        """The tools that are offered, by exposed name."""
        return self.listings["tools"].items

    def count(self, server: str) -> int:
        """How many tools of a server are offered."""
        return sum(tool.server == server for tool in self.tools.values())

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


def build(offers: Sequence[Item], *, naming: ToolNames, gateway: str, absent: Collection[str] = ()) -> Catalog:
    """Merge what the servers offer; their order and that of their lists is kept, and the same input gives the same bytes.

    The items of servers in `absent` keep their names, so that nobody else's change meanwhile, but are not offered.
    """
    stamp = jsonrpc.dump({era.SERVER_INFO_KEY: era.server_info(gateway)})
    listings = {}
    for kind in KINDS.values():
        items = [item for item in offers if item.kind == kind.name]
        listings[kind.name] = _listing(kind, items, naming=naming, absent=absent, stamp=stamp)
    return Catalog(listings)


def _listing(kind: Kind, items: Sequence[Item], *, naming: ToolNames, absent: Collection[str], stamp: bytes) -> Listing:
    times = Counter(item.name for item in items)
    exposed: dict[str, Item] = {}
    hidden = []
    for item in items:
        name = _exposed(kind, item, naming, conflict=times[item.name] > 1)
        if name in exposed:
            hidden.append(f"{item.server}/{item.name}")
        else:
            exposed[name] = item
    away = {name: item.server for name, item in exposed.items() if item.server in absent}
    offered = {name: item for name, item in exposed.items() if name not in away}
    listed = b"[" + b",".join(_renamed(kind, item, name) for name, item in offered.items()) + b"]"
    head = b"{" + jsonrpc.dump(kind.name) + b":" + listed
    modern = head + b',"resultType":"complete","ttlMs":0,"cacheScope":"private","_meta":' + stamp + b"}"
    return Listing(items=offered, legacy=head + b"}", modern=modern, hidden=tuple(hidden), away=away)


def _exposed(kind: Kind, item: Item, naming: ToolNames, *, conflict: bool) -> str:
    if not kind.renamed:
        return item.name
    if naming.prefix == "Always" or (naming.prefix == "OnConflict" and conflict):
        return exposed_name(item.server, item.name, separator=naming.separator)
    return fit(item.name)


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


def parse_page(server: str, kind: Kind, raw: Raw) -> list[Item]:
    """The items of one page of a list. Raises: ProtocolError when the page is not what the specification says."""
    listing = jsonrpc.members(raw).get(kind.name, UNSET)
    if listing is UNSET:
        raise jsonrpc.ProtocolError(jsonrpc.INTERNAL_ERROR, f"{kind.method} answered without a list of {kind.name}")
    found = []
    for item in jsonrpc.items(listing):
        name = jsonrpc.text(jsonrpc.members(item).get(kind.key, UNSET))
        if name:
            found.append(Item(kind=kind.name, server=server, name=name, raw=item))
    return found
