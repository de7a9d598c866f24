"""One pass over one gateway: observe, decide, act, report. It never asks what happened, only what is.

A second pass over an unchanged world makes no write.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import structlog

from ..api.annotations import FurtherAnnotations, annotation_errors
from ..api.group import KIND
from ..api.spec import Spec
from ..api.validation import InvalidSpecError, check, parse_spec
from ..observe.child_state import Key, Owned, Pod
from ..render import naming
from ..render.context import Context, Platform
from ..render.render import Rendered, render
from . import conditions, events, gateway_status, image_pull_quarantine, name_conflicts, ownership, plan, references, succession
from .children import Children, Outcome, Target
from .finding import Finding
from .image_pull_quarantine import Held
from .memory import Memory
from .observation import Observation
from .plan import ObjectId, Plan
from .ports import Clock, Cluster, Index, Operators, Places, Reports
from .reasons import Reason
from .rollouts import Rollouts
from .server_status import significant
from .timestamp import timestamp

log = structlog.get_logger()

_SYNC_AGAIN = 5.0  # seconds until a pod that has not loaded its configuration is annotated again
_STATUS = "status"  # the one place of a status contest
_NOTHING = Plan(apply=(), prune=(), waiting=())


@dataclass(frozen=True, slots=True)
class Settings:
    """The operator's own settings."""

    image: str  # of the gateway, where spec.image is absent
    runner: str  # of packages, where spec.packages.runnerImage is absent
    operator: str = naming.MANAGER  # its identity: NAMESPACE/RELEASE in a cluster
    options: frozenset[str] = frozenset()  # optional APIs that it may use
    namespace: str = ""  # of its own pod
    platform: Platform = field(default_factory=Platform)
    annotations: FurtherAnnotations = field(default_factory=FurtherAnnotations)


@dataclass(frozen=True, slots=True)
class _Subject:
    """The gateway of one pass."""

    key: Key
    metadata: Mapping[str, Any]
    spec: Spec
    status: Mapping[str, Any]  # that is stored
    memory: Memory
    now: datetime

    @property
    def edited(self) -> bool:
        """Whether the spec has changed since the stored status."""
        return bool(self.status.get("observedGeneration") != self.metadata["generation"])


@dataclass(frozen=True, slots=True)
class _World:
    """Observed: the objects and pods of a gateway."""

    pods: list[Pod]
    existing: dict[ObjectId, Owned]
    held: Mapping[str, Held]

    def own(self, subject: _Subject) -> list[Owned]:
        """The objects that this gateway controls, and not a deleted one of its name."""
        return [child for child in self.existing.values() if child.owner == subject.memory.uid]


@dataclass(frozen=True, slots=True)
class _Decision:
    """What is to be written. `queued`: why an upgrade waits; then only what is missing is written."""

    rendered: Rendered
    todo: Plan
    queued: Finding | None = None


