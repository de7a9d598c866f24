"""The catalog of all servers: their offers merged into one list of each kind.

Each server's part of a list is made once and kept as long as its offer and what decides its names are the same, so that one
server's change costs no work on the items of the others. The MCP specification leaves the merging to aggregators.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from msgspec import Raw

from ..config import ToolNames
from ..protocol import jsonrpc, request_meta
from .model import KINDS, Catalog, Hint, Item, Kind, KindName, Listing, Offer, Part
from .naming import Namer, untaken


@dataclass(frozen=True, slots=True)
class Merging:
    """What decides, besides the offers, how they are merged."""

    naming: ToolNames
    gateway: str
    servers: Collection[str] = ()  # all that are configured, also those that have offered nothing yet
    absent: Collection[str] = ()  # servers that are away: their items keep their names, but are not offered


def build(offers: Sequence[Offer], merging: Merging, *, before: Catalog | None = None) -> Catalog:
    """Merge what the servers offer; their order and that of their lists is kept, and the same input gives the same bytes.

    What an earlier catalog has of the same offers is taken from there, not made again.
    """
    meta = jsonrpc.dump({request_meta.SERVER_INFO_KEY: request_meta.server_info(merging.gateway)})
    namer = Namer(merging.naming, {offer.server for offer in offers if offer.server}.union(merging.servers))
    listings: dict[KindName, Listing] = {}
    parts: dict[KindName, list[Part]] = {}
    for kind in KINDS.values():
        lists = [offer for offer in offers if kind.name in offer.hints or offer.of_kind(kind.name)]
        hint = _strictest([offer.hints.get(kind.name, Hint()) for offer in lists])
        scope = b"public" if hint.public else b"private"
        tail = b',"resultType":"complete","ttlMs":%d,"cacheScope":"%b","_meta":%b' % (hint.ttl, scope, meta)
        parts[kind.name] = _parts(kind, lists, namer, before=() if before is None else before.parts[kind.name])
        listings[kind.name] = _listing(kind, parts[kind.name], namer, absent=merging.absent, tail=tail)
    return Catalog(listings, parts)


def _strictest(hints: Sequence[Hint]) -> Hint:
    if not hints:
        return Hint()
    return Hint(ttl=min(hint.ttl for hint in hints), public=all(hint.public for hint in hints))


# --- the part of one server -----------------------------------------------------------------------------------------------


def _parts(kind: Kind, offers: Sequence[Offer], namer: Namer, *, before: Sequence[Part]) -> list[Part]:
    """Each server's part; one of the same offer, named by the same rules, is taken from an earlier list."""
    earlier = {id(part.offer): part for part in before}  # a part keeps its offer, so that the identity is its own
    shared = _shared_names(offers, kind) if kind.renamed and namer.avoids_conflicts else frozenset()
    parts = []
    for offer in offers:
        conflicts = shared.intersection(offer.own_names(kind.name)) if shared else shared
        context = (namer.context(offer.server), conflicts) if kind.renamed else ()
        part = earlier.get(id(offer))
        parts.append(
            part if part is not None and part.context == context else _part(kind, offer, namer, context, conflicts, part)
        )
    return parts


def _shared_names(offers: Sequence[Offer], kind: Kind) -> frozenset[str]:
    times = Counter(chain.from_iterable(offer.own_names(kind.name) for offer in offers))
    return frozenset(name for name, count in times.items() if count > 1)


def _part(kind: Kind, offer: Offer, namer: Namer, context: object, conflicts: Collection[str], earlier: Part | None) -> Part:
    distinct: dict[str, Item] = {}
    repeated = [item for item in offer.of_kind(kind.name) if distinct.setdefault(item.name, item) is not item]
    exposed: dict[str, Item] = {}
    for item in distinct.values():
        name = item.name
        if kind.renamed:
            own = item.rename or name
            name = untaken(namer.name(item.server, own, conflict=own in conflicts), item.server, item.name, exposed)
        exposed[name] = item
    rows = {} if earlier is None else dict(zip(earlier.items, earlier.rows, strict=True))
    kept = {name for name in rows if earlier is not None and earlier.items[name] is exposed.get(name)}
    refused = [item.name for item in offer.hidden if item.kind == kind.name]
    return Part(
        offer,
        context,
        items=exposed,
        rows=tuple(rows[name] if name in kept else _row(kind, item, name) for name, item in exposed.items()),
        hidden=tuple(f"{offer.server}/{name}" for name in (*refused, *(item.name for item in repeated))),
    )


def _row(kind: Kind, item: Item, name: str) -> bytes:
    if name == item.name:
        return jsonrpc.one_line(bytes(item.raw))
    fields = jsonrpc.members(item.raw)
    return jsonrpc.dump({key: Raw(jsonrpc.dump(name)) if key == kind.key else value for key, value in fields.items()})


# --- all parts together ---------------------------------------------------------------------------------------------------


def _listing(kind: Kind, parts: Sequence[Part], namer: Namer, *, absent: Collection[str], tail: bytes) -> Listing:
    exposed: dict[str, Item] = {}
    for part in parts:
        exposed.update(part.items)
    if len(exposed) < sum(len(part.items) for part in parts):
        parts = _apart(kind, parts, namer)
    present = [part for part in parts if part.offer.server not in absent]
    offered: dict[str, Item] = {}
    for part in present:
        offered.update(part.items)
    return Listing(
        kind,
        items=offered,
        rows=tuple(chain.from_iterable(part.rows for part in present)),
        tail=tail,
        hidden=tuple(chain.from_iterable(part.hidden for part in parts)),
        away={name: part.offer.server for part in parts if part.offer.server in absent for name in part.items},
        counts={part.offer.server: len(part.items) for part in present},
    )


def _apart(kind: Kind, parts: Sequence[Part], namer: Namer) -> list[Part]:
    """The parts without names that an earlier one has: such an item gets another name, or is hidden where it keeps its own."""
    taken: set[str] = set()
    apart = []
    for part in parts:
        items, rows, hidden = {}, [], list(part.hidden)
        for (name, item), row in zip(part.items.items(), part.rows, strict=True):
            if name not in taken:
                items[name] = item
                rows.append(row)
            elif kind.renamed and namer.renames:
                other = untaken(name, item.server, item.name, taken | part.items.keys())
                items[other] = item
                rows.append(_row(kind, item, other))
            else:
                hidden.append(f"{item.server}/{item.name}")
        taken.update(items)
        apart.append(replace(part, items=items, rows=tuple(rows), hidden=tuple(hidden)))
    return apart
