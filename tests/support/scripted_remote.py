"""A remote MCP server in this process, over HTTP, in one of the styles there are; its connections are counted."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal

Style = Literal["modern", "json", "stream", "cut", "2024-11-05"]
_TOOL = {"name": "t", "inputSchema": {"type": "object"}}
_EVENTS = "text/event-stream"


@dataclass
class ScriptedRemote:
    """A server of one style.

    Args:
        style: The era, and in the legacy one the form of a call's response: a body, a stream that has a notification first, a
            stream that is cut after that and goes on at `Last-Event-ID`, or the transport of 2024-11-05.
    """

    style: Style
    url: str = ""
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    handlers: set[asyncio.Task[None]] = field(default_factory=set)
    _streams: list[asyncio.StreamWriter] = field(default_factory=list)  # of 2024-11-05: they bring all replies

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its first request to its end."""
        self.writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self.handlers.add(task)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                    fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
                    body = await reader.readexactly(int(fields.get("content-length", "0")))
                    verb, path, _ = head.split(" ", 2)
                    await self._answer(verb, path, fields, body, writer)
        finally:
            self.writers.discard(writer)
            self.handlers.discard(task)
            writer.close()

    async def _answer(self, verb: str, path: str, fields: dict[str, str], body: bytes, writer: asyncio.StreamWriter) -> None:
        if verb == "POST":
            await self._post(path, json.loads(body), writer)
        elif verb == "GET" and self.style != "modern":
            await self._open_stream(fields.get("last-event-id", ""), writer)
        else:
            self._send(writer, 200 if verb == "DELETE" else 405)
        await writer.drain()

    async def _post(self, path: str, message: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        method, id = str(message["method"]), message.get("id")
        known = self._results().get(method)
        if id is None:
            self._send(writer, 202)
        elif method == "tools/call" and message["params"]["name"] == "hang":
            await self._hang(writer)
        elif self.style == "2024-11-05":
            await self._post_old(path, message, known, writer)
        elif known is None:
            self._send(writer, 200, _reply(id, None))
        elif method == "tools/call" and self.style in ("modern", "stream", "cut"):
            self._begin(writer)
            note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "a"}}
            await self._event(writer, f"id: {json.dumps(id)}\ndata: {json.dumps(note)}\n\n".encode())
            if self.style != "cut":
                await self._event(writer, b"data: " + _reply(id, known) + b"\n\n")
            await self._event(writer, b"")
        else:
            self._send(writer, 200, _reply(id, known))

    async def _hang(self, writer: asyncio.StreamWriter) -> None:
        """A call that is never answered: its stream stays open, or in 2024-11-05 its reply does not come."""
        if self.style == "2024-11-05":
            self._send(writer, 202)
        else:
            self._begin(writer)

    async def _post_old(self, path: str, message: dict[str, Any], known: Any, writer: asyncio.StreamWriter) -> None:
        if path == "/mcp":
            self._send(writer, 405)
        else:
            self._send(writer, 202)
            stream = self._streams[int(path.rpartition("/")[2])]
            await self._event(stream, b"event: message\ndata: " + _reply(message["id"], known) + b"\n\n")

    async def _open_stream(self, last: str, writer: asyncio.StreamWriter) -> None:
        self._begin(writer)
        if last:  # a call's stream goes on
            await self._event(writer, b"data: " + _reply(json.loads(last), self._results()["tools/call"]) + b"\n\n")
            await self._event(writer, b"")
        elif self.style == "2024-11-05":
            self._streams.append(writer)
            await self._event(writer, b"event: endpoint\ndata: /messages/%d\n\n" % (len(self._streams) - 1))

    def _results(self) -> dict[str, Any]:
        shared = {"tools/list": {"tools": [_TOOL]}, "tools/call": {"content": [{"type": "text", "text": "done"}]}}
        if self.style == "modern":
            hello = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "resultType": "complete"}
            return {"server/discover": hello, **shared}
        hello = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "r", "version": "1"}}
        return {"initialize": hello, "ping": {}, **shared}

    def _send(self, writer: asyncio.StreamWriter, status: int, body: bytes = b"") -> None:
        session = "" if self.style == "modern" else "Mcp-Session-Id: s1\r\n"
        head = f"HTTP/1.1 {status} X\r\n{session}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)

    @staticmethod
    def _begin(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {_EVENTS}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())

    @staticmethod
    async def _event(writer: asyncio.StreamWriter, event: bytes) -> None:
        """One chunk, in a segment of its own as far as that can be had; an empty one ends the stream."""
        writer.write(b"%x\r\n%b\r\n" % (len(event), event))
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        await asyncio.sleep(0.002)


def _reply(id: Any, result: Any) -> bytes:
    error = {"error": {"code": -32601, "message": "no such method"}}
    return json.dumps({"jsonrpc": "2.0", "id": id, **(error if result is None else {"result": result})}).encode()


@contextlib.asynccontextmanager
async def scripted_remote(style: Style) -> AsyncIterator[ScriptedRemote]:
    """A server on loopback."""
    remote = ScriptedRemote(style)
    server = await asyncio.start_server(remote.serve, "127.0.0.1", 0)
    remote.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp"
    try:
        yield remote
    finally:
        server.close()
        for task in list(remote.handlers):
            task.cancel()
        await asyncio.gather(*remote.handlers, return_exceptions=True)
        await server.wait_closed()
