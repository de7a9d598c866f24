"""Brings the objects of one gateway into place: applies, prunes, undoes what others have added, and takes over nothing.

What cannot be done until somebody changes something becomes a finding, and the other objects go on.
"""

from __future__ import annotations

import base64
import secrets
from collections import deque
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

import structlog

from ..api.spec import API_VERSION, KIND
from ..kube.client import ApiError, Cluster
from ..observe import child_state, drift, kinds
from ..observe.child_state import Key, Owned
from ..render import naming
from ..render.render import Rendered
from . import plan
from .conditions import Finding
from .plan import ObjectId, Settled, identity
from .rollouts import Rollouts

log = structlog.get_logger()
T = TypeVar("T")

_CONTESTED = 3  # times that the same addition is undone
_WITHIN = timedelta(minutes=10)
_LATER = 30.0  # seconds until a refusal that a person has to mend is tried again
_COLLECTED = 1.0  # seconds until the garbage collector may have done its work


class _Blocked(Exception):
    """An object could not be put in place, for a reason that belongs into a condition."""

    def __init__(self, reason: str, message: str, retry: float = _LATER) -> None:
        super().__init__(message)
        self.finding, self.retry = Finding("False", reason, message), retry


@dataclass
class Memory:
    """What is remembered of one gateway between reconciles; losing it costs reads, never writes."""

    uid: str
    generation: int = 0  # whose rules have been checked
    settled: dict[ObjectId, Settled] = field(default_factory=dict)
    undone: dict[str, deque[datetime]] = field(default_factory=dict)  # by object and path
    keys_made: bool = False
    ready: str = "Unknown"  # what status says
    pokes: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How far it went."""

    pending: bool = False  # objects of an older shape still wait to be pruned
    failure: Finding | None = None
    queued: Finding | None = None  # an operator's upgrade that waits for its turn
    retry: float | None = None  # seconds


class Objects:
    """The objects of all gateways, in one cluster. `options` are the chart's, of optional kinds."""

    def __init__(self, cluster: Cluster, options: frozenset[str], rollouts: Rollouts) -> None:
        self._cluster, self._rollouts = cluster, rollouts
        self._managed = {resource.kind for resource in kinds.managed(options)}

    async def put_in_place(
        self, key: Key, memory: Memory, rendered: Rendered, existing: Mapping[ObjectId, Owned], now: datetime, *, edited: bool
    ) -> Outcome:
        """Apply and prune; `edited`: somebody has changed the resource. Raises: ApiError for what is to be tried again."""
        blocked: list[_Blocked] = []
        await self._make_keys(key, memory, blocked)
        gateway = existing.get(("Deployment", key[1]))
        todo = plan.plan(
            rendered.objects,
            existing,
            settled=memory.settled,
            owner=memory.uid,
            rolled_out=gateway is not None and gateway.complete,
        )
        queued = None
        if not edited and plan.upgrades(todo, existing, memory.settled):
            queued = self._rollouts.ask(key, ready=memory.ready == "True", now=now)
        if queued is not None:
            todo = plan.missing_only(todo, existing)
        for manifest in todo.apply:
            try:
                await self._apply(key, memory, manifest, existing.get(identity(manifest)), now)
            except _Blocked as error:
                blocked.append(error)
        if not blocked:
            for child in todo.prune:
                await self._prune(key, memory, child, blocked)
        if not blocked:
            return Outcome(bool(todo.waiting), queued=queued)
        first = blocked[0].finding
        message = "; ".join(error.finding.message for error in blocked)
        failure = Finding(first.status, first.reason, message)
        return Outcome(bool(todo.waiting), failure, queued, min(error.retry for error in blocked))

    async def _make_keys(self, key: Key, memory: Memory, blocked: list[_Blocked]) -> None:
        if not memory.keys_made:
            try:
                await _guarded(self._cluster.create(_keys_secret(key, memory.uid)), "create Secret")
                memory.keys_made = True
            except _Blocked as error:
                blocked.append(error)

    async def _prune(self, key: Key, memory: Memory, child: Owned, blocked: list[_Blocked]) -> None:
        try:
            await _guarded(self._cluster.delete(child.kind, key[0], child.name, child.uid), f"delete {child.kind} {child.name}")
        except _Blocked as error:
            blocked.append(error)
            return
        memory.settled.pop((child.kind, child.name), None)
        log.info("pruned", namespace=key[0], gateway=key[1], kind=child.kind, name=child.name)

    # --- one object -------------------------------------------------------------------------------------------------------

    async def _apply(self, key: Key, memory: Memory, manifest: dict[str, Any], child: Owned | None, now: datetime) -> None:
        kind, name = identity(manifest)
        self._demand(kind)
        known = child is not None and child.owner in (memory.uid, plan.owner_of(manifest))
        uid = child.uid if child is not None and known else await self._uid_of(key, memory, manifest)
        if child is not None and child.holds_replicas and "replicas" not in manifest["spec"]:
            await self._cluster.keep_replicas(name, key[0], child.uid, child.replicas)
        applied = await _applied(self._cluster.apply(manifest, uid=uid), kind, name)
        if kind == "Deployment":
            await self._undo_additions(key, memory, applied, now)
        settled = Settled(wanted=child_state.digest(manifest), live=child_state.content_digest(applied))
        if memory.settled.get((kind, name)) != settled:  # else a watch that lags, or drift that was undone
            log.info("applied", namespace=key[0], gateway=key[1], kind=kind, name=name)
        memory.settled[kind, name] = settled

    def _demand(self, kind: str) -> None:
        """An optional kind needs the chart's leave."""
        if kind not in self._managed:
            resource = kinds.BY_KIND[kind]
            raise _Blocked(
                "APIDisabled",
                f"{kind}: the operator may not manage {resource.plural}: install its chart with "
                f"optionalAPIs.{resource.option}=true, or remove spec.{resource.field}",
            )

    async def _uid_of(self, key: Key, memory: Memory, manifest: Mapping[str, Any]) -> str | None:
        """The uid of an object that the index does not know; None if there is none. A foreign one is never taken over."""
        kind, name = identity(manifest)
        live = await _guarded(self._cluster.find(kind, key[0], name), f"list {kind}")
        if live is None:
            return None
        owner = child_state.controller(live)
        if owner is not None and owner["uid"] == memory.uid:
            return str(live["metadata"]["uid"])
        if owner is not None and owner.get("kind") == KIND and owner.get("name") == key[1]:
            message = f"{kind} {name} belongs to a deleted MCPGateway of the same name and is being collected"
            raise _Blocked("AwaitingDeletion", message, _COLLECTED)
        if owner is None and kind == kinds.CLAIM and child_state.ours(live, key):
            return str(live["metadata"]["uid"])  # it has outlived its gateway, to be found again
        whose = f"controlled by {owner['kind']} {owner['name']}" if owner else "not controlled by anything"
        raise _Blocked("Conflict", f"{kind} {name} exists already and is {whose}: delete it, or rename this MCPGateway")

    async def _undo_additions(self, key: Key, memory: Memory, body: Mapping[str, Any], now: datetime) -> None:
        """Remove what others have added. Who adds it again and again is at odds with us, and a person has to decide."""
        name = body["metadata"]["name"]
        unwanted = drift.additions(body)
        contested = [one for one in unwanted if _contested(memory.undone.get(f"{name}{one.path}", ()), now)]
        todo = [one for one in unwanted if one not in contested]
        if todo:
            patch = drift.removal(body, todo)
            await _guarded(self._cluster.patch("Deployment", key[0], name, patch), f"patch Deployment {name}")
        for addition in todo:
            memory.undone.setdefault(f"{name}{addition.path}", deque(maxlen=_CONTESTED)).append(now)
            log.info("undone", namespace=key[0], gateway=key[1], name=name, path=addition.path, manager=addition.manager)
        if contested:
            said = ", ".join(f"{addition.path} by {addition.manager}" for addition in contested[:4])
            raise _Blocked(
                "DriftContested",
                f"Deployment {name}: {said}: added again each time it is undone; stop that manager, or set spec.paused",
                _WITHIN.total_seconds(),
            )


