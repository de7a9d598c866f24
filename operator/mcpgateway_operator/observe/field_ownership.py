"""Which manager owns which field: the field sets of `managedFields`, resolved against their object. Pure.

Source: Kubernetes "Server-Side Apply"; sigs.k8s.io/structured-merge-diff, the format of FieldsV1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ..render.naming import HANDOVER, MANAGER

_OURS = (MANAGER, HANDOVER)
Fields = Mapping[str, Any]


def entries(body: Mapping[str, Any], *, ours: bool) -> Iterator[Mapping[str, Any]]:
    """The entries of `managedFields` that are about the object itself: ours, or everybody else's."""
    for entry in body["metadata"].get("managedFields") or ():
        if not entry.get("subresource") and "fieldsV1" in entry and (entry.get("manager") in _OURS) == ours:
            yield entry


def merged(first: Fields, second: Fields) -> dict[str, Any]:
    """The union of two field sets."""
    out = dict(first)
    for key, value in second.items():
        out[key] = merged(out[key], value) if key in out else value
    return out


def applied(body: Mapping[str, Any]) -> dict[str, Any]:
    """The part of an object that we have applied, as it is now: what was taken from us or removed is not in it."""
    for entry in entries(body, ours=True):
        if entry.get("operation") == "Apply" and entry.get("manager") == MANAGER:
            part = _part(entry["fieldsV1"], body)
            return part if isinstance(part, dict) else {}
    return {}


def _part(fields: Fields, live: Any) -> Any:
    steps = [(step(key, live), below) for key, below in fields.items() if key != "."]
    if not steps:
        return live
    if isinstance(live, dict):
        return {name: _part(below, live[name]) for name, below in steps if name is not None}
    items = {index: below for index, below in steps if index is not None}
    return [_part(items[index], live[index]) for index in sorted(items)] if isinstance(live, list) else live


def step(key: str, live: Any) -> Any:
    """The member of `live` that a field set's key stands for: a name, an index, or None if it is not there."""
    kind, _, rest = key.partition(":")
    if kind == "f":
        return rest if isinstance(live, dict) and rest in live else None
    if not isinstance(live, list):
        return None
    if kind == "i":
        return int(rest) if int(rest) < len(live) else None
    wanted = json.loads(rest)
    matches = (index for index, item in enumerate(live) if (_has(item, wanted) if kind == "k" else item == wanted))
    return next(matches, None)


def _has(item: Any, keys: Mapping[str, Any]) -> bool:
    return isinstance(item, dict) and all(item.get(name) == value for name, value in keys.items())