class Reconciler:
    """Brings gateways to the state that their resources describe."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        index: Index,
        places: Places,
        operators: Operators,
        reports: Reports,
        rollouts: Rollouts,
        settings: Settings,
        clock: Clock,
    ) -> None:
        self._cluster, self._index, self._places, self._operators = cluster, index, places, operators
        self._reports, self._rollouts = reports, rollouts
        self._settings, self._clock = settings, clock
        self._children = Children(cluster, settings.options)
        self._memory: dict[Key, Memory] = {}

    def ready(self) -> Counter[str]:
        """The number of gateways by the status of their Ready condition."""
        return Counter(memory.ready for memory in self._memory.values())

    async def reconcile(self, key: Key) -> float | None:
        """One pass over one gateway. Returns: seconds until the next one, or None. Raises: ApiError if the queue is to retry."""
        resource = await self._cluster.get(KIND, *key)
        if resource is None or "deletionTimestamp" in resource["metadata"]:
            self._forget(key)
            self._places.drop(key)
            self._operators.release(key)
            return None
        status = resource.get("status") or {}
        manager = ownership.manager(status)
        if manager not in ("", self._settings.operator) and not self._operators.gone(key, manager):
            await self._stand_back(key, resource["metadata"], status)
            return None
        memory = self._remembered(key, resource)
        if manager != self._settings.operator and (pause := await self._claim(resource, memory)):
            return pause
        return await self._pass(key, resource, memory)

    async def _stand_back(self, key: Key, metadata: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        """Another operator manages it: write nothing but that."""
        self._forget(key)
        stamp = timestamp(self._clock())
        (notice,) = ownership.notice(status, generation=metadata["generation"], now=stamp)
        if (ownership.noticed(status) or {}).get("message") == notice["message"]:
            return
        log.info("managed elsewhere", namespace=key[0], gateway=key[1], operator=ownership.manager(status))
        await self._cluster.apply_status(metadata, {"conditions": [notice]}, manager=naming.STANDBY)
        change = Finding("True", Reason.MANAGED_ELSEWHERE, notice["message"])
        await self._cluster.create(events.event(metadata, change, now=stamp))

    async def _claim(self, resource: dict[str, Any], memory: Memory) -> float:
        """Say that this operator manages a gateway, before anything else is written. Returns: 0, or seconds until another try.

        Raises: ApiError with status 409 if the resource has changed: perhaps by the claim of another operator.
        """
        metadata, status, now = resource["metadata"], resource.get("status") or {}, self._clock()
        if (pause := memory.status_contest.left_alone(_STATUS, now)) > 0:
            return pause
        if memory.written is not None:
            memory.status_contest.record(_STATUS, now)  # an operator without claims writes its own status in place of this one's
        claimed = ownership.claimed(status, self._settings.operator)
        log.info("claimed", namespace=metadata["namespace"], gateway=metadata["name"], before=ownership.manager(status))
        await self._cluster.apply_status(metadata, claimed, exclusive=True)
        if ownership.noticed(status) is not None:
            await self._cluster.apply_status(metadata, {}, manager=naming.STANDBY)
        self._operators.release((metadata["namespace"], metadata["name"]))
        resource["status"] = claimed
        return 0.0

    async def _pass(self, key: Key, resource: Mapping[str, Any], memory: Memory) -> float | None:
        """One pass over a gateway that this operator manages."""
        try:
            spec = _validated(resource, memory, self._settings.annotations)
        except InvalidSpecError as error:
            return await self._reject(key, resource, memory, str(error))
        subject = _Subject(key, resource["metadata"], spec, resource.get("status") or {}, memory, self._clock())
        world = self._observe(subject)
        decision = self._decide(subject, world)
        outcome = await self._act(subject, world, decision)
        return await self._report(subject, world, decision, outcome)

    def _forget(self, key: Key) -> None:
        self._memory.pop(key, None)
        self._rollouts.forget(key)
        self._reports.follow(key, [])

    def _remembered(self, key: Key, resource: Mapping[str, Any]) -> Memory:
        uid = resource["metadata"]["uid"]
        memory = self._memory.get(key)
        if memory is None or memory.uid != uid:
            memory = self._memory[key] = Memory(uid)
        memory.ready = conditions.condition_status(resource.get("status") or {}, "Ready")
        return memory

    async def _reject(self, key: Key, resource: Mapping[str, Any], memory: Memory, message: str) -> float | None:
        self._rollouts.forget(key)
        metadata, previous, now = resource["metadata"], resource.get("status") or {}, self._clock()
        rejection = gateway_status.rejection(
            message, operator=self._settings.operator, generation=metadata["generation"], previous=previous, now=timestamp(now)
        )
        return await self._write_status(metadata, memory, previous, rejection, now)

    # --- observe ----------------------------------------------------------------------------------------------------------

    def _observe(self, subject: _Subject) -> _World:
        pods = list(self._index.pods(subject.key))
        held = image_pull_quarantine.held_back(
            subject.spec, pods=pods, status=subject.status, generation=subject.metadata["generation"], now=subject.now
        )
        return _World(pods, {(child.kind, child.name): child for child in self._index.children(subject.key)}, held)

    # --- decide -----------------------------------------------------------------------------------------------------------

    def _decide(self, subject: _Subject, world: _World) -> _Decision:
        context = self._context(subject, world)
        rendered = render(subject.spec, context)
        if subject.spec.paused:
            return _Decision(rendered, _NOTHING)
        todo = self._plan(subject, world, rendered)
        if succession.begins(todo.apply, world.existing, gateway=subject.key[1]):
            rendered = render(subject.spec, replace(context, awaited=self._served(subject, world)))
            todo = self._plan(subject, world, rendered)
        applied = subject.memory.children.applied
        if subject.edited or not plan.upgrades(todo, world.existing, applied):
            return _Decision(rendered, todo)
        queued = self._rollouts.ask(subject.key, ready=subject.memory.ready == "True", now=subject.now)
        return _Decision(rendered, todo if queued is None else plan.missing_only(todo, world.existing), queued)

    def _plan(self, subject: _Subject, world: _World, rendered: Rendered) -> Plan:
        return plan.plan(
            rendered.objects,
            world.existing,
            applied=subject.memory.children.applied,
            owner=subject.memory.uid,
            rolled_out=succession.over(world.existing.get(("Deployment", subject.key[1])), world.pods),
        )

    def _served(self, subject: _Subject, world: _World) -> tuple[str, ...]:
        reports = None if self._reports.pending(subject.key) else self._reports.reports(subject.key)
        return succession.served(subject.spec, world.pods, reports)

    def _context(self, subject: _Subject, world: _World) -> Context:
        gateway = world.existing.get(("Deployment", subject.key[1]))
        service = world.existing.get(("Service", subject.key[1]))
        return Context(
            name=subject.key[1],
            namespace=subject.key[0],
            uid=subject.memory.uid,
            image=self._settings.image,
            runner=self._settings.runner,
            addresses=plan.addresses(world.pods, naming.BRIDGE_PORT),
            arriving=plan.arriving(world.pods, naming.BRIDGE_PORT),
            awaited=self._served(subject, world) if gateway is not None and gateway.outdated else (),
            quarantined=frozenset(world.held),
            pins=naming.pins(subject.metadata.get("annotations") or {}),
            integrities=naming.integrities(subject.metadata.get("annotations") or {}),
            services=frozenset(child.name for child in world.own(subject) if child.kind == "Service"),
            hosts=service.hosts if service else (),
            operator_namespace=self._settings.namespace,
            platform=self._settings.platform,
        )

    # --- act --------------------------------------------------------------------------------------------------------------

    async def _act(self, subject: _Subject, world: _World, decision: _Decision) -> Outcome:
        outcome = Outcome()
        if not subject.spec.paused:
            if self._keys_missing(subject.key):
                subject.memory.children.keys_created = False
            lost = await self._lost(subject, world, decision.rendered)
            target = Target(subject.key, subject.memory.uid, world.existing, lost, subject.memory.children, subject.now)
            outcome = await self._children.carry_out(target, decision.todo)
        self._reports.follow(subject.key, _reporting(world.pods))
        return outcome

    async def _lost(self, subject: _Subject, world: _World, rendered: Rendered) -> dict[str, str]:
        """The places of other gateways. One whose deletion a watch has missed is none, and frees its places."""
        created, namespace = subject.metadata["creationTimestamp"], subject.key[0]
        lost = name_conflicts.lost(subject.key, created, rendered.objects, world.existing, self._places, self._index)
        for rival in sorted(set(lost.values())):
            if await self._cluster.get(KIND, namespace, rival) is None:
                self._places.drop((namespace, rival))
        return lost

    # --- report -----------------------------------------------------------------------------------------------------------

    async def _report(self, subject: _Subject, world: _World, decision: _Decision, outcome: Outcome) -> float | None:
        """Write the status. Returns: seconds until the next pass."""
        delays = [image_pull_quarantine.retry_in(world.held, subject.now), outcome.retry]
        if not subject.spec.paused and decision.queued is None:
            delays.append(await self._sync_pods(subject, world.pods, decision.rendered.config_digest))
        written = subject.status
        if outcome.failure is not None or subject.edited or not self._reports.pending(subject.key):
            observation = self._observation(subject, world, decision, outcome)
            written = gateway_status.build(observation, previous=subject.status, now=timestamp(subject.now))
            delays.append(await self._write_status(subject.metadata, subject.memory, subject.status, written, subject.now))
        programmed, ready = (conditions.condition_status(written, kind) == "True" for kind in ("Programmed", "Ready"))
        delays.append(self._rollouts.observe(subject.key, programmed=programmed, ready=ready, now=subject.now))
        return min((delay for delay in delays if delay is not None), default=None)

    def _observation(self, subject: _Subject, world: _World, decision: _Decision, outcome: Outcome) -> Observation:
        children, memory, name = {**world.existing, **outcome.written}, subject.memory, subject.key[1]
        return Observation(
            name=name,
            namespace=subject.key[0],
            operator=self._settings.operator,
            generation=subject.metadata["generation"],
            pins=naming.pins(subject.metadata.get("annotations") or {}),
            spec=subject.spec,
            config_digest=decision.rendered.config_digest,
            gateway=children.get(("Deployment", name)),
            pods=world.pods,
            deployments={name: child for (kind, name), child in children.items() if kind == "Deployment"},
            reports=self._reports.reports(subject.key),
            held=world.held,
            failure=outcome.failure,
            conflict=outcome.conflict,
            queued=decision.queued,
            pending=outcome.pending,
            entrances={child.kind: child for child in children.values() if (child.owner, child.name) == (memory.uid, name)},
            orphans=plan.orphans(decision.rendered.objects, children),
        )

    async def _sync_pods(self, subject: _Subject, pods: list[Pod], digest: str) -> float | None:
        """A kubelet refreshes what is mounted once a minute, but at once when the pod object changes: annotate late pods."""
        reports = self._reports.reports(subject.key)
        late = [pod for pod in pods if pod.uid in reports and reports[pod.uid].get("config") != digest]
        missing = references.missing(subject.spec, reports.values())
        appeared = bool(missing) and subject.memory.mounting.due(await self._existing(subject.key[0], missing))
        if appeared or self._keys_missing(subject.key):
            late = pods
        for pod in late:
            subject.memory.config_syncs += 1
            mark = f"{digest}-{subject.memory.config_syncs}"
            await self._cluster.annotate("Pod", subject.key[0], pod.name, {naming.CONFIG_SYNC: mark})
        if late:
            return _SYNC_AGAIN
        return subject.memory.mounting.again if missing else None

    def _keys_missing(self, key: Key) -> bool:
        """Whether the Secrets with the gateway's keys were deleted; the operator, which may not read them, learns it so."""
        return any(report.get("missingKeys") for report in self._reports.reports(key).values())

    async def _existing(self, namespace: str, wanted: Iterable[references.Reference]) -> frozenset[references.Reference]:
        exist = [each for each in sorted(wanted) if await self._exists(namespace, each)]
        return frozenset(exist)

    async def _exists(self, namespace: str, reference: references.Reference) -> bool:
        kind, name = reference
        if kind == "ConfigMap":
            return await self._cluster.find(kind, namespace, name) is not None
        return await self._cluster.exists(kind, namespace, name)

    async def _write_status(
        self, metadata: Mapping[str, Any], memory: Memory, previous: Mapping[str, Any], wanted: dict[str, Any], now: datetime
    ) -> float | None:
        """Write a status that differs from the previous one, and the events about it. Returns: seconds, if somebody else writes
        it each time, too."""
        memory.ready = conditions.condition_status(wanted, "Ready")
        if significant(wanted) == significant(previous):
            return None
        if (pause := memory.status_contest.left_alone(_STATUS, now)) > 0:
            return pause
        if memory.written == significant(wanted):
            memory.status_contest.record(_STATUS, now)
        namespace, name = metadata["namespace"], metadata["name"]
        await self._cluster.apply_status(metadata, wanted)
        memory.written = significant(wanted)
        for change in events.transitions(previous, wanted):
            log.info("status", namespace=namespace, gateway=name, reason=change.reason, message=change.message)
            await self._cluster.create(events.event(metadata, change, now=timestamp(now)))
        return None


def _validated(resource: Mapping[str, Any], memory: Memory, further: FurtherAnnotations) -> Spec:
    """The spec, its rules checked once for each generation. Raises: InvalidSpecError."""
    spec, generation = parse_spec(resource["spec"]), resource["metadata"]["generation"]
    if memory.validated_generation != generation:
        if not conditions.accepted(resource):
            check(spec)
        memory.validated_generation = generation
    if refused := list(annotation_errors(spec, further)):
        raise InvalidSpecError(refused)
    return spec


def _reporting(pods: Iterable[Pod]) -> list[Pod]:
    """Gateway pods whose gateway answers: also those that are not ready, to learn why."""
    out = []
    for pod in pods:
        container = pod.container("gateway")
        answers = container is not None and container.running and container.started
        if pod.component == "gateway" and not pod.terminating and pod.ip and answers:
            out.append(pod)
    return out
