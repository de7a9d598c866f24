"""The composition root: builds the parts, plugs `kube` and `serving` into them, leads, and stops.

Order of the start: probes, discovery of the served kinds, rights, leader election, watches and the initial cache sync, workers.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import kopf
import structlog

from . import __version__
from .kube import uninstall
from .kube.access import Access
from .kube.client import KubernetesCluster
from .kube.discovery import Definitions, Served
from .kube.leader_election import Lease
from .kube.restart import RestartRequired
from .kube.streams import Streams
from .kube.transport import Transport
from .kube.watches import registry, settings
from .observe.child_state import Key
from .observe.gateway_reports import GatewayReports
from .observe.index import Index
from .observe.kinds import GATEWAY, POD, managed
from .observe.operators import OtherOperators
from .observe.places import Places
from .observe.resync import Resync
from .reconcile.reconciler import Reconciler, Settings
from .reconcile.rollouts import Rollouts
from .reconcile.workqueue import WorkQueue
from .render.naming import MANAGER
from .serving import health
from .serving.metrics import Metrics
from .serving.readiness import Readiness

log = structlog.get_logger()

_KOPF_PATIENCE = (
    10.0  # seconds for kopf's end: it cancels its watchers once, and one that opens its stream just then goes on for ever
)
_WORKERS = 8


@dataclass(frozen=True, slots=True)
class Options:
    """The command line."""

    reconciler: Settings
    name: str = MANAGER  # of the release, and of its Lease
    takeover_after: int = 300  # seconds without a sign of life of another operator
    namespaces: tuple[str, ...] = ()  # to watch; empty: all
    max_concurrent_rollouts: int = 5
    probes: str = "http://0.0.0.0:8080/healthz"
    request_timeout: int = 30  # seconds for an answer of the API server
    standby: bool = False  # whether there are more replicas, of which those without the Lease are ready, too
    authorities: str = ""  # in PEM, to trust besides the cluster's own
    gives_up: bool = False  # in place of a run


class Operator:
    """The parts of one run that need no leadership."""

    def __init__(self, options: Options, transport: Transport, metrics: Metrics) -> None:
        self._options, self._transport, self._metrics = options, transport, metrics
        self._cluster = KubernetesCluster(transport)
        self._index = Index()
        self._queue: WorkQueue[Key] = WorkQueue(self._reconcile, _log_retry)
        self._readiness = Readiness()
        self._definitions = Definitions(transport, managed(options.reconciler.options))
        self._places = Places(wake=self._queue.add)
        self._operators = OtherOperators(self._cluster, patience=options.takeover_after, wake=self._queue.add)
        self._reports = GatewayReports(on_change=self._queue.add)
        self._reconciler = Reconciler(
            cluster=self._cluster,
            index=self._index,
            places=self._places,
            operators=self._operators,
            reports=self._reports,
            rollouts=Rollouts(options.max_concurrent_rollouts, wake=self._queue.add),
            settings=options.reconciler,
            clock=utc_now,
        )
        metrics.watch(depth=self._queue.depth, age=self._queue.age, ready=self._reconciler.ready)

    async def run(self) -> None:
        """Run until a signal. Raises: RestartRequired, or the error of a part that ended."""
        own_namespace = self._options.reconciler.namespace
        async with contextlib.AsyncExitStack() as stack:
            probes = await health.serve(
                self._options.probes, age=self._queue.age, readiness=self._readiness, metrics=self._metrics.text
            )
            stack.push_async_callback(probes.cleanup)
            stack.push_async_callback(self._reports.close)
            stack.push_async_callback(self._operators.close)
            log.info("operator started", version=__version__, namespaces=list(self._options.namespaces) or "all")
            await self._permitted()  # before the Lease, so that only one who could act stands by for it
            required = []
            if own_namespace:
                identity = f"{socket.gethostname()}_{secrets.token_hex(4)}"
                lease = Lease(self._cluster, namespace=own_namespace, name=self._options.name, identity=identity)
                required.append(await stack.enter_async_context(lease.held(self._without_lease)))
            await self._lead(required)
        log.info("operator stopped")

    async def _permitted(self) -> tuple[Served, Access]:
        """Wait until the CRD is served and the operator may list and watch all that it works on."""
        served = await self._definitions.served(self._readiness.waits_for)
        access = Access(self._transport, (GATEWAY, *served.children, POD), self._options.namespaces)
        await access.granted(self._readiness.waits_for)
        return served, access

    def _without_lease(self, holder: str) -> None:
        if holder and self._options.standby:
            self._readiness.stands_by(f"{holder} has the lease")
        else:
            self._readiness.waits_for(f"the lease{holder and ', which is held by '}{holder}")

    async def _lead(self, required: list[asyncio.Task[None]]) -> None:
        """Watch and work. `required` are tasks whose end ends the run."""
        served, access = await self._permitted()
        resync = self._resync(served)
        streams = Streams(self._transport, (GATEWAY, *served.children, POD), self._options.namespaces)
        tasks = [
            asyncio.create_task(self._work(resync, streams), name="work"),
            asyncio.create_task(self._definitions.guard(served), name="definitions"),
            asyncio.create_task(resync.run(), name="resync"),
            asyncio.create_task(_guard(access, streams), name="rights"),
            *required,
        ]
        handlers = registry(
            served.children,
            login=streams.login,
            enqueue=self._queue.add,
            index=self._index,
            places=self._places,
            relisted=resync.soon,
        )
        try:
            chosen = settings(served.children, request_timeout=self._options.request_timeout)
            await _watch(self._options.namespaces, handlers, chosen, tasks)
        except RestartRequired:
            raise
        except Exception:
            await self._definitions.check(served)  # its message says more than kopf's 404
            await access.check()  # and this one's more than kopf's 403
            raise

    def _resync(self, served: Served) -> Resync:
        kinds = [*(child.kind for child in served.children), POD.kind]
        return Resync(self._cluster, self._index, kinds=kinds, namespaces=self._options.namespaces, enqueue=self._queue.add)

    async def _work(self, resync: Resync, streams: Streams) -> None:
        await streams.opened(self._readiness.waits_for)
        self._readiness.waits_for("the objects of the first lists")
        await resync.complete()
        log.info("caches synced")
        self._readiness.acts()
        await self._queue.run(_WORKERS)

    async def _reconcile(self, key: Key) -> float | None:
        with self._metrics.reconcile():
            return await self._reconciler.reconcile(key)


async def run(options: Options) -> None:
    """One run, from the connection to the API server to the stop. Raises: RestartRequired, or the error that ended it."""
    metrics = Metrics()
    transport = await Transport.connect(metrics.request, timeout=options.request_timeout, authorities=options.authorities)
    try:
        await Operator(options, transport, metrics).run()
    finally:
        await transport.close()


async def _guard(access: Access, streams: Streams) -> None:
    """Raises: RestartRequired when a right is lost."""
    while True:
        await streams.refused()
        await access.check()


async def give_up(options: Options) -> None:
    """Give up all gateways that this release manages: it is about to be uninstalled. Raises: ApiError."""
    transport = await Transport.connect(Metrics().request, timeout=options.request_timeout, authorities=options.authorities)
    try:
        cluster, settings = KubernetesCluster(transport), options.reconciler
        lease = Lease(cluster, namespace=settings.namespace, name=options.name, identity="uninstall")
        await uninstall.give_up(
            cluster, lease if settings.namespace else None, operator=settings.operator, namespaces=options.namespaces
        )
    finally:
        await transport.close()


def utc_now() -> datetime:
    """The clock of the reconciler."""
    return datetime.now(UTC)


async def _watch(
    namespaces: tuple[str, ...], handlers: kopf.OperatorRegistry, chosen: kopf.OperatorSettings, tasks: list[asyncio.Task[None]]
) -> None:
    """Watch until a signal, or until one of the tasks ends, whose error is raised. The first task, the workers, ends at once
    with it.

    The workers start before the watches: kopf cancels tasks that are younger than itself.
    """
    stop = asyncio.Event()
    working = tasks[0]

    def end(_: asyncio.Task[None]) -> None:
        working.cancel()
        stop.set()

    for task in tasks:
        task.add_done_callback(end)
    watching = asyncio.ensure_future(
        kopf.operator(
            registry=handlers,
            settings=chosen,
            clusterwide=not namespaces,
            namespaces=namespaces,
            stop_flag=stop,
            identity=cast("Any", MANAGER),  # else kopf looks up the name of the user id, which a container has not
        )
    )
    try:
        await asyncio.wait([watching, *tasks], return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait([watching], timeout=_KOPF_PATIENCE)
        for task in tasks:
            if task.done() and not task.cancelled() and (error := task.exception()):
                raise error
        if watching.done():
            watching.result()
    finally:
        for task in [*tasks, watching]:
            task.cancel()
        await asyncio.wait(tasks)


def _log_retry(key: Key, error: Exception) -> None:
    log.warning("will be retried", namespace=key[0], gateway=key[1], error=f"{type(error).__name__}: {error}")
