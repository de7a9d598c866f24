"""Leader election by a Lease: only its holder acts. A holder that cannot renew it in time restarts, and waits for it again.

The algorithm is client-go's: another's lease has expired when it has not changed for its duration by *our* clock, so that clocks
need not agree. The Kubernetes client's own election has no release, so that every restart would wait for the lease to expire.

As only the holder writes the Lease, it also shows that etcd was restored to an older state. Nothing else does: a watch from a
version that is not reached again yet is silent, and skips what happens until then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import structlog

from ..observe.ports import ApiError
from .client import KubernetesCluster
from .restart import RestartRequired

log = structlog.get_logger()

DURATION = 15.0  # seconds after which others may take it
_DEADLINE = 10.0  # seconds without a renewal after which the holder stops acting
_PERIOD = 2.0  # seconds between renewals
_SEIZED = 60.0  # seconds after which an operator that was not uninstalled after all goes on


class Lease:
    """The Lease of one release, in its namespace. `identity` is that of this process."""

    def __init__(self, cluster: KubernetesCluster, *, namespace: str, name: str, identity: str) -> None:
        self._cluster, self._namespace, self._name, self._identity = cluster, namespace, name, identity
        self._holder = ""  # that holds it in our place
        self._observed: tuple[str, float] = ("", 0.0)  # another holder's version, and the time of its first observation
        self._written = 0  # our last version
        self._holding = False
        self._ours: dict[str, Any] = {}  # the Lease as we wrote it last
        self.renewed = time.monotonic()

    @asynccontextmanager
    async def held(self, waits_for: Callable[[str], None]) -> AsyncIterator[asyncio.Task[None]]:
        """Wait for the lease; yields a task that ends with RestartRequired when it is lost. On exit it is released.

        `waits_for` is told the holder's identity, empty if there is no answer.
        """
        while not await self._attempt():
            waits_for(self._holder)
            await asyncio.sleep(_PERIOD)
        self._holding = True
        log.info("lease acquired", namespace=self._namespace, identity=self._identity)
        renewing = asyncio.create_task(self._renew(), name="lease")
        try:
            yield renewing
        finally:
            renewing.cancel()
            await asyncio.wait([renewing])
            await self._release()

    async def seize(self) -> None:
        """Take it from whoever holds it, who then stops acting, for a minute. Raises: ApiError."""
        while True:
            lease = await self._cluster.get("Lease", self._namespace, self._name)
            spec = {**self._spec(transitions=0), "leaseDurationSeconds": int(_SEIZED)}
            if lease is None:
                written = await self._cluster.create(self._body(spec))
            else:
                kind = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
                written = await self._cluster.replace({**lease, **kind, "spec": spec})
            if written is not None:  # else somebody has written it meanwhile
                return

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_PERIOD)
            if not await self._attempt() and time.monotonic() - self.renewed > _DEADLINE:
                raise RestartRequired(f"the lease {self._name} could not be renewed for {_DEADLINE:g} s")

    async def _attempt(self) -> bool:
        """Take or renew it. Returns: whether it is ours now."""
        self._holder = ""
        try:
            async with asyncio.timeout(_DEADLINE / 2 if self._ours else _DEADLINE):
                return await self._renewed_at_once() or await self._write()
        except (ApiError, TimeoutError) as error:
            log.warning("lease not renewed", error=str(error) or "no answer in time")
            return False

    async def _renewed_at_once(self) -> bool:
        """Renew it by one request, which fails if others have written it meanwhile: an API server may take seconds for each."""
        ours, self._ours = self._ours, {}
        written = await self._cluster.replace({**ours, "spec": self._renewed(ours["spec"])}) if ours else None
        return written is not None and self._holds(written)

    async def _write(self) -> bool:
        lease = await self._cluster.get("Lease", self._namespace, self._name)
        if lease is None:
            written = await self._cluster.create(self._body(self._spec(transitions=0)))
        else:
            spec, version = lease.get("spec") or {}, lease["metadata"]["resourceVersion"]
            if int(version) < self._written:
                raise RestartRequired(f"the API server has gone back from version {self._written} to {version}")
            if not self._available(spec, version):
                self._holder = str(spec["holderIdentity"])
                if self._holding:
                    raise RestartRequired(f"the lease {self._name} could not be renewed: {self._holder} has taken it")
                return False
            written = await self._cluster.replace(
                {**lease, "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": self._renewed(spec)}
            )
        return written is not None and self._holds(written)

    def _holds(self, written: dict[str, Any]) -> bool:
        """Note that it is ours."""
        kind = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
        self._ours = {**written, **kind}
        self.renewed, self._written = time.monotonic(), int(written["metadata"]["resourceVersion"])
        return True

    def _available(self, spec: dict[str, Any], version: str) -> bool:
        """Whether it is ours, has no holder, or has expired."""
        if spec.get("holderIdentity") in (None, "", self._identity):
            return True
        if self._observed[0] != version:
            self._observed = (version, time.monotonic())
        return time.monotonic() - self._observed[1] > float(spec.get("leaseDurationSeconds") or DURATION)

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
        metadata = {"name": self._name, "namespace": self._namespace}
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}

    async def _release(self) -> None:
        """Clear the holder, so that the next one need not wait for the lease to expire."""
        try:
            async with asyncio.timeout(_DEADLINE / 2):
                lease = await self._cluster.get("Lease", self._namespace, self._name)
                if lease is not None and lease["spec"].get("holderIdentity") == self._identity:
                    spec = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
                    await self._cluster.replace({**lease, "spec": spec})
        except (ApiError, TimeoutError) as error:
            log.warning("lease not released", error=str(error) or "no answer in time")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
