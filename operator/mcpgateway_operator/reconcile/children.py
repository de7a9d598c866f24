"""Carries out a plan for the children of one gateway: applies, prunes, removes what others have added, takes over nothing.

An object that is blocked becomes a finding; the other objects are written all the same.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from ..api.group import KIND
from ..observe import child_state, drift, field_ownership, kinds
from ..observe.child_state import Key, Owned
from ..observe.ports import ApiError
from ..render import naming
from ..render.key_secrets import RANDOM_BYTES, key_secrets
from . import finding, name_conflicts
from .finding import BlockedError, Finding, guarded
from .memory import ChildRecords
from .name_conflicts import ConflictError
from .plan import Applied, ObjectId, Plan, identity, in_place, owner_of
from .ports import Cluster
from .reasons import Reason

log = structlog.get_logger()

_RETRY_COLLECTION = 1.0  # seconds in which the garbage collector usually removes the objects of a deleted gateway
_NAMED_ADDITIONS = 4  # in a message


@dataclass(frozen=True, slots=True)
class Target:
    """The gateway whose children are written."""

    key: Key
    uid: str
    existing: Mapping[ObjectId, Owned]
    lost: Mapping[str, str]  # places that another gateway has, and its name
    records: ChildRecords
    now: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of carrying out a plan."""

    pending: bool = False  # objects of an older shape wait until they can be pruned
    failure: Finding | None = None
    conflict: Finding | None = None  # the part of the failure that makes a gateway useless: what answers may not be its own
    retry: float | None = None  # seconds
    written: Mapping[ObjectId, Owned] = field(default_factory=dict)  # as the API server answered: newer than the index


