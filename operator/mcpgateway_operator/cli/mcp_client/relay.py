"""A stdio server for one client that is the gateway: the SDK's transport, and what keeps it up when the gateway is replaced.

Messages pass in both directions as they are, so everything that client and gateway can do works. Added are the headers that
streamable HTTP needs (specification 2026-07-28, "Streamable HTTP"), a new connection after a loss, and a new session where the
gateway no longer knows the old one (404, specification 2025-11-25, "Session Management").
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
import httpx2
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.inbound import mcp_param_headers, x_mcp_header_map
from mcp.shared.message import ClientMessageMetadata, SessionMessage
from mcp_types import (
    CONNECTION_CLOSED,
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError

_SESSION, _VERSION = "Mcp-Session-Id", "MCP-Protocol-Version"
_META_VERSION = "io.modelcontextprotocol/protocolVersion"
_REOPEN = "mcpgw-reopen"  # id of our own `initialize`
_TIMEOUT = httpx2.Timeout(30.0, read=None)  # streams are silent for as long as they like; the gateway ends calls
_PAUSE = 0.5  # seconds between attempts to reach the gateway
_GRACE = 5.0  # seconds for answers after the client has closed its side
_NAMES = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}  # what Mcp-Name repeats

Read = Callable[[], Awaitable[bytes]]  # the client's next line; empty at its end
Write = Callable[[bytes], Awaitable[None]]  # a line to the client


class Relay:
    """Between one client on stdio and the gateway."""

    def __init__(self, url: str, token: str | None, *, read: Read, write: Write, note: Callable[[str], None]) -> None:
        self._url, self._read, self._write, self._note = url, read, write, note
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx2.AsyncClient(
            headers=headers, timeout=_TIMEOUT, event_hooks={"response": [self._take_session]}, trust_env=False
        )
        self._pending: dict[RequestId, JSONRPCRequest] = {}  # that the gateway has not answered
        self._initialize: JSONRPCRequest | None = None  # of the legacy era
        self._initialized: JSONRPCNotification | None = None
        self._strangers: set[RequestId] = set()  # requests that were refused because their session is unknown
        self._repeat: list[JSONRPCRequest] | None = None  # what waits for a new session
        self._headers_of: dict[str, Mapping[tuple[str, ...], str]] = {}  # by tool
        self._idle = asyncio.Event()  # set while no request is pending
        self._idle.set()
        self._ended = False

    async def run(self) -> None:
        """Relay until the client ends."""
        async with self._http:
            while not self._ended:
                try:
                    await self._connection()
                except* (httpx2.HTTPError, OSError, anyio.BrokenResourceError, anyio.ClosedResourceError) as errors:
                    await self._lost(errors)
            if _SESSION in self._http.headers:
                with contextlib.suppress(httpx2.HTTPError):
                    await self._http.delete(self._url)

    async def _connection(self) -> None:
        transport = streamable_http_client(self._url, http_client=self._http, terminate_on_close=False, max_sse_event_size=None)
        async with transport as (incoming, outgoing), anyio.create_task_group() as group:
            if self._initialized is not None:  # opens the stream for the gateway's own messages
                await outgoing.send(SessionMessage(self._initialized))
            group.start_soon(self._down, incoming, outgoing)
            await self._up(outgoing)
            with anyio.move_on_after(_GRACE):
                await self._idle.wait()
            group.cancel_scope.cancel()

    async def _lost(self, errors: BaseExceptionGroup[Any]) -> None:
        """Say so to the client where it waits for an answer, and wait until the gateway can be reached."""
        cause: BaseException = errors
        while isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        self._note(f"the connection to the gateway has been lost ({type(cause).__name__} {cause}): connecting again")
        words = (
            "The connection to the gateway was lost, and the request may have been carried out. Repeat it if that does no harm."
        )
        for id in list(self._pending):
            self._done(id)
            await self._answer(id, CONNECTION_CLOSED, words)
        address = httpx2.URL(self._url)
        while not self._ended:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(address.host, address.port)
                writer.close()
                return
            await asyncio.sleep(_PAUSE)

    async def _up(self, outgoing: Any) -> None:
        """From the client to the gateway, until the client ends."""
        while True:
            line = await self._read()
            if not line:
                self._ended = True
                return
            for message in await self._messages(line):
                await self._send(outgoing, message)

    async def _messages(self, line: bytes) -> list[JSONRPCMessage]:
        """The messages of a line: one, or a batch (2025-03-26), which is sent in parts."""
        try:
            content = json.loads(line)
            parts = content if isinstance(content, list) else [content]
            return [jsonrpc_message_adapter.validate_python(part, by_name=False) for part in parts]
        except (ValidationError, RecursionError):
            await self._answer(None, INVALID_REQUEST, "The line is no JSON-RPC message.")
        except ValueError:
            if line.strip():
                await self._answer(None, PARSE_ERROR, "The line is not JSON.")
        return []

    async def _send(self, outgoing: Any, message: JSONRPCMessage) -> None:
        if isinstance(message, JSONRPCRequest):
            self._pending[message.id] = message
            self._idle.clear()
            if message.method == "initialize":
                self._forget_session()
                self._initialize = message
        elif isinstance(message, JSONRPCNotification) and message.method == "notifications/initialized":
            self._initialized = message
        await outgoing.send(SessionMessage(message, metadata=ClientMessageMetadata(headers=self._headers(message))))

    def _headers(self, message: JSONRPCMessage) -> dict[str, str]:
        """What a modern message repeats in its headers."""
        params = getattr(message, "params", None) or {}
        meta = params.get("_meta")
        version = meta.get(_META_VERSION) if isinstance(meta, dict) else None
        if not isinstance(message, JSONRPCRequest | JSONRPCNotification) or not isinstance(version, str):
            return {}
        headers = {_VERSION: version, "Mcp-Method": message.method}
        name = params.get(_NAMES.get(message.method, ""))
        if isinstance(name, str):
            headers["Mcp-Name"] = name
            arguments = params.get("arguments")
            headers |= mcp_param_headers(self._headers_of.get(name, {}), arguments if isinstance(arguments, dict) else {})
        return headers

    async def _down(self, incoming: Any, outgoing: Any) -> None:
        """From the gateway to the client."""
        async for item in incoming:
            if isinstance(item, Exception):
                self._note(f"a message of the gateway is passed over: {item}")
                continue
            message = item.message
            if isinstance(message, JSONRPCResponse | JSONRPCError) and await self._own(message, outgoing):
                continue
            await self._write(message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
            if isinstance(message, JSONRPCResponse | JSONRPCError) and message.id is not None:
                self._done(message.id)  # not before it is written: at the client's end, nothing is waited for but this

    async def _own(self, message: JSONRPCResponse | JSONRPCError, outgoing: Any) -> bool:
        """Whether an answer is not for the client: its session was unknown, or it belongs to our own `initialize`."""
        if message.id == _REOPEN:
            await self._reopened(message, outgoing)
            return True
        request = self._pending.get(message.id) if message.id is not None else None
        if request is not None and message.id in self._strangers:
            self._strangers.discard(message.id)
            await self._reopen(request, outgoing)
            return True
        if request is not None and isinstance(message, JSONRPCResponse):
            self._learn(request, message.result)
        return False

    def _learn(self, request: JSONRPCRequest, result: Mapping[str, Any]) -> None:
        """What later headers need."""
        if request.method == "initialize" and isinstance(result.get("protocolVersion"), str):
            self._http.headers[_VERSION] = result["protocolVersion"]
        elif request.method == "tools/list":
            for tool in result.get("tools") or ():
                if isinstance(tool, dict) and (header_map := x_mcp_header_map(tool.get("inputSchema"))):
                    self._headers_of[str(tool.get("name"))] = header_map

    async def _reopen(self, request: JSONRPCRequest, outgoing: Any) -> None:
        """Open a new session, and send the request in it."""
        if self._repeat is not None:
            self._repeat.append(request)
            return
        if self._initialize is None:
            return
        self._repeat = [request]
        self._note("the gateway no longer knows the session: opening another one")
        self._forget_session()
        await outgoing.send(SessionMessage(self._initialize.model_copy(update={"id": _REOPEN})))

    async def _reopened(self, message: JSONRPCResponse | JSONRPCError, outgoing: Any) -> None:
        waiting, self._repeat = self._repeat or [], None
        if isinstance(message, JSONRPCError):
            for request in waiting:
                self._done(request.id)
                await self._answer(request.id, message.error.code, message.error.message)
            return
        assert self._initialize is not None  # noqa: S101 - it was sent by `_reopen`
        self._learn(self._initialize, message.result)
        if self._initialized is not None:
            await outgoing.send(SessionMessage(self._initialized))
        for request in waiting:
            await outgoing.send(SessionMessage(request))

    async def _take_session(self, response: httpx2.Response) -> None:
        if response.status_code == httpx2.codes.NOT_FOUND and _SESSION in response.request.headers:
            with contextlib.suppress(httpx2.RequestNotRead, ValueError, AttributeError):
                self._strangers.add(json.loads(response.request.content).get("id"))
        session = response.headers.get(_SESSION)
        if session is not None:
            self._http.headers[_SESSION] = session

    def _done(self, id: RequestId) -> None:
        self._pending.pop(id, None)
        if not self._pending:
            self._idle.set()

    def _forget_session(self) -> None:
        for name in (_SESSION, _VERSION):
            self._http.headers.pop(name, None)

    async def _answer(self, id: RequestId | None, code: int, words: str) -> None:
        error = JSONRPCError(jsonrpc="2.0", id=id, error=ErrorData(code=code, message=words))
        await self._write(error.model_dump_json(by_alias=True, exclude_none=False, exclude={"error": {"data"}}).encode() + b"\n")
