"""Sidecar mode: a server whose image cannot be pulled or package be installed must not keep the others from serving.

One container that cannot be created makes the whole pod unready. So the server is left out of the rendering, and tried again
after a delay or when the spec changes. Where a pod of an earlier version runs it, the rollout stays incomplete instead, and that
version goes on serving. The state is kept in `status`, so that a restart of the operator does not lose it. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ..api.servers import Server
from ..api.spec import Spec
from ..observe.child_state import Container, Pod
from ..render import naming
from .timestamp import timestamp

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
    """A quarantined server: why, and since when (RFC 3339)."""

    reason: str
    message: str
    since: str


def held_back(spec: Spec, *, pods: Iterable[Pod], status: Mapping[str, Any], generation: int, now: datetime) -> dict[str, Held]:
    """The servers to leave out of the next rendering, by name."""
    if spec.mode != "Sidecar":
        return {}
    images = {server.name: _wanted(server) for server in spec.enabled if server.hosted}
    held = {}
    if status.get("observedGeneration") == generation:
        held = {name: entry for name, entry in _stored(status).items() if name in images and not _due(entry, now)}
    stamp = timestamp(now)
    pods = list(pods)
    for name, container in _failing(pods):
        wanted = name in images and (container.package or container.image) in ("", images[name])
        if wanted and name not in held and not _runs_elsewhere(name, pods):
            held[name] = Held(reason=container.reason, message=container.message or f"image {images[name]}", since=stamp)
    return held


def retry_in(held: Mapping[str, Held], now: datetime) -> float | None:
    """Seconds until the next server is tried again."""
    delays = [(_parse(entry.since) + RETRY_AFTER - now).total_seconds() for entry in held.values()]
    return max(1.0, min(delays)) if delays else None


def _stored(status: Mapping[str, Any]) -> dict[str, Held]:
    return {
        entry["name"]: Held(entry["lastError"]["reason"], entry["lastError"]["message"], entry["lastError"]["time"])
        for entry in status.get("servers") or ()
        if entry.get("state") == STATE and "lastError" in entry
    }


def _wanted(server: Server) -> str | None:
    """What has to be there before its program can start."""
    return server.image if server.package is None else server.package.key


def _failing(pods: Iterable[Pod]) -> Iterable[tuple[str, Container]]:
    for pod in pods:
        if pod.component == "gateway" and not pod.terminating:
            for container in pod.containers:
                if container.name.startswith("mcp-") and container.reason in _IMAGE_REASONS:
                    yield container.name.removeprefix("mcp-"), container
                elif container.name.startswith(naming.INSTALL) and container.reason:
                    yield container.name.removeprefix(naming.INSTALL), container


def _runs_elsewhere(server: str, pods: Iterable[Pod]) -> bool:
    """Whether a pod runs an earlier version of it; one that is evicted counts until it serves no more."""
    name = naming.server_container(server)
    containers = (pod.container(name) for pod in pods if pod.ready or not pod.terminating)
    return any(container is not None and not container.reason for container in containers)


def _due(entry: Held, now: datetime) -> bool:
    return now - _parse(entry.since) >= RETRY_AFTER


def _parse(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp.replace("Z", "+00:00"))