def _contested(undone: Sequence[datetime], now: datetime) -> bool:
    return len(undone) == _CONTESTED and now - undone[0] < _WITHIN


async def _guarded(call: Awaitable[T], what: str) -> T:
    """Turn a refusal that only a person can mend into a finding; the rest is for the queue to try again."""
    try:
        return await call
    except ApiError as error:
        if not error.terminal:
            raise
        reason = "Forbidden" if error.status == 403 else "Rejected"
        raise _Blocked(reason, f"{what}: {error.message}") from error


async def _applied(call: Awaitable[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    try:
        return await _guarded(call, f"patch {kind} {name}")
    except ApiError as error:
        resource = kinds.BY_KIND[kind]
        if error.status != 404 or not resource.option:
            raise
        raise _Blocked(
            "APINotInstalled",
            f"{kind}: this cluster has no {resource.group}/{resource.version}: install its CRDs, or remove spec.{resource.field}",
        ) from error


def _keys_secret(key: Key, uid: str) -> dict[str, Any]:
    """The session signing key: made once for each life of a gateway, never read again."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": naming.keys_secret(key[1], uid),
            "namespace": key[0],
            "labels": naming.labels(key[1], "gateway"),
            "ownerReferences": [{"apiVersion": API_VERSION, "kind": KIND, "name": key[1], "uid": uid, "controller": True}],
        },
        "immutable": True,
        "type": "Opaque",
        "data": {"k1": base64.b64encode(secrets.token_bytes(32)).decode()},
    }
