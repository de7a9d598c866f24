"""A bridge in this process whose server sends whatever a test wants: for what no real server does on demand."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from .bridges import MAGIC

Answer = Callable[[dict[str, Any]], "bytes | None"]


@dataclass
class ScriptedBridge:
    """Listens on loopback; each `direct` or `attach` connection is a process of the scripted server."""

    answer: Answer  # what the server writes for one message; None: what a good legacy server answers
    port: int = 0
    received: list[dict[str, Any]] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)  # of open connections to processes
    watches: int = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def sent(self, method: str) -> int:
        """How many messages of a method have been received."""
        return sum(message.get("method") == method for message in self.received)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greeting = json.loads((await reader.readline()).removeprefix(MAGIC) or b"{}")
        epoch = {"epoch": 1} if greeting.get("mode") == "attach" else {}
        writer.write(MAGIC + json.dumps({"instance": "i", "ready": True, **epoch}).encode() + b"\n")
        process = greeting.get("mode") != "watch"
        if process:
            self.writers.append(writer)
        self.watches += not process
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):  # of the end of a test
            while line := await reader.readline():
                if not line.startswith(MAGIC):
                    message = json.loads(line)
                    self.received.append(message)
                    answer = self.answer(message)
                    writer.write(good(message) if answer is None else answer)
        self.watches -= not process
        if process:
            self.writers.remove(writer)
        writer.close()


def result(message: dict[str, Any], value: Any) -> bytes:
    """The answer to a request, as a line."""
    return json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": value}).encode() + b"\n"


def good(message: dict[str, Any]) -> bytes:
    """What a good legacy server with one tool answers."""
    if "id" not in message:
        return b""
    match message["method"]:
        case "initialize":
            return result(
                message, {"protocolVersion": "2025-11-25", "capabilities": {"tools": {"listChanged": True}}, "serverInfo": {}}
            )
        case "tools/list":
            return result(message, {"tools": [{"name": "t", "inputSchema": {"type": "object"}}]})
        case "tools/call":
            return result(message, {"content": [{"type": "text", "text": "done"}]})
        case "ping":
            return result(message, {})
    return json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "unknown"}}).encode() + b"\n"


@contextlib.asynccontextmanager
async def scripted_bridge(answer: Answer = lambda message: None) -> AsyncIterator[ScriptedBridge]:
    """A scripted bridge that listens."""
    bridge = ScriptedBridge(answer)
    listening = await asyncio.start_server(bridge.serve, "127.0.0.1", 0, limit=64 << 20)
    bridge.port = listening.sockets[0].getsockname()[1]
    try:
        yield bridge
    finally:
        listening.close()
        for writer in list(bridge.writers):
            writer.close()
