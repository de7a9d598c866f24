"""One operator acts: the holder of a Lease. Who cannot renew it in time begins anew, as one that waits for it.

The algorithm is client-go's: another's lease has run out when it has not changed for its duration by *our* clock, so that clocks
need not agree. The Kubernetes client's own election has no release, so that every restart would wait for the lease to run out.

As nobody else writes the Lease, it also tells when etcd has been given an older state. Nothing else does: a watch from a version
that is not reached again yet is silent, and skips what happens until then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import structlog

from ..render.naming import MANAGER
from .client import ApiError, Cluster, StartAnewError

log = structlog.get_logger()

DURATION = 15.0  # seconds after which others may take it
_DEADLINE = 10.0  # seconds without a renewal after which we act no more
_PERIOD = 2.0


class Lease:
    """The Lease named after the operator, in one namespace."""

    def __init__(self, cluster: Cluster, *, namespace: str, identity: str) -> None:
        self._cluster, self._namespace, self._identity = cluster, namespace, identity
        self._seen: tuple[str, float] = ("", 0.0)  # another's version, and since when it is known
        self._written = 0  # our last version
        self.renewed = time.monotonic()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[asyncio.Task[None]]:
        """Wait for the lease; yields a task that ends with StartAnewError when it is lost. On leaving it is released."""
        waiting = False
        while not await self._attempt():
            if not waiting:
                log.info("waiting for the lease", namespace=self._namespace)
                waiting = True
            await asyncio.sleep(_PERIOD)
        log.info("lease acquired", namespace=self._namespace, identity=self._identity)
        keeping = asyncio.create_task(self._keep(), name="lease")
        try:
            yield keeping
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])
            await self._release()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_PERIOD)
            if not await self._attempt() and time.monotonic() - self.renewed > _DEADLINE:
                raise StartAnewError(f"the lease {MANAGER} could not be renewed for {_DEADLINE:g} s")

    async def _attempt(self) -> bool:
        """Take or renew it. Returns: whether it is ours now."""
        try:
            async with asyncio.timeout(_DEADLINE / 2):
                return await self._try()
        except (ApiError, TimeoutError) as error:
            log.warning("lease not renewed", error=str(error) or "no answer in time")
            return False

    async def _try(self) -> bool:
        known = await self._cluster.get("Lease", self._namespace, MANAGER)
        if known is None:
            taken = await self._cluster.create(self._body(self._spec(transitions=0)))
        else:
            spec, version = known.get("spec") or {}, known["metadata"]["resourceVersion"]
            if int(version) < self._written:
                raise StartAnewError(f"the API server has gone back from version {self._written} to {version}")
            if not self._free(spec, version):
                return False
            taken = await self._cluster.replace(
                {**known, "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": self._renewed(spec)}
            )
        if taken is None:
            return False
        self.renewed, self._written = time.monotonic(), int(taken["metadata"]["resourceVersion"])
        return True

    def _free(self, spec: dict[str, Any], version: str) -> bool:
        """Whether it is ours, nobody's, or has run out."""
        if spec.get("holderIdentity") in (None, "", self._identity):
            return True
        if self._seen[0] != version:
            self._seen = (version, time.monotonic())
        return time.monotonic() - self._seen[1] > float(spec.get("leaseDurationSeconds") or DURATION)

    def _renewed(self, spec: dict[str, Any]) -> dict[str, Any]:
        if spec.get("holderIdentity") == self._identity:
            return {**spec, "renewTime": _now()}
        return self._spec(transitions=int(spec.get("leaseTransitions") or 0) + 1)

    def _spec(self, *, transitions: int) -> dict[str, Any]:
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(DURATION),
            "acquireTime": _now(),
            "renewTime": _now(),
            "leaseTransitions": transitions,
        }

    def _body(self, spec: dict[str, Any]) -> dict[str, Any]:
        metadata = {"name": MANAGER, "namespace": self._namespace}
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}

    async def _release(self) -> None:
        """So that the next one need not wait."""
        try:
            async with asyncio.timeout(_DEADLINE / 2):
                known = await self._cluster.get("Lease", self._namespace, MANAGER)
                if known is not None and known["spec"].get("holderIdentity") == self._identity:
                    spec = {**known["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
                    await self._cluster.replace({**known, "spec": spec})
        except (ApiError, TimeoutError) as error:
            log.warning("lease not released", error=str(error) or "no answer in time")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
