"""Which kinds the API server serves: the operator starts when its CRD is served, and restarts when the set of kinds changes.

kopf discovers the resources of a new CRD once, as soon as the CRD exists; the API server serves them a moment later, and kopf
does not discover them again: such a kind would be applied and never watched. So kopf is given the kinds that are served, and no
others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

from ..api.group import API_VERSION, CRD_NAME
from ..observe.kinds import Resource
from ..observe.ports import ApiError
from .restart import RestartRequired
from .transport import METADATA, Transport

INTERVAL = 10.0  # seconds between checks; a few small requests each
_WAITING = 1.0  # seconds between checks while the CRD is absent
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_UNREADABLE = "served"  # in place of a uid: a namespaced installation may not read CRDs


@dataclass(frozen=True, slots=True)
class Served:
    """The kinds that the API server serves."""

    uid: str  # of our CRD, which tells it from a later one of the same name
    children: tuple[Resource, ...]


class Definitions:
    """Checks the served kinds. `children` are the kinds that the operator may manage with its options."""

    def __init__(self, transport: Transport, children: Iterable[Resource]) -> None:
        self._transport, self._children = transport, tuple(children)

    async def served(self, waits_for: Callable[[str], None]) -> Served:
        """Wait until our CRD is served; what is missing is reported."""
        while True:
            try:
                if served := await self._discover():
                    return served
                waits_for(f"the CRD {CRD_NAME}")
            except ApiError as error:
                waits_for(f"the API server: {error}")
            await asyncio.sleep(_WAITING)

    async def guard(self, expected: Served) -> None:
        """Check until cancelled. Raises: RestartRequired."""
        while True:
            await asyncio.sleep(INTERVAL)
            await self.check(expected)

    async def check(self, expected: Served) -> None:
        """Check once. Raises: RestartRequired if other kinds are served than expected."""
        try:
            served = await self._discover()
        except ApiError:
            return  # a failing API server says nothing about the kinds that it serves
        if served is None or served.uid != expected.uid:
            raise RestartRequired(f"the CRD {CRD_NAME} was deleted, and its MCPGateways with it")
        if changed := {child.kind for child in {*served.children} ^ {*expected.children}}:
            raise RestartRequired(f"the API server now serves other kinds than at the start: {', '.join(sorted(changed))}")

    async def _discover(self) -> Served | None:
        uid = await self._definition()
        if uid is None:
            return None
        children = [child for child in self._children if not child.option or await self._serves(child)]
        return Served(uid, tuple(children))

    async def _definition(self) -> str | None:
        """The uid of our CRD, or None if it is not served."""
        if await self._transport.get(f"/apis/{API_VERSION}") is None:
            return None
        query = urlencode({"fieldSelector": f"metadata.name={CRD_NAME}"})
        try:
            page = await self._transport.request("GET", f"{_DEFINITIONS}?{query}", accept=METADATA)
        except ApiError as error:
            if error.status == 403:
                return _UNREADABLE
            raise
        return next((str(item["metadata"]["uid"]) for item in page["items"] or ()), None)

    async def _serves(self, resource: Resource) -> bool:
        offered = await self._transport.get(resource.path) or {"resources": []}
        return any(each["name"] == resource.plural for each in offered["resources"])
