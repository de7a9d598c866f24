"""Rendered and existing objects → what to apply, and what to prune. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..observe import child_state
from ..observe.child_state import Owned, Pod
from ..observe.kinds import CLAIM

ObjectId = tuple[str, str]  # kind and name


@dataclass(frozen=True, slots=True)
class Applied:
    """Digests of the last apply, and of the object right after it: if neither has changed, there is nothing to do."""

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
    applied: Mapping[ObjectId, Applied],
    owner: str,
    rolled_out: bool,
) -> Plan:
    """Compare. An object that an older ReplicaSet may still need is pruned only when none of its pods is left."""
    manifests = list(wanted)
    names = {identity(manifest) for manifest in manifests}
    apply = tuple(m for m in manifests if not in_place(m, existing.get(identity(m)), applied.get(identity(m))))
    surplus = tuple(
        child for key, child in sorted(existing.items()) if key not in names and child.owner == owner and child.kind != CLAIM
    )
    if rolled_out and not any(manifest["kind"] == "Deployment" for manifest in apply):
        return Plan(apply=apply, prune=surplus, waiting=())
    return Plan(apply=apply, prune=(), waiting=surplus)


def upgrades(todo: Plan, existing: Mapping[ObjectId, Owned], applied: Mapping[ObjectId, Applied]) -> bool:
    """Whether a Deployment that this process has not written is to change: then this operator renders it differently."""
    return any(
        manifest["kind"] == "Deployment" and identity(manifest) in existing and identity(manifest) not in applied
        for manifest in todo.apply
    )


def missing_only(todo: Plan, existing: Mapping[ObjectId, Owned]) -> Plan:
    """The part of a plan that changes nothing that runs."""
    return Plan(
        apply=tuple(manifest for manifest in todo.apply if identity(manifest) not in existing),
        prune=(),
        waiting=(*todo.waiting, *todo.prune),
    )


def owner_of(manifest: Mapping[str, Any]) -> str:
    """The uid of a manifest's owner; empty for a retained claim, which has none."""
    references = manifest["metadata"].get("ownerReferences") or [{"uid": ""}]
    return str(references[0]["uid"])


def orphans(wanted: Iterable[dict[str, Any]], existing: Mapping[ObjectId, Owned]) -> tuple[str, ...]:
    """The names of claims of no server. A claim is never pruned: its data cannot be restored."""
    names = {identity(manifest) for manifest in wanted}
    return tuple(name for kind, name in sorted(existing) if kind == CLAIM and (kind, name) not in names)


def in_place(manifest: Mapping[str, Any], child: Owned | None, applied: Applied | None) -> bool:
    """Whether there is nothing to write: by the object's managed fields, else by the record of the last apply.

    What others have beside our fields does not matter (but in a Deployment's spec, `observe.drift`). The API server spells some
    values in its own way (1000m is 1), so that managed fields alone would not do.
    """
    if child is None or child.owner != owner_of(manifest):
        return False
    unchanged = Applied(wanted=child_state.digest(manifest), live=child.digest)
    return applied == unchanged or child.applied == child_state.wanted_digest(manifest)


def addresses(pods: Iterable[Pod], port: int) -> dict[str, tuple[str, ...]]:
    """MultiPod: the addresses of each server's bridges, newest pod first; of unready pods only while none is ready."""
    return {
        server: _newest_first([pod for pod in candidates if pod.ready] or candidates, port)
        for server, candidates in _bridges(pods).items()
    }


def arriving(pods: Iterable[Pod], port: int) -> dict[str, tuple[str, ...]]:
    """MultiPod: the addresses of each server's bridges that are not ready and not alone, newest pod first.

    Each of them is asked by itself: the one that the gateway serves from may never answer, and another may replace it. A bridge
    that is alone is asked by being served from.
    """
    by_server = _bridges(pods)
    unready = {server: [pod for pod in pods if not pod.ready] for server, pods in by_server.items() if len(pods) > 1}
    return {server: _newest_first(candidates, port) for server, candidates in unready.items() if candidates}


def _bridges(pods: Iterable[Pod]) -> dict[str, list[Pod]]:
    """The pods with a running bridge, by server."""
    by_server: dict[str, list[Pod]] = {}
    for pod in pods:
        if pod.component == "server" and pod.ip and not pod.terminating and any(c.running for c in pod.containers):
            by_server.setdefault(pod.server, []).append(pod)
    return dict(sorted(by_server.items()))


def _newest_first(pods: Iterable[Pod], port: int) -> tuple[str, ...]:
    ordered = sorted(sorted(pods, key=lambda pod: pod.name), key=lambda pod: pod.created, reverse=True)
    return tuple(f"{pod.ip}:{port}" for pod in ordered)
