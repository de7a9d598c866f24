"""Which tools of a server are offered and how they are described, by its configuration and by approval."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase

from msgspec import Raw

from ..config import ToolOverride, ToolRules
from ..protocol import jsonrpc
from .model import Item, Offer


def shaped(offer: Offer, rules: ToolRules) -> Offer:
    """What is left of an offer, with overridden descriptions, by the rules for its tools."""
    if rules == ToolRules():
        return offer
    overrides = {override.name: override for override in rules.overrides}
    kept = tuple(
        _overridden(item, overrides.get(item.name)) if item.kind == "tools" else item
        for item in offer.items
        if item.kind != "tools" or _allowed(item.name, rules)
    )
    return replace(offer, items=kept)


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


def approved(offer: Offer, pin: str | None) -> bool:
    """Whether a server's tools may be offered: they are exactly those that have been approved."""
    return pin is None or offer.digest in ("", pin)


def unpinned(offer: Offer, pin: str | None) -> Offer:
    """An offer without its tools, if they are not approved."""
    if approved(offer, pin):
        return offer
    return replace(offer, items=tuple(item for item in offer.items if item.kind != "tools"))
