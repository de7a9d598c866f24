"""Wanted objects and existing ones → what to apply, and what to prune. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from . import facts
from .facts import Owned, Pod

ObjectId = tuple[str, str]  # kind and name


@dataclass(frozen=True, slots=True)
class Settled:
    """What was applied last, and what the object looked like right after: both unchanged means that nothing is to be done."""

    wanted: str
    live: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The next writes, in order."""

    apply: tuple[dict[str, Any], ...]
    prune: tuple[Owned, ...]
    waiting: tuple[Owned, ...]  # to be pruned once the new rollout is complete


def identity(manifest: Mapping[str, Any]) -> ObjectId:
    """Kind and name of a manifest."""
    return manifest["kind"], manifest["metadata"]["name"]


def plan(
    wanted: Iterable[dict[str, Any]],
    existing: Mapping[ObjectId, Owned],
    *,
    settled: Mapping[ObjectId, Settled],
    owner: str,
    rolled_out: bool,
) -> Plan:
    """Compare. What an older ReplicaSet may still need goes only when no pod of it is left."""
    manifests = list(wanted)
    names = {identity(manifest) for manifest in manifests}
    apply = tuple(m for m in manifests if not _in_place(m, existing.get(identity(m)), settled.get(identity(m)), owner))
    surplus = tuple(child for key, child in sorted(existing.items()) if key not in names and child.owner == owner)
    if rolled_out and not any(manifest["kind"] == "Deployment" for manifest in apply):
        return Plan(apply=apply, prune=surplus, waiting=())
    return Plan(apply=apply, prune=(), waiting=surplus)


def _in_place(manifest: dict[str, Any], child: Owned | None, settled: Settled | None, owner: str) -> bool:
    if child is None or settled is None or child.owner != owner:
        return False
    return settled == Settled(wanted=facts.digest(manifest), live=child.digest)


def addresses(pods: Iterable[Pod], port: int) -> dict[str, tuple[str, ...]]:
    """MultiPod: where each server's bridges are, the newest ready pod first. One that is not ready can still say why."""
    found: dict[str, list[Pod]] = {}
    for pod in pods:
        if pod.component == "server" and pod.ip and not pod.terminating and any(c.running for c in pod.containers):
            found.setdefault(pod.server, []).append(pod)
    return {server: _ordered(candidates, port) for server, candidates in sorted(found.items())}


def _ordered(pods: list[Pod], port: int) -> tuple[str, ...]:
    ready = [pod for pod in pods if pod.ready]
    newest_first = sorted(sorted(ready or pods, key=lambda pod: pod.name), key=lambda pod: pod.created, reverse=True)
    return tuple(f"{pod.ip}:{port}" for pod in newest_first)
