"""Sidecar mode: a server whose image cannot be had must not keep the others from serving.

One container that cannot be created makes the whole pod unready, so the server is rendered without it, and tried again after a
while or when the spec changes. What is remembered is in `status`, so that a restart of the operator forgets nothing. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ..api.spec import Spec
from ..observe.child_state import Container, Pod

STATE = "Quarantined"
RETRY_AFTER = timedelta(minutes=5)
_IMAGE_REASONS = (
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
)


@dataclass(frozen=True, slots=True)
class Held:
    """A server held back: why, and since when."""

    reason: str
    message: str
    since: str


def held_back(spec: Spec, *, pods: Iterable[Pod], status: Mapping[str, Any], generation: int, now: datetime) -> dict[str, Held]:
    """The servers to leave out of the next rendering."""
    if spec.mode != "Sidecar":
        return {}
    wanted = {server.name: server.image for server in spec.enabled if server.hosted}
    held = {}
    if status.get("observedGeneration") == generation:
        held = {name: entry for name, entry in _remembered(status).items() if name in wanted and not _due(entry, now)}
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    for name, container in _failing(pods):
        if name in wanted and name not in held and container.image in ("", wanted[name]):
            held[name] = Held(reason=container.reason, message=container.message or f"image {wanted[name]}", since=stamp)
    return held


def retry_in(held: Mapping[str, Held], now: datetime) -> float | None:
    """Seconds until the next server is to be tried again."""
    waits = [(_parse(entry.since) + RETRY_AFTER - now).total_seconds() for entry in held.values()]
    return max(1.0, min(waits)) if waits else None


def _remembered(status: Mapping[str, Any]) -> dict[str, Held]:
    return {
        entry["name"]: Held(entry["lastError"]["reason"], entry["lastError"]["message"], entry["lastError"]["time"])
        for entry in status.get("servers") or ()
        if entry.get("state") == STATE and "lastError" in entry
    }


def _failing(pods: Iterable[Pod]) -> Iterable[tuple[str, Container]]:
    for pod in pods:
        if pod.component == "gateway" and not pod.terminating:
            for container in pod.containers:
                if container.name.startswith("mcp-") and container.reason in _IMAGE_REASONS:
                    yield container.name.removeprefix("mcp-"), container


def _due(entry: Held, now: datetime) -> bool:
    return now - _parse(entry.since) >= RETRY_AFTER


def _parse(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp.replace("Z", "+00:00"))
