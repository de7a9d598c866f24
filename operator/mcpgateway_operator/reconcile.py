"""One coroutine: key → snapshot → plan → apply → status. It never asks what happened, only what is.

A second run in an unchanged world makes no write.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog

from . import facts, naming, plan, quarantine, status
from .api import API_VERSION, KIND, InvalidSpecError, Spec, parse_spec
from .cluster import ApiError, Cluster
from .facts import Key, Owned, Pod
from .plan import ObjectId, Settled, identity
from .polls import Polls
from .render import Context, Rendered, render
from .status import Finding, Observation

log = structlog.get_logger()

_POKE_AGAIN = 5.0  # seconds until a pod that has not taken its configuration is poked again


class Index(Protocol):
    """The children and pods that the watches have seen."""

    def children(self, key: Key) -> Iterable[Owned]:
        """The objects controlled by a gateway of that name."""

    def pods(self, key: Key) -> Iterable[Pod]:
        """The pods of a gateway and its servers."""


class _Blocked(Exception):
    """An object could not be applied, for a reason that belongs into a condition."""

    def __init__(self, finding: Finding, retry: float | None) -> None:
        super().__init__(finding.message)
        self.finding, self.retry = finding, retry


@dataclass
class _Memory:
    """What is remembered of one gateway between reconciles; losing it costs reads, never writes."""

    uid: str
    settled: dict[ObjectId, Settled] = field(default_factory=dict)
    keys_made: bool = False
    pokes: int = 0


class Reconciler:
    """Brings gateways to the state that their resources describe."""

    def __init__(self, *, cluster: Cluster, index: Index, polls: Polls, image: str, clock: Callable[[], datetime]) -> None:
        self._cluster, self._index, self._polls, self._image, self._clock = cluster, index, polls, image, clock
        self._memory: dict[Key, _Memory] = {}

    async def reconcile(self, key: Key) -> float | None:
        """One pass over one gateway. Returns: seconds until it wants another, or None. Raises: ApiError to be retried."""
        namespace, name = key
        resource = await self._cluster.get(KIND, namespace, name)
        if resource is None or "deletionTimestamp" in resource["metadata"]:
            self._memory.pop(key, None)
            self._polls.follow(key, [])
            return None
        try:
            spec = parse_spec(resource["spec"])
        except InvalidSpecError as error:
            await self._write_status(resource, self._rejection(resource, str(error)))
            return None
        return await self._pursue(key, resource, spec)

    async def _pursue(self, key: Key, resource: Mapping[str, Any], spec: Spec) -> float | None:
        metadata, known, now = resource["metadata"], resource.get("status") or {}, self._clock()
        memory = self._memory.setdefault(key, _Memory(metadata["uid"]))
        if memory.uid != metadata["uid"]:
            memory = self._memory[key] = _Memory(metadata["uid"])
        pods = list(self._index.pods(key))
        held = quarantine.held_back(spec, pods=pods, status=known, generation=metadata["generation"], now=now)
        rendered = render(
            spec,
            Context(
                name=key[1],
                namespace=key[0],
                uid=memory.uid,
                image=self._image,
                addresses=plan.addresses(pods, naming.BRIDGE_PORT),
                quarantined=frozenset(held),
            ),
        )
        existing = {(child.kind, child.name): child for child in self._index.children(key)}
        retries = [quarantine.retry_in(held, now)]
        failure, pending = None, False
        try:
            if not spec.paused:
                pending = await self._program(key, memory, rendered, existing)
        except _Blocked as blocked:
            failure = blocked.finding
            retries.append(blocked.retry)
        self._polls.follow(key, _reporting(pods))
        reports = self._polls.reports(key)
        if not spec.paused:
            retries.append(await self._poke(key, memory, pods, reports, rendered.config_digest))
        observation = Observation(
            name=key[1],
            namespace=key[0],
            generation=metadata["generation"],
            spec=spec,
            config_digest=rendered.config_digest,
            gateway=existing.get(("Deployment", key[1])),
            pods=pods,
            deployments={name: child for (kind, name), child in existing.items() if kind == "Deployment"},
            reports=reports,
            held=held,
            failure=failure,
            pending=pending,
        )
        if failure is not None or not self._known_and_pending(key, known, metadata["generation"]):
            await self._write_status(resource, status.build(observation, previous=known, now=_stamp(now)))
        return min((delay for delay in retries if delay is not None), default=None)

    # --- objects ----------------------------------------------------------------------------------------------------------

    async def _program(self, key: Key, memory: _Memory, rendered: Rendered, existing: Mapping[ObjectId, Owned]) -> bool:
        """Apply and prune. Returns: whether something still waits to be pruned."""
        if not memory.keys_made:
            await self._guard(self._cluster.create(_keys_secret(key, memory.uid)), "Secret", "create")
            memory.keys_made = True
        gateway = existing.get(("Deployment", key[1]))
        todo = plan.plan(
            rendered.objects,
            existing,
            settled=memory.settled,
            owner=memory.uid,
            rolled_out=gateway is not None and gateway.complete,
        )
        for manifest in todo.apply:
            await self._apply(key, memory, manifest, existing.get(identity(manifest)))
        for child in todo.prune:
            await self._guard(self._cluster.delete(child.kind, key[0], child.name, child.uid), child.kind, "delete")
            memory.settled.pop((child.kind, child.name), None)
            log.info("pruned", namespace=key[0], gateway=key[1], kind=child.kind, name=child.name)
        return bool(todo.waiting)

    async def _apply(self, key: Key, memory: _Memory, manifest: dict[str, Any], child: Owned | None) -> None:
        uid = child.uid if child is not None and child.owner == memory.uid else await self._uid_of(key, memory, manifest)
        applied = await self._guard(self._cluster.apply(manifest, uid=uid), manifest["kind"], "patch")
        settled = Settled(wanted=facts.digest(manifest), live=facts.content_digest(applied))
        if memory.settled.get(identity(manifest)) != settled:  # else a watch that lags, or drift that was undone
            log.info("applied", namespace=key[0], gateway=key[1], kind=manifest["kind"], name=manifest["metadata"]["name"])
        memory.settled[identity(manifest)] = settled

    async def _uid_of(self, key: Key, memory: _Memory, manifest: Mapping[str, Any]) -> str | None:
        """The uid of an object that the index does not know; None if there is none. A foreign one is never taken over."""
        kind, name = identity(manifest)
        live = await self._guard(self._cluster.get(kind, key[0], name), kind, "get")
        if live is None:
            return None
        owner = facts.controller(live)
        if owner is not None and owner["uid"] == memory.uid:
            return str(live["metadata"]["uid"])
        if owner is not None and owner.get("kind") == KIND and owner.get("name") == key[1]:
            message = f"{kind} {name} belongs to a deleted MCPGateway of the same name and is being collected"
            raise _Blocked(Finding("False", "AwaitingDeletion", message), 1.0)
        whose = f"controlled by {owner['kind']} {owner['name']}" if owner else "not controlled by anything"
        message = f"{kind} {name} exists already and is {whose}: delete it, or rename this MCPGateway"
        raise _Blocked(Finding("False", "Conflict", message), 30.0)

    async def _guard(self, call: Any, kind: str, verb: str) -> Any:
        """Turn a refusal that only a person can mend into a condition; the rest is for the queue to retry."""
        try:
            return await call
        except ApiError as error:
            if not error.terminal:
                raise
            reason = "Forbidden" if error.status == 403 else "Rejected"
            raise _Blocked(Finding("False", reason, f"{verb} {kind}: {error.message}"), 30.0) from error

    async def _poke(
        self, key: Key, memory: _Memory, pods: list[Pod], reports: Mapping[str, Mapping[str, Any]], digest: str
    ) -> float | None:
        """A kubelet refreshes mounted ConfigMaps once a minute, but at once when the pod object changes."""
        late = [pod for pod in pods if pod.uid in reports and reports[pod.uid].get("config") != digest]
        for pod in late:
            memory.pokes += 1
            await self._cluster.annotate("Pod", key[0], pod.name, {naming.POKE: f"{digest}-{memory.pokes}"})
        return _POKE_AGAIN if late else None

    def _known_and_pending(self, key: Key, known: Mapping[str, Any], generation: int) -> bool:
        """Whether what status says may still be true, and the pods that would know have only just been asked."""
        return known.get("observedGeneration") == generation and self._polls.pending(key)

    # --- status -----------------------------------------------------------------------------------------------------------

    def _rejection(self, resource: Mapping[str, Any], message: str) -> dict[str, Any]:
        generation, previous = resource["metadata"]["generation"], resource.get("status") or {}
        findings = status.conditions(
            status.rejected(message), generation=generation, previous=previous, now=_stamp(self._clock())
        )
        return {"observedGeneration": generation, "conditions": findings}

    async def _write_status(self, resource: Mapping[str, Any], wanted: dict[str, Any]) -> None:
        metadata, known = resource["metadata"], resource.get("status") or {}
        if status.significant(wanted) == status.significant(known):
            return
        await self._cluster.apply_status(metadata["namespace"], metadata["name"], metadata["uid"], wanted)
        for change in status.transitions(known, wanted):
            log.info(
                "status", namespace=metadata["namespace"], gateway=metadata["name"], reason=change.reason, message=change.message
            )
            await self._cluster.create(_event(metadata, change, self._clock()))


def _reporting(pods: Iterable[Pod]) -> list[Pod]:
    """Gateway pods whose gateway container runs: also those that are not ready, to learn why."""
    out = []
    for pod in pods:
        container = pod.container("gateway")
        if pod.component == "gateway" and not pod.terminating and pod.ip and container is not None and container.ready:
            out.append(pod)
    return out


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


def _event(metadata: Mapping[str, Any], change: Finding, now: datetime) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata['name']}.{secrets.token_hex(8)}", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
        "type": "Warning" if status.is_problem(change) else "Normal",
        "reason": change.reason,
        "message": change.message[:1024],
        "source": {"component": naming.MANAGER},
        "reportingComponent": naming.MANAGER,
        "firstTimestamp": _stamp(now),
        "lastTimestamp": _stamp(now),
        "count": 1,
    }


def _stamp(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


def utc_now() -> datetime:
    """The clock outside tests."""
    return datetime.now(UTC)
