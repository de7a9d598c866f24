"""What may not take for ever: calls, and connections on which nothing happens."""

from __future__ import annotations

import asyncio

import uvicorn

from mcpgateway import config
from mcpgateway.access.keyring import KeyRing
from mcpgateway.edge.connection import protocol_class
from mcpgateway.edge.routes import client_app
from mcpgateway.requests.router import Router
from mcpgateway.runtime.deadlines import Deadlines
from mcpgateway.runtime.metrics import Metrics
from tests.support.bridges import free_port


class Waiting:
    def __init__(self) -> None:
        self.expired = asyncio.Event()

    def expire(self) -> None:
        self.expired.set()


def test_what_is_late_expires_and_what_has_ended_does_not() -> None:
    async def run() -> None:
        deadlines = Deadlines()
        for _ in range(2):  # the timer stops when nothing waits, and starts again
            first, ended, last = Waiting(), Waiting(), Waiting()
            deadlines.add(first, 0.05)
            deadlines.discard(ended, deadlines.add(ended, 0.05))
            deadlines.add(last, 0.3)
            async with asyncio.timeout(20):
                await first.expired.wait()
                await last.expired.wait()
            assert not ended.expired.is_set()

    asyncio.run(run())


def test_a_connection_that_is_quiet_for_long_is_closed() -> None:
    async def run() -> None:
        settings = config.Config(gateway="g", auth=config.Auth(allow_unauthenticated=True))
        router = Router(config=settings, keys=KeyRing({}), metrics=Metrics())
        port = free_port()
        server = uvicorn.Server(
            uvicorn.Config(
                client_app(router),
                port=port,
                http=protocol_class(router),
                lifespan="off",
                log_config=None,
                timeout_keep_alive=1,
            )
        )
        serving = asyncio.create_task(server.serve())
        async with asyncio.timeout(20):
            while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.01)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for path in ("/health", "/mcp"):
                writer.write(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode())
                await reader.readuntil(b"\r\n\r\n")
            await reader.read()  # until it is closed
        writer.close()
        server.should_exit = True
        await serving

    asyncio.run(run())
