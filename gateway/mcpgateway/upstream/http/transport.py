"""A server at a URL: whether it is there, and connections to it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import aiohttp

from ...config import Server
from ...protocol.errors import Failure, Reason, UpstreamError
from ..bridge.connection import Control
from ..transport import Watch
from .connection import SESSION_END_TIMEOUT, RemoteConnection
from .outbound import Outbound
from .responses import AWAY, PROXY_CREDENTIALS, parse_url, place, proxy_refusal, read_headers, unreachable

_CONNECT_TIMEOUT: Final = 5.0  # seconds
_LOOK_INTERVAL: Final = 5.0  # seconds between looks whether it is there
_LOOKS: Final = 2  # that must fail in a row


class HttpTransport:
    """Reaches a server at its URL; its configured headers are read for each request, so that a rotated value takes effect."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._outbound = Outbound(server)
        self._http: aiohttp.ClientSession | None = None
        self._open: set[RemoteConnection] = set()

    @property
    def moved(self) -> bool:
        return False

    @property
    def place(self) -> str:
        return ""

    @property
    def elsewhere(self) -> bool:
        return False

    @property
    def places(self) -> int:
        return 1

    def update(self, server: Server, addresses: Sequence[str]) -> None:
        self._server = server

    def missed(self, error: Failure) -> None:
        """There is no other place to try."""

    async def watch(self) -> Watch:
        watch = Watch()
        await self._look()
        task = asyncio.get_running_loop().create_task(self._keep_looking(watch))
        watch.close = task.cancel
        return watch

    async def shared(self, number: int) -> RemoteConnection:
        return await self.own("", lasting=False)

    async def own(self, key: str, *, lasting: bool) -> RemoteConnection:
        url = parse_url(self._server.name, self._server.url)
        await self._outbound.refresh()
        connection = RemoteConnection(self._server.name, url, self._client(), self._server.headers, self._outbound)
        self._open.add(connection)
        connection.on_gone = lambda: self._open.discard(connection)
        return connection

    async def close(self, *, patience: float) -> None:
        busy = [connection.closed for connection in self._open if connection.in_flight]
        if busy and patience:
            await asyncio.wait(busy, timeout=patience)
        for connection in list(self._open):
            connection.close()
        endings = [connection.session_end for connection in self._open if connection.session_end is not None]
        if endings:
            await asyncio.wait(endings, timeout=SESSION_END_TIMEOUT)
        if self._http is not None:
            await self._http.close()

    def _client(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),  # calls are bounded where they come in
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT),
                cookie_jar=aiohttp.DummyCookieJar(),  # a cookie would be shared by all clients
                read_bufsize=1 << 18,
            )
        return self._http

    async def _keep_looking(self, watch: Watch) -> None:
        missed = 0
        while missed < _LOOKS:
            await asyncio.sleep(_LOOK_INTERVAL)
            try:
                await self._look()
            except UpstreamError as error:
                missed += 1
                if missed == _LOOKS:
                    watch.lose(error.failure)
            else:
                missed = 0
                watch.receive(Control())

    async def _look(self) -> None:
        """Whether somebody answers there: any answer but a proxy's excuse counts. Raises: UpstreamError."""
        name = self._server.name
        url = parse_url(name, self._server.url)
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                await self._outbound.refresh()
                headers, route = read_headers(name, self._server.headers), self._outbound.route(url)
                async with self._client().options(url, headers=headers, allow_redirects=False, **route) as response:
                    if response.status == PROXY_CREDENTIALS:
                        raise UpstreamError(proxy_refusal(name))
                    if response.status in AWAY:
                        raise UpstreamError(Failure(name, Reason.UNREACHABLE, f"{place(url)} answers {response.status}"))
        except (aiohttp.ClientError, OSError) as error:  # a timeout is an OSError, too
            raise UpstreamError(unreachable(name, url, error)) from None
