"""What the index lacks, and what it has too much.

At the start nothing is done before the index has everything that is there: a missing child would be applied anew. And after a
gap in a watch kopf lists anew, but says nothing of what was deleted meanwhile. So all kinds are listed by metadata now and then,
and soon after every new listing; what the index has and the API server has not is a ghost. Only what was in the index *before*
the list counts, or else a newer object would be taken for one.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from typing import Protocol

import structlog

from ..kube.client import ApiError, Cluster
from .child_state import Key

log = structlog.get_logger()

INTERVAL = 600.0  # seconds
_FIRST_LOOK, _LAST_LOOK = 0.1, 3.0  # seconds between looks at the start: a list of many objects is dear
_SETTLING = 1.0  # seconds after a new listing has begun


class Known(Protocol):
    """The index, by kinds."""

    def known(self, kind: str) -> set[str]:
        """The uids of a kind's objects."""

    def drop(self, kind: str, uid: str) -> Key | None:
        """This one is not there any more. Returns: whose it was."""


class Resync:
    """Compares the index with the API server."""

    def __init__(
        self, cluster: Cluster, index: Known, *, kinds: Iterable[str], namespaces: Iterable[str], enqueue: Callable[[Key], None]
    ) -> None:
        self._cluster, self._index, self._enqueue = cluster, index, enqueue
        self._kinds, self._namespaces = tuple(kinds), tuple(namespaces) or ("",)
        self._wanted = asyncio.Event()

    def soon(self) -> None:
        """A watch has begun anew: something may have been missed."""
        self._wanted.set()

    async def complete(self) -> None:
        """Wait until the index has everything that is there."""
        for kind in self._kinds:
            delay = _FIRST_LOOK
            while not await self._has_all(kind):
                await asyncio.sleep(delay)
                delay = min(2 * delay, _LAST_LOOK)

    async def _has_all(self, kind: str) -> bool:
        try:
            return await self._live(kind) <= self._index.known(kind)
        except ApiError as error:
            log.warning("not everything could be listed", kind=kind, error=str(error))
            return False

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            try:
                async with asyncio.timeout(INTERVAL * random.uniform(0.8, 1.2)):  # noqa: S311 - jitter, not a secret
                    await self._wanted.wait()
            except TimeoutError:
                pass
            await asyncio.sleep(_SETTLING)
            self._wanted.clear()
            try:
                for kind in self._kinds:
                    await self._compare(kind)
            except ApiError as error:
                log.warning("not compared with the API server", error=str(error))
                self._wanted.set()
                await asyncio.sleep(10 * _SETTLING)

    async def _compare(self, kind: str) -> None:
        known = self._index.known(kind)
        if not known:
            return
        ghosts = known - await self._live(kind)
        for key in {key for uid in ghosts if (key := self._index.drop(kind, uid)) is not None}:
            log.info("a deletion was missed", namespace=key[0], gateway=key[1], kind=kind)
            self._enqueue(key)

    async def _live(self, kind: str) -> set[str]:
        found: set[str] = set()
        for namespace in self._namespaces:
            found |= await self._cluster.uids(kind, namespace)
        return found
