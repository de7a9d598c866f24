"""`python -m mcpgateway_operator`: the operator's process."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import logging
import os
import secrets
import socket
import sys
from typing import Any, cast

import kopf
import structlog

from . import __version__
from .kube.client import KubernetesCluster, StartAnewError
from .kube.discovery import Definitions
from .kube.leader_election import Lease
from .kube.watches import registry, settings
from .observe.child_state import Key
from .observe.gateway_reports import Polls
from .observe.index import Index
from .observe.kinds import OPTIONS, POD, managed
from .observe.resync import Resync
from .reconcile.reconciler import Reconciler, Settings, utc_now
from .reconcile.rollouts import Rollouts
from .reconcile.workqueue import WorkQueue
from .render.naming import MANAGER
from .serving import health
from .serving.metrics import Metrics

log = structlog.get_logger()

_WORKERS = 8


def parse(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="mcpgateway-operator", description="Runs MCPGateway resources.")
    parser.add_argument(
        "--gateway-image",
        default=os.environ.get("GATEWAY_IMAGE"),
        help="image of the gateway and the bridge where spec.image is absent (default: $GATEWAY_IMAGE)",
    )
    parser.add_argument("--namespace", action="append", default=[], help="watch only this namespace; may be repeated")
    parser.add_argument(
        "--own-namespace",
        default=os.environ.get("POD_NAMESPACE", ""),
        help="where the operator's pod and its Lease are (default: $POD_NAMESPACE; empty: outside of a cluster, without a Lease)",
    )
    parser.add_argument(
        "--api", action="append", default=[], choices=OPTIONS, help="optional API that it may use; may be repeated"
    )
    parser.add_argument(
        "--cluster-cidr",
        action="append",
        default=[],
        type=_cidr,
        help="addresses of pods and Services, where they are not private ones: servers may not reach them unless egress says so",
    )
    parser.add_argument(
        "--max-concurrent-rollouts",
        default=5,
        type=_positive,
        help="how many gateways are rolled at once where this operator renders them otherwise than the former one (default: 5)",
    )
    parser.add_argument("--probes", default="http://0.0.0.0:8080/healthz", help="liveness endpoint, a URL to listen on")
    args = parser.parse_args(argv)
    if not args.gateway_image:
        parser.error("--gateway-image is missing, and GATEWAY_IMAGE is not set")
    return args


def _cidr(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a range of addresses, for example 203.0.113.0/24") from None


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)


class _OneLine(logging.Formatter):
    """kopf logs what ends it with a traceback through its own code, which helps nobody who runs this."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the library's name
        return f"{ei[0].__name__}: {ei[1]}"


def set_up_logging() -> None:
    """JSON lines; kopf only with warnings, since every one of its handlers is ours and says nothing."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(_OneLine("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[lines])
    # kopf's watches say this when they are ended in the middle of a long list, with a traceback that nobody can use.
    ending = "an error occurred during closing of asynchronous generator"
    logging.getLogger("asyncio").addFilter(lambda record: not record.getMessage().startswith(ending))


async def run(args: argparse.Namespace) -> None:
    """Everything that lives as long as the process. Workers start first: kopf ends tasks that are younger than itself."""
    metrics = Metrics()
    cluster = await KubernetesCluster.connect(metrics.request)
    index = Index()
    polls = Polls(on_change=lambda key: queue.add(key))
    settled = Settings(args.gateway_image, frozenset(args.api), args.own_namespace, tuple(args.cluster_cidr))
    rollouts = Rollouts(args.max_concurrent_rollouts, wake=lambda key: queue.add(key))
    reconciler = Reconciler(cluster=cluster, index=index, polls=polls, rollouts=rollouts, settings=settled, clock=utc_now)

    def on_error(key: Key, error: Exception) -> None:
        log.warning("will be retried", namespace=key[0], gateway=key[1], error=f"{type(error).__name__}: {error}")

    async def one_pass(key: Key) -> float | None:
        with metrics.reconcile():
            return await reconciler.reconcile(key)

    queue: WorkQueue[Key] = WorkQueue(one_pass, on_error)
    metrics.watch(depth=queue.depth, age=queue.age, ready=reconciler.ready)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(cluster.close)
        probes = await health.serve(args.probes, age=queue.age, ready=lambda: queue.running, metrics=metrics.text)
        stack.push_async_callback(probes.cleanup)
        stack.push_async_callback(polls.close)
        log.info("operator started", version=__version__, namespaces=args.namespace or "all")
        needed = []
        if args.own_namespace:
            identity = f"{socket.gethostname()}_{secrets.token_hex(4)}"
            lease = Lease(cluster, namespace=args.own_namespace, identity=identity)
            needed.append(await stack.enter_async_context(lease.held()))
        definitions = Definitions(cluster, managed(settled.options))
        known = await definitions.served()
        needed.append(asyncio.create_task(definitions.guard(known), name="definitions"))
        every = [*(child.kind for child in known.children), POD.kind]
        resync = Resync(cluster, index, kinds=every, namespaces=args.namespace, enqueue=queue.add)
        needed.append(asyncio.create_task(resync.run(), name="resync"))

        async def work() -> None:
            await resync.complete()
            log.info("all objects are known")
            await queue.run(_WORKERS)

        working = asyncio.create_task(work())
        handlers = registry(known.children, enqueue=queue.add, index=index, relisted=resync.soon)
        try:
            await _operate(args.namespace, handlers, settings(known.children), [working, *needed])
        except StartAnewError:
            raise
        except Exception:
            await definitions.check(known)  # which says more than kopf's 404
            raise
    log.info("operator stopped")


async def _operate(
    namespaces: list[str], handlers: kopf.OperatorRegistry, chosen: kopf.OperatorSettings, needed: list[asyncio.Task[None]]
) -> None:
    """Watch until a signal, or until something that is needed ends, whose error is raised. The workers end at once with it."""
    stop = asyncio.Event()
    working = needed[0]

    def end(_: asyncio.Task[None]) -> None:
        working.cancel()
        stop.set()

    for task in needed:
        task.add_done_callback(end)
    try:
        await kopf.operator(
            registry=handlers,
            settings=chosen,
            clusterwide=not namespaces,
            namespaces=namespaces,
            stop_flag=stop,
            identity=cast("Any", MANAGER),  # kopf would ask for the name of a uid that has none
        )
        for task in needed:
            if task.done() and not task.cancelled() and (error := task.exception()):
                raise error
    finally:
        for task in needed:
            task.cancel()
        await asyncio.wait(needed)


def main(argv: list[str] | None = None) -> int:
    """Run until a signal."""
    args = parse(sys.argv[1:] if argv is None else argv)
    set_up_logging()
    while True:
        try:
            asyncio.run(run(args))
        except StartAnewError as change:  # with a new loop: kopf leaves none of its tasks alive, and some of ours neither
            log.warning("starting anew", reason=str(change))
            continue
        except Exception as error:  # the kubelet starts another one, which begins with what is
            log.error("operator ends", error=f"{type(error).__name__}: {error}")
            return 1
        return 0


if __name__ == "__main__":
    raise SystemExit(main())
