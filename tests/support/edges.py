"""The gateway's HTTP edge in this process, on a real socket: its limits and its collaborators are the test's to choose."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import uvicorn
import uvloop

from mcpgateway.access.keyring import KeyRing
from mcpgateway.config import Config
from mcpgateway.edge.connection import connection_class
from mcpgateway.edge.limits import Limits
from mcpgateway.edge.routes import client_routes
from mcpgateway.edge.shared import Edge
from mcpgateway.requests.router import Router
from mcpgateway.runtime.metrics import Metrics

from .gateways import configuration
from .waiting import PATIENCE


class QuietServer(uvicorn.Server):
    """Takes no signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass
class Memory:
    """What a memory guard says."""

    shedding: bool = False


@dataclass
class RunningEdge:
    """An edge without servers behind it, and the port where it listens."""

    edge: Edge
    port: int
    memory: Memory
    server: QuietServer = field(repr=False)
    thread: threading.Thread = field(repr=False)

    def connect(self) -> RawConnection:
        return RawConnection(self.port)

    def metric(self, name: str, **labels: str) -> float:
        return self.edge.metrics.registry.get_sample_value(name, labels) or 0.0


class RawConnection:
    """A client that sends bytes as they are."""

    def __init__(self, port: int, timeout: float = PATIENCE) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def __enter__(self) -> RawConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the next response."""
        status = int(self.file.readline().split()[1])
        headers = {}
        while (line := self.file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        return status, headers

    def response(self) -> tuple[int, bytes]:
        """Status and body of the next response, whose length is announced."""
        status, headers = self.head()
        return status, self.file.read(int(headers.get("content-length", "0")))

    def at_end(self) -> bool:
        """Whether the server has closed the connection, and sent nothing before."""
        try:
            return self.file.read(1) == b""
        except ConnectionResetError:
            return True


def new_edge(config: Config, limits: Limits, memory: Memory | None = None) -> Edge:
    router = Router(config=config, keys=KeyRing({}), metrics=Metrics())
    router.startup.end()
    return Edge(router, limits, client_routes(router, memory or Memory()))


@contextlib.contextmanager
def running_edge(folder: Path, limits: Limits | None = None, config: Config | None = None) -> Iterator[RunningEdge]:
    """Serve until the test is over."""
    memory, started, box = Memory(), threading.Event(), SimpleNamespace()
    settings = config or configuration(folder=folder)

    async def serve() -> None:
        box.edge = new_edge(settings, limits or Limits(), memory)
        listener = socket.create_server(("127.0.0.1", 0))
        box.server = QuietServer(
            uvicorn.Config(
                str,
                http=cast("Any", connection_class(box.edge)),  # typed for asyncio.Protocol alone
                interface="asgi3",
                lifespan="off",
                loop="none",
                ws="none",
                log_config=None,
                proxy_headers=False,
                timeout_graceful_shutdown=5,
            )
        )
        box.port = listener.getsockname()[1]
        serving = asyncio.create_task(box.server.serve([listener]))
        while not box.server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        started.set()
        await serving

    thread = threading.Thread(target=lambda: uvloop.run(serve()), name="edge")
    thread.start()
    assert started.wait(30)
    try:
        yield RunningEdge(box.edge, box.port, memory, box.server, thread)
    finally:
        box.server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()
