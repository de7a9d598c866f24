"""What others have added to a Deployment's spec: server-side apply restores our fields and keeps theirs. Pure.

Left alone: the number of replicas, `kubectl rollout restart`, and what admission webhooks add to our own requests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from . import field_ownership
from .field_ownership import Fields

_TOLERATED = ("/spec/replicas", "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt")


@dataclass(frozen=True, slots=True)
class Addition:
    """A field or list item that another field manager has added."""

    manager: str
    path: str  # JSON pointer (RFC 6901) into the object as it is now


def additions(body: Mapping[str, Any]) -> list[Addition]:
    """All that others have added to `spec`, in an order in which it can be removed."""
    ours: dict[str, Any] = {}
    for entry in field_ownership.entries(body, ours=True):
        ours = field_ownership.merged(ours, entry["fieldsV1"])
    by_path: dict[str, Addition] = {}
    for entry in field_ownership.entries(body, ours=False):
        fields = entry["fieldsV1"].get("f:spec")
        if fields:
            for path in _foreign(fields, ours.get("f:spec", {}), body.get("spec"), "/spec"):
                by_path.setdefault(path, Addition(entry["manager"], path))
    return sorted(by_path.values(), key=lambda addition: _order(addition.path), reverse=True)


def removal(body: Mapping[str, Any], unwanted: list[Addition]) -> list[dict[str, Any]]:
    """The JSON patch (RFC 6902) that removes them from this version of the object; for any other version the answer is 409."""
    version = {"op": "replace", "path": "/metadata/resourceVersion", "value": body["metadata"]["resourceVersion"]}
    return [version, *({"op": "remove", "path": addition.path} for addition in unwanted)]


def _foreign(fields: Fields, ours: Fields, live: Any, path: str) -> Iterator[str]:
    for key, below in fields.items():
        step = None if key == "." else field_ownership.step(key, live)
        if step is None:
            continue
        place = f"{path}/{_escaped(step)}"
        if place in _TOLERATED:
            continue
        if key not in ours and not any(tolerated.startswith(f"{place}/") for tolerated in _TOLERATED):
            yield place
        elif below:
            yield from _foreign(below, ours.get(key, {}), live[step], place)


def _escaped(step: str | int) -> str:
    return str(step).replace("~", "~0").replace("/", "~1")


def _order(path: str) -> tuple[tuple[int, int, str], ...]:
    """Later items of a list first, else the others' indexes would be wrong."""
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in path.split("/"))
