"""A minimal relay, a measure of what a gateway could do at best: HTTP in, one shared connection out, ids spliced, no more.

    relay.py PORT BRIDGE-PORT

No authentication, no checks, no eras, no timeouts, no metrics; it must not be used for anything but this comparison.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import httptools
import msgspec
import uvloop


class Envelope(msgspec.Struct):
    """The outermost object of one message."""

    id: msgspec.Raw = msgspec.Raw(b"null")
    method: str = ""
    params: msgspec.Raw = msgspec.Raw(b"{}")
    result: msgspec.Raw = msgspec.Raw(b"null")


decode = msgspec.json.Decoder(Envelope).decode


class Upstream(asyncio.Protocol):
    """The one connection to the server."""

    def __init__(self) -> None:
        self.waiting: dict[bytes, tuple[Downstream, bytes]] = {}
        self.transport: Any = None
        self.rest = b""
        self.number = 0
        self.unsent: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        asyncio.get_running_loop().stop()  # callers must not wait for ever

    def call(self, caller: Downstream, body: bytes) -> None:
        message = decode(body)
        self.number += 1
        id = b"%d" % self.number
        self.waiting[id] = (caller, bytes(message.id))
        params = bytes(message.params).replace(b"s_echo", b"echo", 1)
        line = b'{"jsonrpc":"2.0","id":%b,"method":"%b","params":%b}\n' % (id, message.method.encode(), params)
        if not self.unsent:
            asyncio.get_running_loop().call_soon(self.flush)
        self.unsent.append(line)

    def flush(self) -> None:
        self.transport.write(b"".join(self.unsent))
        self.unsent.clear()

    def data_received(self, data: bytes) -> None:
        *lines, self.rest = (self.rest + data).split(b"\n") if self.rest else data.split(b"\n")
        for line in lines:
            message = decode(line)
            caller, id = self.waiting.pop(bytes(message.id))
            caller.answer(b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (id, bytes(message.result)))


class Downstream(asyncio.Protocol):
    """One client's connection."""

    upstream: Upstream

    def __init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.transport: Any = None
        self.body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.body.append(body)

    def on_message_complete(self) -> None:
        body, self.body = b"".join(self.body), []
        self.upstream.call(self, body)

    def answer(self, body: bytes) -> None:
        self.transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body
        )


async def main(port: int, bridge: int) -> None:
    """Relay for ever."""
    loop = asyncio.get_running_loop()
    _, Downstream.upstream = await loop.create_connection(Upstream, "127.0.0.1", bridge)
    server = await loop.create_server(Downstream, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
