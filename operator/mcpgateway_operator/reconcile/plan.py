"""Wanted objects and existing ones → what to apply, and what to prune. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..observe import child_state
from ..observe.child_state import Owned, Pod
from ..observe.kinds import CLAIM

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
    apply = tuple(m for m in manifests if not _in_place(m, existing.get(identity(m)), settled.get(identity(m))))
    surplus = tuple(
        child for key, child in sorted(existing.items()) if key not in names and child.owner == owner and child.kind != CLAIM
    )
    if rolled_out and not any(manifest["kind"] == "Deployment" for manifest in apply):
        return Plan(apply=apply, prune=surplus, waiting=())
    return Plan(apply=apply, prune=(), waiting=surplus)


def upgrades(todo: Plan, existing: Mapping[ObjectId, Owned], settled: Mapping[ObjectId, Settled]) -> bool:
    """Whether a Deployment that this process has not written is to change: if nobody has edited it, that is our doing."""
    return any(
        manifest["kind"] == "Deployment" and identity(manifest) in existing and identity(manifest) not in settled
        for manifest in todo.apply
    )


def missing_only(todo: Plan, existing: Mapping[ObjectId, Owned]) -> Plan:
    """What can be done without a change of what runs."""
    return Plan(
        apply=tuple(manifest for manifest in todo.apply if identity(manifest) not in existing),
        prune=(),
        waiting=(*todo.waiting, *todo.prune),
    )


def owner_of(manifest: Mapping[str, Any]) -> str:
    """The uid of a manifest's owner; empty for one that has none, since it is to outlive its gateway."""
    references = manifest["metadata"].get("ownerReferences") or [{"uid": ""}]
    return str(references[0]["uid"])


def orphans(wanted: Iterable[dict[str, Any]], existing: Mapping[ObjectId, Owned]) -> tuple[str, ...]:
    """The claims that no server has any more. No claim is ever pruned: what it holds cannot be made again."""
    names = {identity(manifest) for manifest in wanted}
    return tuple(name for kind, name in sorted(existing) if kind == CLAIM and (kind, name) not in names)


def _in_place(manifest: dict[str, Any], child: Owned | None, settled: Settled | None) -> bool:
    """By what we remember, or else, after a restart, by what the object says of itself."""
    if child is None or child.owner != owner_of(manifest):
        return False
    if settled is None:
        return child.applied == child_state.wanted_digest(manifest)
    return settled == Settled(wanted=child_state.digest(manifest), live=child.digest)


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
