"""`python -m mcpgateway_operator`: the operator's process."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from typing import Any, cast

import kopf
import structlog

from . import __version__
from .cluster import KubernetesCluster
from .facts import Key
from .handlers import KopfIndex, registry, settings
from .naming import MANAGER
from .polls import Polls
from .queue import WorkQueue
from .reconcile import Reconciler, utc_now

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
    parser.add_argument("--probes", default="http://0.0.0.0:8080/healthz", help="liveness endpoint, a URL to listen on")
    args = parser.parse_args(argv)
    if not args.gateway_image:
        parser.error("--gateway-image is missing, and GATEWAY_IMAGE is not set")
    return args


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
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")


async def run(args: argparse.Namespace) -> None:
    """Everything that lives as long as the process. Workers start first: kopf ends tasks that are younger than itself."""
    cluster = await KubernetesCluster.connect()
    index = KopfIndex()
    polls = Polls(on_change=lambda key: queue.add(key))
    reconciler = Reconciler(cluster=cluster, index=index, polls=polls, image=args.gateway_image, clock=utc_now)

    def on_error(key: Key, error: Exception) -> None:
        log.warning("will be retried", namespace=key[0], gateway=key[1], error=f"{type(error).__name__}: {error}")

    queue: WorkQueue[Key] = WorkQueue(reconciler.reconcile, on_error)
    working = asyncio.create_task(queue.run(_WORKERS))
    log.info("operator started", version=__version__, namespaces=args.namespace or "all")
    try:
        await kopf.operator(
            registry=registry(enqueue=queue.add, index=index, progress=queue.age),
            settings=settings(),
            clusterwide=not args.namespace,
            namespaces=args.namespace,
            liveness_endpoint=args.probes,
            identity=cast("Any", MANAGER),  # kopf would ask for the name of a uid that has none
        )
    finally:
        working.cancel()
        await asyncio.wait([working])
        await polls.close()
        await cluster.close()
        log.info("operator stopped")


def main(argv: list[str] | None = None) -> int:
    """Run until a signal."""
    args = parse(sys.argv[1:] if argv is None else argv)
    set_up_logging()
    asyncio.run(run(args))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
