"""A backend in this process, without a gateway around it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from msgspec import Raw, UnsetType

from mcpgateway.config import Server
from mcpgateway.upstream.backend import Backend
from mcpgateway.upstream.bridge.proof import BridgeKeys
from mcpgateway.upstream.bridge.transport import BridgeTransport
from mcpgateway.upstream.connection import Connection
from mcpgateway.upstream.http.transport import HttpTransport
from mcpgateway.upstream.reports import Reports
from mcpgateway.upstream.snapshot import Caller
from mcpgateway.upstream.transport import Transport

from .waiting import PATIENCE

ALICE = Caller("session", "alice", "alice-identity")


@dataclass
class Heard:
    """What a backend's server has sent by itself, and what its boundaries have caught."""

    notifications: list[str] = field(default_factory=list)
    invalid: int = 0
    internal: list[str] = field(default_factory=list)
    listening: set[str] = field(default_factory=set)  # the keys whose clients read a stream
    on_notification: Callable[[str], object] = lambda method: None

    def asks(self, connection: Connection, method: str, id: bytes, params: Raw | UnsetType) -> None:
        connection.refuse(id, -32601, "a test answers nothing")

    def says(self, connection: Connection, method: str, params: Raw | UnsetType) -> None:
        self.notifications.append(method)
        self.on_notification(method)

    def listens(self, key: str) -> bool:
        return key in self.listening

    def level(self, key: str) -> bytes | None:
        return None

    def reports(self) -> Reports:
        def on_invalid() -> None:
            self.invalid += 1

        return Reports(invalid=on_invalid, internal_error=lambda boundary, error: self.internal.append(f"{boundary}: {error!r}"))


@contextlib.asynccontextmanager
async def backend(address: str = "", *, heard: Heard | None = None, url: str = "", **more: Any) -> AsyncIterator[Backend]:
    """A backend of one server at a bridge's address or a URL."""
    heard = heard or Heard()
    server = Server(name="s", addresses=(address,) if address else (), url=url, **more)
    transport: Transport = (
        HttpTransport(server) if url else BridgeTransport(server, server.addresses, gateway="g", keys=BridgeKeys(None))
    )
    made = Backend(server, transport, gateway="g", peer=heard, on_change=lambda: None, reports=heard.reports())
    try:
        yield made
    finally:
        await made.close()


async def eventually(ready: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(seconds):
        while not ready():  # noqa: ASYNC110 - any condition
            await asyncio.sleep(0.005)


async def call(upstream: Backend, caller: Caller = ALICE, *, tool: str = "t") -> bytes:
    """A tools/call by a caller."""
    connection = await upstream.connection(caller)
    try:
        return bytes(await connection.call("tools/call", b'{"name":"%b","arguments":{}}' % tool.encode(), timeout=PATIENCE))
    finally:
        upstream.release(connection)
