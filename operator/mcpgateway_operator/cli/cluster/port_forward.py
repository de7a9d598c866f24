"""A port of this machine that leads to a port of a pod, through the API server: no Ingress and no kubectl are needed.

Each connection asks for a pod, so that it follows the gateway from pod to pod. Source: Kubernetes, `pods/portforward` with the
subprotocol v4.channel.k8s.io: a message is a channel's byte (0 data, 1 errors) and bytes; the first message of each channel is
the port.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp

from ..bad_input import BadInputError
from .api import Api, Socket

_PROTOCOL = "v4.channel.k8s.io"
_DATA, _ERRORS = 0, 1
_PORT_BYTES = 2
_CHUNK = 65536

FindPod = Callable[[], Awaitable[str]]


class PortForward:
    """Connections to one port of the pods that `find_pod` names."""

    def __init__(self, api: Api, *, namespace: str, port: int, find_pod: FindPod) -> None:
        self._api, self._namespace, self._port, self._find_pod = api, namespace, port, find_pod
        self.failure: BadInputError | None = None  # why the last connection could not be made

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until either side ends it."""
        try:
            socket = await self._open()
        except BadInputError as error:
            self.failure = error
            writer.close()
            return
        self.failure = None
        pumps = [asyncio.ensure_future(_send(reader, socket)), asyncio.ensure_future(self._receive(socket, writer))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            writer.close()
            await socket.close()

    async def _open(self) -> Socket:
        pod = await self._find_pod()
        path = f"/api/v1/namespaces/{self._namespace}/pods/{pod}/portforward"
        return await self._api.websocket(path, _PROTOCOL, ports=str(self._port))

    async def _receive(self, socket: Socket, writer: asyncio.StreamWriter) -> None:
        begun = set[int]()
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
                continue
            channel, data = message.data[0], message.data[1:]
            if channel not in begun:
                begun.add(channel)
                data = data[_PORT_BYTES:]
            if channel == _ERRORS and data:
                self.failure = BadInputError(f"the kubelet does not forward port {self._port}: {data.decode(errors='replace')}")
                return
            if channel == _DATA and data:
                writer.write(data)
                await writer.drain()


async def _send(reader: asyncio.StreamReader, socket: Socket) -> None:
    while data := await reader.read(_CHUNK):
        await socket.send_bytes(bytes((_DATA,)) + data)


@contextlib.asynccontextmanager
async def forwarded(forward: PortForward) -> AsyncIterator[int]:
    """The local port, for as long as it is used."""
    connections = set[asyncio.Task[None]]()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(forward.serve(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
