"""Whether another operator is alive: by its Lease, which every release lets all service accounts read.

As in leader election, what counts is whether the Lease *changes*, by our own clock. A Lease that is released, deleted or may no
longer be read does not change: an operator that restarts is back long before the time is over, one that was uninstalled is not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from .child_state import Key
from .ports import ApiError

log = structlog.get_logger()

_CHECKS = 10  # within the time after which an operator is gone
_LONGEST = 15.0  # seconds between checks


class Leases(Protocol):
    """Reads one object."""

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """A Lease, or None. Raises: ApiError."""


@dataclass(slots=True)
class _Other:
    """An operator that manages gateways which this one also sees."""

    seen: float  # time of the last sign of life; at first, of its first mention
    version: str = ""  # of its Lease
    keys: set[Key] = field(default_factory=set)
    task: asyncio.Task[None] | None = None
    gone: bool = False


class OtherOperators:
    """Implements `reconcile.ports.Operators`. `patience` in seconds; `wake` asks for a pass over a gateway that is left alone."""

    def __init__(self, leases: Leases, *, patience: float, wake: Callable[[Key], None]) -> None:
        self._leases, self._patience, self._wake = leases, patience, wake
        self._others: dict[str, _Other] = {}

    def gone(self, key: Key, operator: str) -> bool:
        other = self._others.get(operator)
        if other is None:
            other = self._others[operator] = _Other(time.monotonic())
            other.task = asyncio.get_running_loop().create_task(self._watch(operator, other), name=f"operator {operator}")
        other.keys.add(key)
        return other.gone

    def release(self, key: Key) -> None:
        for other in self._others.values():
            other.keys.discard(key)

    async def close(self) -> None:
        """Stop watching."""
        tasks = [other.task for other in self._others.values() if other.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, operator: str, other: _Other) -> None:
        """Until no gateway of it is left."""
        while other.keys:
            await self._look(operator, other)
            if not other.gone and time.monotonic() - other.seen > self._patience:
                other.gone = True
                log.info("another operator is gone", operator=operator, gateways=len(other.keys))
            for key in list(other.keys) if other.gone else ():
                self._wake(key)
            await asyncio.sleep(min(_LONGEST, self._patience / _CHECKS))
        del self._others[operator]

    async def _look(self, operator: str, other: _Other) -> None:
        namespace, _, name = operator.rpartition("/")
        try:
            lease = await self._leases.get("Lease", namespace, name) if namespace else None
        except ApiError as error:
            if error.status != 403:  # an API server that fails says nothing about an operator
                other.seen = time.monotonic()
            return
        if lease is None or not (lease.get("spec") or {}).get("holderIdentity"):
            return
        version = lease["metadata"]["resourceVersion"]
        if version != other.version:
            other.version, other.seen, other.gone = version, time.monotonic(), False
