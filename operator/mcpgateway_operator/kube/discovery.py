"""What the API server serves: nothing begins before it has our CRD, and all begins anew when it has others than at the start.

kopf looks for a new CRD's resources once, as soon as the CRD is there; the API server serves them a moment later, and then
nobody looks again: such a kind would be applied and never watched. So kopf gets the kinds that are there, and no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from ..api.spec import CRD_NAME
from ..observe.kinds import Resource
from .client import ApiError, Cluster, StartAnewError

log = structlog.get_logger()

INTERVAL = 10.0  # seconds; a few small requests
_WAITING = 1.0


@dataclass(frozen=True, slots=True)
class Served:
    """What the API server has."""

    uid: str  # of our CRD, which tells it from another of the same name
    children: tuple[Resource, ...]  # the kinds of children that are there


class Definitions:
    """Looks at what is served. `children`: the kinds that the operator may have, with its options."""

    def __init__(self, cluster: Cluster, children: Iterable[Resource]) -> None:
        self._cluster, self._children = cluster, tuple(children)

    async def served(self) -> Served:
        """Wait until our CRD is served."""
        told = False
        while True:
            try:
                if found := await self._look():
                    return found
            except ApiError as error:
                log.warning("the API server does not say whether there is a CRD", error=str(error))
            if not told:
                log.info("waiting for the CRD", name=CRD_NAME)
                told = True
            await asyncio.sleep(_WAITING)

    async def guard(self, known: Served) -> None:
        """Go on until something else is served. Raises: StartAnewError."""
        while True:
            await asyncio.sleep(INTERVAL)
            await self.check(known)

    async def check(self, known: Served) -> None:
        """Look once. Raises: StartAnewError."""
        try:
            found = await self._look()
        except ApiError:
            return  # the API server's own trouble says nothing about what it serves
        if found is None or found.uid != known.uid:
            raise StartAnewError(f"the CRD {CRD_NAME} was deleted, and its MCPGateways with it")
        if changed := {child.kind for child in {*found.children} ^ {*known.children}}:
            raise StartAnewError(f"the API server has begun or ceased to serve {', '.join(sorted(changed))}")

    async def _look(self) -> Served | None:
        uid = await self._cluster.definition()
        if uid is None:
            return None
        children = [child for child in self._children if not child.option or await self._cluster.serves(child)]
        return Served(uid, tuple(children))
