"""What an operator does before it is uninstalled: a status that is not kept true any more must not say Ready.

It takes the Lease, so that the running operator stops, and gives up each gateway that this release manages. Another operator that
sees one claims it at once (docs/decisions/0022). The gateways go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime

import structlog

from ..observe.kinds import GATEWAY
from ..observe.ports import ApiError
from ..reconcile import ownership
from ..reconcile.timestamp import timestamp
from ..render.naming import STANDBY
from .client import KubernetesCluster
from .leader_election import Lease

log = structlog.get_logger()

_CALM = 6.0  # seconds without a gateway of ours: longer than a running operator needs to see that the Lease is taken


async def give_up(cluster: KubernetesCluster, lease: Lease | None, *, operator: str, namespaces: Iterable[str]) -> None:
    """Give up all gateways of an operator in these namespaces, all if there are none. Raises: ApiError."""
    places = tuple(namespaces) or ("",)
    if lease is not None:
        await lease.seize()
    while True:
        if not await _round(cluster, operator, places):
            return
        await asyncio.sleep(_CALM)


async def _round(cluster: KubernetesCluster, operator: str, namespaces: Iterable[str]) -> bool:
    """Give up what is ours now. Returns: whether there was something."""
    ours = False
    for namespace in namespaces:
        async for resource in cluster.each(GATEWAY.kind, namespace):
            metadata, status = resource["metadata"], resource.get("status") or {}
            name = {"namespace": metadata["namespace"], "gateway": metadata["name"]}
            try:
                if ownership.manager(status) == operator:
                    ours = True
                    left = ownership.given_up(status, now=timestamp(datetime.now(UTC)))
                    await cluster.apply_status(metadata, left)
                    log.info("given up", **name)
                elif ownership.noticed(status) is not None:
                    await cluster.apply_status(metadata, {}, manager=STANDBY)
            except ApiError as error:  # the others are given up all the same; the next round tries again
                log.warning("not given up", **name, error=str(error))
    return ours
