"""A proxy between the operator and the API server that does what networks and API servers do on bad days."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

from .controlplane import ControlPlane
from .locks import free_port
from .upstreams import eventually
from .waiting import PATIENCE

WRITES = ("POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class Request:
    """A request as a rule sees it."""

    method: str
    path: str
    watch: bool
    number: int  # of all writes so far, this one included; 0 for a read

    @property
    def write(self) -> bool:
        """Whether it changes something; a Lease does not count."""
        return writes(self.method, self.path)


@dataclass(frozen=True)
class Answer:
    """What is said in place of the API server."""

    status: int
    reason: str
    headers: dict[str, str] = field(default_factory=dict)


def writes(method: str, path: str) -> bool:
    """Whether a request changes something; a Lease does not count, and the question for a right is a POST."""
    return method in WRITES and not path.endswith("/selfsubjectaccessreviews") and "/leases" not in path


HANG = Answer(0, "hang")
CUT = Answer(0, "cut")
EXPIRED = Answer(0, "expired")  # a watch whose resourceVersion is too old: that is said within the stream
Rule = Callable[[Request], Answer | None]


class ApiProxy:
    """Forwards to a control plane, but for what its rule says."""

    def __init__(self, plane: ControlPlane) -> None:
        self._upstream = f"https://127.0.0.1:{plane.addresses.api}"
        self.port = free_port()
        self.rule: Rule = lambda request: None
        self.delay = 0.0  # seconds before each request is passed on
        self.speaking = threading.Event()  # not set: watches stay open, and say nothing more
        self.speaking.set()
        self.seen: list[Request] = []
        self._writes = 0
        self._open: set[asyncio.Task[Any]] = set()
        self._sockets: list[socket.socket] = []  # to the API server
        self._loop = asyncio.new_event_loop()

    def kubeconfig(self, original: Path, folder: Path) -> Path:
        """A kubeconfig that comes here."""
        config = yaml.safe_load(original.read_text())
        config["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{self.port}"}
        path = folder / f"proxy-{self.port}.kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return path

    def writes(self, path: str = "") -> list[Request]:
        """The writes so far, of paths that hold this text."""
        return [request for request in self.seen if request.write and path in request.path]

    def cut(self) -> None:
        """Close all connections that are open now."""
        self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in self._open])

    @contextlib.contextmanager
    def serving(self) -> Iterator[ApiProxy]:
        """Run in a thread of its own."""
        started = threading.Event()
        thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        thread.start()
        assert started.wait(PATIENCE)
        try:
            yield self
        finally:
            self.speaking.set()  # a watch that waits for it has a thread of its own
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        started.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._stop())
        self._loop.close()

    async def _start(self) -> None:
        timeout = aiohttp.ClientTimeout(total=None)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=False, limit=0, socket_factory=self._socket),
            timeout=timeout,
            auto_decompress=False,
        )
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def _stop(self) -> None:
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._runner.cleanup()
        await self._session.close()
        await self._loop.shutdown_default_executor()
        # an aborted transport, with TLS, closes its socket some turns of the loop later
        await eventually(lambda: all(each.fileno() < 0 for each in self._sockets))

    def _socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        self._sockets = [each for each in self._sockets if each.fileno() >= 0]
        self._sockets.append(made := socket.socket(*address[:3]))
        return made

    async def _handle(self, incoming: web.Request) -> web.StreamResponse:
        request = self._noted(incoming)
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            answer = self.rule(request)
            await asyncio.sleep(self.delay)
            if answer is HANG:
                await asyncio.sleep(600)
            if answer is CUT:
                raise asyncio.CancelledError
            if answer is EXPIRED:
                status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410}
                return web.json_response({"type": "ERROR", "object": status})
            if answer is not None:
                status = {"kind": "Status", "apiVersion": "v1", "reason": answer.reason, "message": answer.reason}
                return web.json_response({**status, "code": answer.status}, status=answer.status, headers=answer.headers)
            return await self._forward(incoming, request)
        except (asyncio.CancelledError, aiohttp.ClientError):
            if incoming.transport is not None:
                incoming.transport.abort()
            raise
        finally:
            self._open.discard(task)

    def _noted(self, incoming: web.Request) -> Request:
        if writes(incoming.method, incoming.path):
            self._writes += 1
        number = self._writes if incoming.method in WRITES else 0
        request = Request(incoming.method, incoming.path, incoming.query.get("watch") == "true", number)
        self.seen.append(request)
        return request

    async def _forward(self, incoming: web.Request, request: Request) -> web.StreamResponse:
        headers = {k: v for k, v in incoming.headers.items() if k.lower() not in ("host", "content-length", "accept-encoding")}
        headers["Accept-Encoding"] = "identity"
        url = self._upstream + incoming.path_qs
        async with self._session.request(incoming.method, url, headers=headers, data=await incoming.read() or None) as upstream:
            kept = {k: v for k, v in upstream.headers.items() if k.lower() in ("content-type", "retry-after")}
            response = web.StreamResponse(status=upstream.status, headers=kept)
            await response.prepare(incoming)
            async for chunk in upstream.content.iter_any():
                if request.watch:
                    await asyncio.to_thread(self.speaking.wait)
                await response.write(chunk)
            await response.write_eof()
            return response
