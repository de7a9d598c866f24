"""Keeps the index complete and free of deleted objects, by comparing it with lists of metadata.

At the start, no pass runs before the index has every object: a missing child would be applied again. After a gap in a watch,
kopf lists the objects but does not report which were deleted meanwhile. So all kinds are listed at intervals, and soon after
every new listing; an object of the index that the API server lacks was deleted. Only objects that were in the index *before*
the list count, or a newer object would be taken for a deleted one.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from typing import Protocol

import structlog

from .child_state import Key
from .ports import ApiError, Lister

log = structlog.get_logger()

INTERVAL = 600.0  # seconds
_FIRST_CHECK, _LAST_CHECK = 0.1, 3.0  # seconds between checks at the start: a list of many objects is expensive
_SETTLING = 1.0  # seconds after a new listing has begun


class Cache(Protocol):
    """The index, by kinds."""

    def uids(self, kind: str) -> set[str]:
        """The uids of a kind's objects."""

    def drop(self, kind: str, uid: str) -> Key | None:
        """Remove a deleted object. Returns: the gateway that it belonged to."""


class Resync:
    """Compares the index with the API server."""

    def __init__(
        self, cluster: Lister, index: Cache, *, kinds: Iterable[str], namespaces: Iterable[str], enqueue: Callable[[Key], None]
    ) -> None:
        self._cluster, self._index, self._enqueue = cluster, index, enqueue
        self._kinds, self._namespaces = tuple(kinds), tuple(namespaces) or ("",)
        self._requested = asyncio.Event()

    def soon(self) -> None:
        """A watch has restarted: a deletion may have been missed."""
        self._requested.set()

    async def complete(self) -> None:
        """Wait until the index has every object."""
        for kind in self._kinds:
            delay = _FIRST_CHECK
            while not await self._has_all(kind):
                await asyncio.sleep(delay)
                delay = min(2 * delay, _LAST_CHECK)

    async def _has_all(self, kind: str) -> bool:
        try:
            return await self._live(kind) <= self._index.uids(kind)
        except ApiError as error:
            log.warning("a kind could not be listed", kind=kind, error=str(error))
            return False

    async def run(self) -> None:
        """Compare until cancelled."""
        while True:
            try:
                async with asyncio.timeout(INTERVAL * random.uniform(0.8, 1.2)):  # noqa: S311 - jitter, not a secret
                    await self._requested.wait()
            except TimeoutError:
                pass
            await asyncio.sleep(_SETTLING)
            self._requested.clear()
            try:
                for kind in self._kinds:
                    await self._compare(kind)
            except ApiError as error:
                log.warning("not compared with the API server", error=str(error))
                self._requested.set()
                await asyncio.sleep(10 * _SETTLING)

    async def _compare(self, kind: str) -> None:
        indexed = self._index.uids(kind)
        if not indexed:
            return
        deleted = indexed - await self._live(kind)
        for key in {key for uid in deleted if (key := self._index.drop(kind, uid)) is not None}:
            log.info("a deletion was missed", namespace=key[0], gateway=key[1], kind=kind)
            self._enqueue(key)

    async def _live(self, kind: str) -> set[str]:
        live: set[str] = set()
        for namespace in self._namespaces:
            live |= await self._cluster.uids(kind, namespace)
        return live