class Children:
    """The children of all gateways. `options` are the optional APIs that the chart has enabled."""

    def __init__(self, cluster: Cluster, options: frozenset[str]) -> None:
        self._cluster = cluster
        self._managed = {resource.kind for resource in kinds.managed(options)}

    async def carry_out(self, target: Target, todo: Plan) -> Outcome:
        """Apply and prune. Nothing is pruned while an object is blocked. Raises: ApiError if the queue is to retry."""
        blocked: list[BlockedError] = []
        written: dict[ObjectId, Owned] = {}
        try:
            await self._create_keys(target)
        except BlockedError as error:
            blocked.append(error)
        lost = {place: name_conflicts.taken(target.key[1], place, rival) for place, rival in target.lost.items()}
        blocked += lost.values()
        for manifest in todo.apply:
            if naming.place(manifest) in lost:
                continue
            try:
                written[identity(manifest)] = await self._apply(target, manifest)
            except BlockedError as error:
                blocked.append(error)
                if isinstance(error, ConflictError) and error.rival:
                    lost[naming.place(manifest)] = error  # one gateway has all of a place, or two would have half of it each
        for child in () if blocked else todo.prune:
            try:
                await self._prune(target, child)
            except BlockedError as error:
                blocked.append(error)
        conflict = finding.joined([error for error in blocked if isinstance(error, ConflictError) and error.needed])
        retry = min((error.retry for error in blocked), default=None)
        return Outcome(bool(todo.waiting), finding.joined(blocked), conflict, retry, written)

    async def _create_keys(self, target: Target) -> None:
        if not target.records.keys_created:
            namespace, gateway = target.key
            random = secrets.token_bytes(RANDOM_BYTES)
            for secret in key_secrets(namespace=namespace, gateway=gateway, uid=target.uid, random=random):
                await guarded(self._cluster.create(secret), "create Secret")
            target.records.keys_created = True

    async def _prune(self, target: Target, child: Owned) -> None:
        namespace, gateway = target.key
        request = self._cluster.delete(child.kind, namespace, child.name, child.uid)
        await guarded(request, f"delete {child.kind} {child.name}")
        target.records.applied.pop((child.kind, child.name), None)
        log.info("pruned", namespace=namespace, gateway=gateway, kind=child.kind, name=child.name)

    async def _apply(self, target: Target, manifest: dict[str, Any]) -> Owned:
        namespace, gateway = target.key
        kind, name = identity(manifest)
        self._require_managed(kind)
        child, previous = target.existing.get((kind, name)), target.records.applied.get((kind, name))
        if previous is not None and previous.wanted == child_state.digest(manifest):
            current = await self._undone(target, manifest, previous)
            if current is not None:
                return current
        uid = await self._uid(target, manifest, child)
        if child is not None and child.holds_replicas and "replicas" not in manifest["spec"]:
            await self._cluster.keep_replicas(name, namespace, child.uid, child.replicas)
        live = await self._written(manifest, uid)
        added = kind == "Deployment" and await self._remove_additions(target, live)
        digest = "" if added else child_state.content_digest(live)  # with the additions it would hide that they come back
        target.records.applied[kind, name] = Applied(wanted=child_state.digest(manifest), live=digest)
        log.info("applied", namespace=namespace, gateway=gateway, kind=kind, name=name)
        return child_state.owned(live)

    async def _undone(self, target: Target, manifest: Mapping[str, Any], previous: Applied) -> Owned | None:
        """The same was written before. Returns: the object, if it has not changed since and only the index does not know yet.

        Raises: BlockedError if somebody undoes it each time.
        """
        (kind, name), place = identity(manifest), " ".join(identity(manifest))
        live = await guarded(self._cluster.find(kind, target.key[0], name), f"list {kind}")
        if live is not None and in_place(manifest, child_state.owned(live), previous):
            return child_state.owned(live)
        pause = target.records.contests.left_alone(place, target.now)
        if pause > 0:
            message = f"{place}: {_opponent(live)} each time it is restored; stop that, or set spec.paused"
            raise BlockedError(Reason.DRIFT_CONTESTED, message, pause)
        target.records.contests.record(place, target.now)
        return None

    async def _written(self, manifest: dict[str, Any], uid: str | None) -> dict[str, Any]:
        kind, name = identity(manifest)
        try:
            return await guarded(self._cluster.apply(manifest, uid=uid), f"patch {kind} {name}")
        except ApiError as error:
            resource = kinds.BY_KIND[kind]
            if error.status != 404 or not resource.option:
                raise
            api = f"{resource.group}/{resource.version}"
            message = f"{kind}: this cluster does not serve {api}: install its CRDs, or remove spec.{resource.field}"
            raise BlockedError(Reason.API_NOT_INSTALLED, message) from error

    def _require_managed(self, kind: str) -> None:
        """An optional kind must be enabled in the chart."""
        if kind not in self._managed:
            resource = kinds.BY_KIND[kind]
            raise BlockedError(
                Reason.API_DISABLED,
                f"{kind}: the operator may not manage {resource.plural}: install its chart with "
                f"optionalAPIs.{resource.option}=true, or remove spec.{resource.field}",
            )

    async def _uid(self, target: Target, manifest: Mapping[str, Any], child: Owned | None) -> str | None:
        """The uid of the object to apply to; None if it does not exist. A foreign object is never taken over."""
        if child is not None and child.owner in (target.uid, owner_of(manifest)):
            return child.uid
        kind, name = identity(manifest)
        live = await guarded(self._cluster.find(kind, target.key[0], name), f"list {kind}")
        if live is None:
            return None
        owner = child_state.controller(live)
        if owner is not None and owner["uid"] == target.uid:
            return str(live["metadata"]["uid"])
        if owner is not None and owner.get("kind") == KIND and owner.get("name") == target.key[1]:
            message = f"{kind} {name} belongs to a deleted MCPGateway of the same name and is being garbage-collected"
            raise BlockedError(Reason.AWAITING_DELETION, message, _RETRY_COLLECTION)
        if owner is None and child_state.ours(live, target.key):
            return str(live["metadata"]["uid"])  # retained by an earlier gateway of this name, or restored from a backup: adopted
        raise name_conflicts.occupied(manifest, owner)

    async def _remove_additions(self, target: Target, live: Mapping[str, Any]) -> bool:
        """Remove what other managers have added. Returns: whether there was something."""
        namespace, gateway = target.key
        name, unwanted = live["metadata"]["name"], drift.additions(live)
        if unwanted:
            request = self._cluster.patch("Deployment", namespace, name, drift.removal(live, unwanted))
            await guarded(request, f"patch Deployment {name}")
        for addition in unwanted:
            log.info("undone", namespace=namespace, gateway=gateway, name=name, path=addition.path, manager=addition.manager)
        return bool(unwanted)


def _opponent(live: Mapping[str, Any] | None) -> str:
    """Who does what to an object, by its managed fields: in words that `each time` follows."""
    if live is None:
        return "something deletes it"
    if live["kind"] == "Deployment" and (added := drift.additions(live)):
        return "added again, " + ", ".join(f"{each.path} by {each.manager}" for each in added[:_NAMED_ADDITIONS])
    others = sorted(field_ownership.entries(live, ours=False), key=lambda entry: entry.get("time", ""))
    return f"{others[-1]['manager'] if others else 'another operator of the same name'} changes it"
