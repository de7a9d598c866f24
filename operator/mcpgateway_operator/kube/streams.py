"""kopf's connection to the API server, and which of its watches are open.

kopf's own login uses the DNS name `kubernetes.default.svc`, so that it would watch nothing while the cluster's DNS is away; and
kopf does not tell when it has listed a kind of which there is no object. A watch begins after its list was read: an accepted
watch is the sign that every object was seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from types import SimpleNamespace

import aiohttp
import kopf

from ..observe.kinds import Resource
from .transport import Transport


class Streams:
    """The watches of some kinds in some namespaces, or in all."""

    def __init__(self, transport: Transport, resources: Iterable[Resource], namespaces: Iterable[str]) -> None:
        places = tuple(namespaces) or ("",)
        self._transport = transport
        self._unopened = {_path(resource, place): resource.plural for place in places for resource in resources}
        self._accepted, self._refused = asyncio.Event(), asyncio.Event()

    async def login(self) -> kopf.AiohttpSession:
        """Credentials for kopf, which asks for new ones when a token has expired."""
        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(self._answered)
        return kopf.AiohttpSession(server=self._transport.server, aiohttp_session=await self._transport.session(trace))

    async def opened(self, waits_for: Callable[[str], None]) -> None:
        """Wait until every kind was listed and is watched; what is missing is reported."""
        while self._unopened:
            waits_for(f"the first list of {', '.join(sorted(set(self._unopened.values())))}")
            self._accepted.clear()
            await self._accepted.wait()

    async def refused(self) -> None:
        """Wait until a list or a watch was refused since the last call: kopf goes on trying, silently, for half an hour."""
        await self._refused.wait()
        self._refused.clear()

    async def _answered(
        self, session: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestEndParams
    ) -> None:
        if params.response.status == 403:
            self._refused.set()
        if params.response.status == 200 and params.url.query.get("watch") == "true":
            self._unopened.pop(params.url.path, None)
            self._accepted.set()


def _path(resource: Resource, namespace: str) -> str:
    place = f"/namespaces/{namespace}" if namespace else ""
    return f"{resource.path}{place}/{resource.plural}"
