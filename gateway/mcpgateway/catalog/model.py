"""What servers offer, and what is made of it: immutable values.

URIs are never rewritten: they are keys of reads, templates, subscriptions, links and embedded resources at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal

from msgspec import Raw

from ..protocol import jsonrpc
from . import uri_templates

KindName = Literal["tools", "prompts", "resources", "resourceTemplates"]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of item that servers offer in a list."""

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
    digest: str = field(default="", init=False, compare=False)  # of a tool, however its JSON is written

    def __post_init__(self) -> None:
        if self.kind == "tools":
            object.__setattr__(self, "digest", _sha256(jsonrpc.canonical(self.raw)))


@dataclass(frozen=True, slots=True)
class Hint:
    """How long a list may be kept, and by whom (MCP specification 2026-07-28, "Caching")."""

    ttl: int = 0  # ms
    public: bool = False


@dataclass(frozen=True, slots=True)
class HiddenItem:
    """An item that a server lists and the gateway does not: clients would refuse it, or it is beyond a bound."""

    kind: KindName
    server: str
    name: str  # shortened, and with control characters shown
    reason: str


@dataclass(frozen=True, slots=True)
class FailedList:
    """A list that a server says that it has, and that could not be read."""

    kind: KindName
    server: str
    reason: str
    lasting: bool  # it is not worth asking again


@dataclass(frozen=True, slots=True)
class Offer:
    """What one server offers, under its own names; a list without a hint may not be kept."""

    items: tuple[Item, ...] = ()
    hints: Mapping[KindName, Hint] = field(default_factory=dict)
    hidden: tuple[HiddenItem, ...] = ()  # the first of those that are left out
    more_hidden: int = 0  # how many others are
    failed: tuple[FailedList, ...] = ()  # the lists that are missing
    server: str = field(default="", init=False, compare=False)
    digest: str = field(default="", init=False, compare=False)  # of all tools, in whatever order; empty for none
    _by_kind: Mapping[KindName, tuple[Item, ...]] = field(default_factory=dict, init=False, compare=False, repr=False)
    _own_names: Mapping[KindName, frozenset[str]] = field(default_factory=dict, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        by_kind = {kind: tuple(item for item in self.items if item.kind == kind) for kind in KINDS}
        names = {kind: frozenset(item.rename or item.name for item in items) for kind, items in by_kind.items()}
        digests = sorted(item.digest for item in by_kind["tools"])
        object.__setattr__(self, "server", self._server_of_items())
        object.__setattr__(self, "digest", _sha256(" ".join(digests).encode()) if digests else "")
        object.__setattr__(self, "_by_kind", by_kind)
        object.__setattr__(self, "_own_names", names)

    def _server_of_items(self) -> str:
        if self.items:
            return self.items[0].server
        return self.hidden[0].server if self.hidden else ""

    def of_kind(self, kind: KindName) -> tuple[Item, ...]:
        """The items of one list, in its order."""
        return self._by_kind[kind]

    def own_names(self, kind: KindName) -> frozenset[str]:
        """What the server, or its configuration, calls the items of one list."""
        return self._own_names[kind]

    @property
    def readable(self) -> bool:
        """Whether at least one list could be read, or there is none."""
        return not self.failed or not self.hints.keys() <= {failed.kind for failed in self.failed}

    @property
    def missing_lists(self) -> str:
        """Which lists are missing and why, for `status`; empty where none is."""
        return "; ".join(failed.reason for failed in self.failed)

    @property
    def shortfall(self) -> str:
        """What is left out and why, for `status`; empty where nothing is."""
        if not self.hidden:
            return ""
        named = "; ".join(f"{item.kind} {item.name}: {item.reason}" for item in self.hidden)
        more = f"; and {self.more_hidden} more" if self.more_hidden else ""
        count = len(self.hidden) + self.more_hidden
        return f"{count} {'item is' if count == 1 else 'items are'} not offered: {named}{more}"


@dataclass(frozen=True, slots=True)
class Part:
    """What one server adds to the merged list of one kind."""

    offer: Offer
    context: object  # what decides the names besides the offer
    items: Mapping[str, Item]  # by exposed name
    rows: tuple[bytes, ...]  # the items as they are sent, in the same order
    hidden: tuple[str, ...]  # "server/name" of what is not offered


@dataclass(frozen=True)
class Listing:
    """The merged list of one kind."""

    kind: Kind
    items: Mapping[str, Item] = field(default_factory=dict)  # by exposed name
    rows: tuple[bytes, ...] = ()  # the items as they are sent, in the same order
    tail: bytes = b""  # what the modern era adds to a page
    hidden: tuple[str, ...] = ()  # "server/name" of those that have no name of their own, or that clients would refuse
    away: Mapping[str, str] = field(default_factory=dict)  # exposed name -> server that is away: named, but not offered
    counts: Mapping[str, int] = field(default_factory=dict)  # of the items, by server

    @cached_property
    def schemes(self) -> Mapping[str, set[str]]:
        """The servers of URIs, by scheme."""
        servers: dict[str, set[str]] = {}
        for item in self.items.values():
            servers.setdefault(scheme_of(item.name), set()).add(item.server)
        return servers

    @cached_property
    def mark(self) -> str:
        """Differs from that of any other list."""
        return hashlib.sha256(b"\n".join(self.rows)).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Catalog:
    """All merged lists."""

    listings: Mapping[KindName, Listing]
    parts: Mapping[KindName, Sequence[Part]] = field(compare=False)  # what the lists are made of, for the next catalog

    @property
    def tools(self) -> Mapping[str, Item]:
        """The tools that are offered, by exposed name."""
        return self.listings["tools"].items

    def count(self, server: str, kind: KindName = "tools") -> int:
        """How many of a server's tools, or of another kind, are offered."""
        return self.listings[kind].counts.get(server, 0)

    def changed_since(self, before: Catalog) -> list[str]:
        """The capabilities whose lists differ from an earlier catalog's."""
        changed = {KINDS[name].capability: None for name, listing in self.listings.items() if listing != before.listings[name]}
        return list(changed)

    def lister(self, uri: str) -> str | None:
        """The server that lists a URI."""
        listed = self.listings["resources"].items.get(uri)
        return None if listed is None else listed.server

    def maker(self, uri: str) -> str | None:
        """The first server whose template makes a URI."""
        templates = self.listings["resourceTemplates"].items.values()
        return next((item.server for item in templates if uri_templates.parse(item.name).matches(uri)), None)

    def only_user_of_scheme(self, uri: str) -> str | None:
        """The server that lists resources or templates with a URI's scheme, if no other does."""
        scheme = scheme_of(uri)
        servers = {
            server for kind in ("resources", "resourceTemplates") for server in self.listings[kind].schemes.get(scheme, ())
        }
        return servers.pop() if len(servers) == 1 else None


def scheme_of(uri: str) -> str:
    """The scheme of a URI or URI template (RFC 3986 section 3.1); empty if it has none."""
    return uri.partition(":")[0].lower() if ":" in uri else ""


def _sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
