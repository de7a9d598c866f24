"""One coroutine: key → snapshot → plan → apply → status. It never asks what happened, only what is.

A second run in an unchanged world makes no write.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog

from ..api.spec import API_VERSION, KIND, InvalidSpecError, Spec, parse_spec
from ..api.validation import check
from ..kube.client import Cluster
from ..observe.child_state import Key, Owned, Pod
from ..observe.gateway_reports import Polls
from ..render import naming
from ..render.render import Context, render
from . import conditions, image_pull_quarantine, plan
from .children import Memory, Objects, Outcome
from .conditions import Finding, Observation
from .rollouts import Rollouts

log = structlog.get_logger()

_POKE_AGAIN = 5.0  # seconds until a pod that has not taken its configuration is poked again


class Index(Protocol):
    """The children and pods that the watches have seen."""

    def children(self, key: Key) -> Iterable[Owned]:
        """The objects controlled by a gateway of that name."""

    def pods(self, key: Key) -> Iterable[Pod]:
        """The pods of a gateway and its servers."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator was told when it was installed."""

    image: str  # of the gateway, where spec.image is absent
    options: frozenset[str] = frozenset()  # optional APIs that it may use
    namespace: str = ""  # of its own pod
    cluster_cidrs: tuple[str, ...] = ()


class Reconciler:
    """Brings gateways to the state that their resources describe."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        index: Index,
        polls: Polls,
        rollouts: Rollouts,
        settings: Settings,
        clock: Callable[[], datetime],
    ) -> None:
        self._cluster, self._index, self._polls, self._settings, self._clock = cluster, index, polls, settings, clock
        self._rollouts = rollouts
        self._objects = Objects(cluster, settings.options, rollouts)
        self._memory: dict[Key, Memory] = {}

    def ready(self) -> Counter[str]:
        """How many gateways there are, by the status of their Ready condition."""
        return Counter(memory.ready for memory in self._memory.values())

    async def reconcile(self, key: Key) -> float | None:
        """One pass over one gateway. Returns: seconds until it wants another, or None. Raises: ApiError to be retried."""
        namespace, name = key
        resource = await self._cluster.get(KIND, namespace, name)
        if resource is None or "deletionTimestamp" in resource["metadata"]:
            self._memory.pop(key, None)
            self._rollouts.forget(key)
            self._polls.follow(key, [])
            return None
        memory = self._remembered(key, resource["metadata"]["uid"])
        memory.ready = conditions.ready(resource.get("status") or {})
        try:
            spec = parse_spec(resource["spec"])
            if memory.generation != resource["metadata"]["generation"]:
                if not conditions.accepted(resource):
                    check(spec)
                memory.generation = resource["metadata"]["generation"]
        except InvalidSpecError as error:
            self._rollouts.forget(key)
            await self._write_status(resource, self._rejection(resource, str(error)))
            return None
        return await self._pursue(key, resource, spec, memory)

    def _remembered(self, key: Key, uid: str) -> Memory:
        known = self._memory.get(key)
        if known is None or known.uid != uid:
            known = self._memory[key] = Memory(uid)
        return known

    async def _pursue(self, key: Key, resource: Mapping[str, Any], spec: Spec, memory: Memory) -> float | None:
        metadata, known, now = resource["metadata"], resource.get("status") or {}, self._clock()
        pods = list(self._index.pods(key))
        held = image_pull_quarantine.held_back(spec, pods=pods, status=known, generation=metadata["generation"], now=now)
        existing = {(child.kind, child.name): child for child in self._index.children(key)}
        service = existing.get(("Service", key[1]))
        rendered = render(
            spec,
            Context(
                name=key[1],
                namespace=key[0],
                uid=memory.uid,
                image=self._settings.image,
                addresses=plan.addresses(pods, naming.BRIDGE_PORT),
                quarantined=frozenset(held),
                pins=naming.pins(metadata.get("annotations") or {}),
                hosts=service.hosts if service else (),
                operator_namespace=self._settings.namespace,
                cluster_cidrs=self._settings.cluster_cidrs,
            ),
        )
        outcome = Outcome()
        if not spec.paused:
            edited = known.get("observedGeneration") != metadata["generation"]
            outcome = await self._objects.put_in_place(key, memory, rendered, existing, now, edited=edited)
        changing = not spec.paused and outcome.queued is None
        self._polls.follow(key, _reporting(pods))
        reports = self._polls.reports(key)
        retries = [image_pull_quarantine.retry_in(held, now), outcome.retry]
        if changing:
            retries.append(await self._poke(key, memory, pods, reports, rendered.config_digest))
        observation = Observation(
            name=key[1],
            namespace=key[0],
            generation=metadata["generation"],
            pins=naming.pins(metadata.get("annotations") or {}),
            spec=spec,
            config_digest=rendered.config_digest,
            gateway=existing.get(("Deployment", key[1])),
            pods=pods,
            deployments={name: child for (kind, name), child in existing.items() if kind == "Deployment"},
            reports=reports,
            held=held,
            failure=outcome.failure,
            queued=outcome.queued,
            pending=outcome.pending,
            service=service,
            orphans=plan.orphans(rendered.objects, existing),
        )
        if outcome.failure is not None or not self._known_and_pending(key, known, metadata["generation"]):
            known = conditions.build(observation, previous=known, now=_stamp(now))
            await self._write_status(resource, known)
        programmed, ready = (conditions.holds(known, condition) for condition in ("Programmed", "Ready"))
        retries.append(self._rollouts.seen(key, programmed=programmed, ready=ready, now=now))
        return min((delay for delay in retries if delay is not None), default=None)

    async def _poke(
        self, key: Key, memory: Memory, pods: list[Pod], reports: Mapping[str, Mapping[str, Any]], digest: str
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
        findings = conditions.conditions(
            conditions.rejected(message), generation=generation, previous=previous, now=_stamp(self._clock())
        )
        return {"observedGeneration": generation, "conditions": findings}

    async def _write_status(self, resource: Mapping[str, Any], wanted: dict[str, Any]) -> None:
        metadata, known = resource["metadata"], resource.get("status") or {}
        self._memory[metadata["namespace"], metadata["name"]].ready = conditions.ready(wanted)
        if conditions.significant(wanted) == conditions.significant(known):
            return
        await self._cluster.apply_status(metadata["namespace"], metadata["name"], metadata["uid"], wanted)
        for change in conditions.transitions(known, wanted):
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
        "type": "Warning" if conditions.is_problem(change) else "Normal",
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
