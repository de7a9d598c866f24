"""A conversation over streamable HTTP, in both eras, or over the HTTP+SSE transport of 2024-11-05.

Source: MCP specification 2026-07-28 and 2025-11-25, "Transports", with "Backwards Compatibility" for the oldest one.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from typing import Final

import aiohttp
from msgspec import UNSET, Raw
from yarl import URL

from ...catalog.model import Item
from ...config import Header
from ...protocol import headers as mcp_headers
from ...protocol import jsonrpc, versions
from ...protocol.errors import Failure, Reason, UpstreamError, internal
from ...protocol.limits import LineTooLong
from ...protocol.sse_events import Event, EventParser
from ...runtime.background import Background
from ..connection import Connection
from .outbound import Outbound
from .responses import (
    AWAY,
    PROXY_CREDENTIALS,
    error_of,
    is_stream,
    place,
    proxy_refusal,
    read_body,
    read_events,
    read_headers,
    redirection,
    unreachable,
)

SESSION_END_TIMEOUT: Final = 2.0  # seconds for the end of a session
_TELL_TIMEOUT: Final = 10.0  # seconds for a notification
_LINGER: Final = 1.0  # seconds for the end of a stream after the reply: the connection can be used again then
_MAX_BODY: Final = 16 << 20  # bytes, as of a line
_MAX_REFUSAL: Final = 64 << 10
_FIRST_IDS: Final = 1 << 30  # of these one is chosen: more follow before 32 bits are used up
_RESUMES: Final = 5  # attempts to find a reply whose stream was cut
_PAUSE: Final = (1.0, 30.0)  # seconds before a stream is opened again: first and longest
_ACCEPT: Final = {"Accept": "application/json, text/event-stream"}
_ACCEPT_STREAM: Final = {"Accept": "text/event-stream"}
_JSON: Final = {"Content-Type": "application/json"}
_FAILURES: Final = (UpstreamError, LineTooLong, aiohttp.ClientError, OSError)  # a timeout is an OSError, too
_Response = AbstractAsyncContextManager[aiohttp.ClientResponse]


class RemoteConnection(Connection):
    """One conversation over HTTP: each request is a POST, whose response has the reply or is a stream that brings it."""

    def __init__(self, server: str, url: URL, http: aiohttp.ClientSession, headers: Sequence[Header], outbound: Outbound) -> None:
        super().__init__(server)
        self._outbound = outbound
        self._url = self._target = url  # where the server is, and where messages go
        self._http, self._configured = http, headers
        self.version = versions.MODERN_VERSIONS[-1]
        # Some servers confuse requests of different connections that have one id.
        self._latest = self._skipped = secrets.randbelow(_FIRST_IDS)
        self._session = ""  # of a legacy server that keeps sessions
        self._old = False  # 2024-11-05: replies come on the one stream of the connection
        self._exchanges: dict[bytes, asyncio.Task[None]] = {}
        self._tasks = Background()
        self._told: asyncio.Task[None] | None = None  # the latest notification or answer
        self.session_end: asyncio.Task[None] | None = None  # once it is closed
        self.on_gone: Callable[[], object] = lambda: None  # called when the server has been told, too

    # --- to the server ----------------------------------------------------------------------------------------------------

    def _obstacle(self) -> Failure | None:
        return self.closed.result() if self.closed.done() else None

    def _request(self, key: bytes, method: str, params: bytes, item: Item | None) -> None:
        task = self._exchanges[key] = self._tasks.start(self._exchange(key, method, params, item))
        task.add_done_callback(lambda done: self._exchanges.pop(key, None))

    def notify(self, method: str, params: bytes | None = None) -> None:
        if not self._modern:  # else the end of a request's own stream cancels it, and there is nothing else to tell
            super().notify(method, params)

    def _tell(self, message: bytes) -> None:
        if not self.closed.done():
            self._told = self._tasks.start(self._post(message, self._told))

    def forget(self, id: int) -> None:
        key = b"%d" % id
        waited = key in self._pending
        super().forget(id)
        if waited and key in self._exchanges:
            self._exchanges[key].cancel()

    def agreed(self, version: str) -> None:
        super().agreed(version)
        if self._modern:
            self._session = ""  # of an `initialize` that was asked as well
        elif not self._old:
            self._tasks.start(self._listen())

    def close(self) -> None:
        if self.session_end is None:
            self.session_end = asyncio.get_running_loop().create_task(self._end_session())
            self.session_end.add_done_callback(lambda done: self.on_gone())
            for task in [task for task in self._tasks if task is not asyncio.current_task()]:
                task.cancel()
            self._lose(self._failed(Reason.UNREACHABLE, "the connection is closed"))

    async def _end_session(self) -> None:
        if self._session:
            with contextlib.suppress(*_FAILURES):
                async with asyncio.timeout(SESSION_END_TIMEOUT), self._end():
                    pass

    def _end(self) -> _Response:
        return self._http.delete(self._url, headers=self._headers(), **self._outbound.route(self._url))

    @property
    def _modern(self) -> bool:
        return self.version in versions.MODERN_VERSIONS

    def _headers(self) -> dict[str, str]:
        headers = read_headers(self.server, self._configured)
        if self.version:
            headers["MCP-Protocol-Version"] = self.version
        if self._session:
            headers["Mcp-Session-Id"] = self._session
        return headers

    def _routing(self, method: str, params: bytes, item: Item | None) -> dict[str, str]:
        """The headers by which proxies route a modern request."""
        if not self._modern:
            return {}
        headers = {"Mcp-Method": method}
        fields = jsonrpc.members(Raw(params))
        name = mcp_headers.name_of(method, fields)
        if name is not None:
            headers["Mcp-Name"] = mcp_headers.encode(name)
        if item is not None and item.kind == "tools":
            headers |= mcp_headers.mirrored(bytes(item.raw), bytes(fields.get("arguments", b"")))
        return headers

    # A redirect is not followed: it would carry the configured headers, which may be secret, to somewhere else.

    def _posted(self, message: bytes, routing: Mapping[str, str] = MappingProxyType({})) -> _Response:
        headers = {**self._headers(), **_ACCEPT, **_JSON, **routing}
        return self._http.post(
            self._target, data=message, headers=headers, allow_redirects=False, **self._outbound.route(self._target)
        )

    def _opened(self, last: str = "") -> _Response:
        """A stream of the server's own; `last`: the id of the event after which it goes on."""
        headers = self._headers() | _ACCEPT_STREAM | ({"Last-Event-ID": last} if last else {})
        return self._http.get(self._url, headers=headers, allow_redirects=False, **self._outbound.route(self._url))

    def _failure(self, error: Exception) -> Failure:
        if isinstance(error, UpstreamError):
            return error.failure
        if isinstance(error, (LineTooLong, jsonrpc.ProtocolError)):
            return self._failed(Reason.PROTOCOL_ERROR, str(error))
        if isinstance(error, (aiohttp.ClientError, OSError)):
            return unreachable(self.server, self._url, error)
        self.reports.internal_error("remote connection", error)
        return internal(self.server, error)

    # --- one request ------------------------------------------------------------------------------------------------------

    async def _exchange(self, key: bytes, method: str, params: bytes, item: Item | None) -> None:
        message = jsonrpc.request(key, method, params)
        if method == "initialize":
            self.version = ""  # not known yet; nothing is modern from here on
        if self._told is not None:
            await asyncio.wait([self._told])  # in order, as over a pipe
        try:
            last = ""
            async with self._posted(message, self._routing(method, params, item)) as response:
                if method == "initialize":
                    self._session = self._given_session(response)
                if response.status < 300:
                    last = await self._receive(response, key)
                else:
                    await self._refused(response, key, message, method)
            if last:
                await self._resume(last, key)
            if key in self._pending and not self._old:
                raise UpstreamError(self._failed(Reason.PROTOCOL_ERROR, f"it ended its response to {method} without a reply"))
        except Exception as error:  # the boundary of one request: whatever a response makes of it is this request's failure
            if key in self._pending:
                self._settle(key, "lost", self._failure(error))

    def _given_session(self, response: aiohttp.ClientResponse) -> str:
        """The id of the session, to be sent back; empty: it keeps none. Raises: UpstreamError, if it cannot be sent back."""
        session = response.headers.get("Mcp-Session-Id", "")
        if not session.isascii():
            raise UpstreamError(self._failed(Reason.PROTOCOL_ERROR, "its Mcp-Session-Id has characters that are not ASCII"))
        return session

    def _forgotten(self) -> None:
        self._session = ""
        self._lose(self._failed(Reason.SESSION_LOST, "it has forgotten the session"))

    async def _receive(self, response: aiohttp.ClientResponse, key: bytes) -> str:
        """Take everything that a response brings. Returns: where to go on if a stream was cut before the reply, or ""."""
        if response.content_type == "text/event-stream":
            return await self._drain(response, key)
        body = await read_body(response, _MAX_BODY)
        if body.strip():
            self._on_message(jsonrpc.one_line(body))
        return ""

    async def _drain(self, response: aiohttp.ClientResponse, key: bytes) -> str:
        parser = EventParser()
        try:
            async with asyncio.timeout(None) as patience:
                async for event in read_events(response, parser):
                    await self._on_event(event)
                    if key not in self._pending:
                        patience.reschedule(asyncio.get_running_loop().time() + _LINGER)
        except (TimeoutError, aiohttp.ClientError):
            if key in self._pending and not parser.last_id:
                raise
        return parser.last_id if key in self._pending else ""

    async def _on_event(self, event: Event) -> None:
        if event.name == "message" and event.data:
            self._on_message(jsonrpc.one_line(event.data))
            if self.closed.done():  # by this message, in this task, which `close` could not cancel
                raise UpstreamError(self.closed.result())
            if (delay := self._pace.delay(asyncio.get_running_loop().time())) > 0:
                await asyncio.sleep(delay)

    async def _resume(self, last: str, key: bytes) -> None:
        """A legacy stream that was cut goes on where it was ("Resumability and Redelivery")."""
        for _ in range(_RESUMES):
            if not last or self._modern:
                return
            await asyncio.sleep(_PAUSE[0])
            async with self._opened(last) as response:
                if not is_stream(response):
                    return
                last = await self._drain(response, key)

    async def _refused(self, response: aiohttp.ClientResponse, key: bytes, message: bytes, method: str) -> None:
        """A response that is no success. Raises: UpstreamError."""
        status, body = response.status, await read_body(response, _MAX_REFUSAL)
        error = error_of(body)
        if self._session and (status == 404 or (status == 400 and error is not None and _about_session(error))):
            self._forgotten()
        elif status == PROXY_CREDENTIALS:
            raise UpstreamError(proxy_refusal(self.server))
        elif status in (401, 403):
            words = f"{place(self._url)} answers {status}: check spec.servers[].headers"
            raise UpstreamError(self._failed(Reason.ACCESS_DENIED, words))
        elif error is not None:
            self._settle(key, "error", error)
        elif method == "initialize" and status in (400, 404, 405):
            await self._fall_back(message)
        elif 300 <= status < 400:
            raise UpstreamError(self._failed(Reason.REDIRECTED, f"{redirection(response)}: set spec.servers[].url to it"))
        elif status in AWAY or status >= 500:
            raise UpstreamError(self._failed(Reason.UNREACHABLE, f"{place(self._url)} answers {status}"))
        else:  # a server of the other era, or one that does not know what we want: as if it had said so in JSON-RPC
            refusal = {"code": jsonrpc.METHOD_NOT_FOUND, "message": f"HTTP status {status}"}
            self._settle(key, "error", Raw(jsonrpc.dump(refusal)))

    # --- streams of the server's own --------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        """Legacy: what the server says by itself. Many offer no such stream."""
        pause, last = _PAUSE[0], ""
        while not self.closed.done():
            if self._told is not None:
                await asyncio.wait([self._told])
            parser = EventParser(last_id=last)
            try:
                async with self._opened(last) as response:
                    if response.status == 404 and self._session:
                        self._forgotten()
                    if not is_stream(response):
                        return
                    async for event in read_events(response, parser):
                        await self._on_event(event)
                        pause = _PAUSE[0]
            except Exception as error:  # the boundary of the server's own stream: it is opened again
                self._failure(error)  # reports what is a fault of the gateway
                pause = min(pause * 2, _PAUSE[1])
            last = parser.last_id
            await asyncio.sleep(max(pause, min(parser.retry or 0, _PAUSE[1])))

    async def _fall_back(self, message: bytes) -> None:
        """The server of 2024-11-05: a GET stream says where messages go, and brings all replies. Raises: UpstreamError."""
        announced: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._tasks.start(self._read_old(announced))
        try:
            async with asyncio.timeout(_TELL_TIMEOUT):
                endpoint = self._url.join(URL(await announced))
            elsewhere = endpoint.origin() != self._url.origin()
        except TimeoutError:
            words = "its event stream does not say where messages go"
            raise UpstreamError(self._failed(Reason.PROTOCOL_ERROR, words)) from None
        except ValueError as error:
            raise UpstreamError(self._failed(Reason.PROTOCOL_ERROR, f"its event stream names no URL: {error}")) from None
        if elsewhere:
            words = f"it wants messages sent to another place, {place(endpoint)}"
            raise UpstreamError(self._failed(Reason.PROTOCOL_ERROR, words))
        self._target, self._old = endpoint, True
        async with self._posted(message) as response:
            if response.status >= 300:
                words = f"{place(endpoint)} answers initialize with {response.status}"
                raise UpstreamError(self._failed(Reason.PROTOCOL_ERROR, words))

    async def _read_old(self, endpoint: asyncio.Future[str]) -> None:
        error = self._failed(Reason.UNREACHABLE, "it closed its event stream")
        try:
            async with self._opened() as response:
                if not is_stream(response):
                    error = self._failed(
                        Reason.PROTOCOL_ERROR, f"{place(self._url)} is no MCP endpoint: it answers {response.status}"
                    )
                    return
                async for event in read_events(response, EventParser()):
                    if event.name == "endpoint" and not endpoint.done():
                        endpoint.set_result(event.data.decode(errors="replace"))
                    else:
                        await self._on_event(event)
        except Exception as failure:  # the boundary of the one stream that brings all replies
            error = self._failure(failure)
        finally:
            if not endpoint.done():
                endpoint.set_exception(UpstreamError(error))
                endpoint.exception()  # marks it as retrieved: the waiter may be gone
            self._lose(error)

    async def _post(self, message: bytes, previous: asyncio.Task[None] | None) -> None:
        """A notification or an answer; only the next message waits for it."""
        if previous is not None:
            await asyncio.wait([previous])
        with contextlib.suppress(*_FAILURES):
            async with asyncio.timeout(_TELL_TIMEOUT):
                async with self._posted(message):
                    pass


def _about_session(error: Raw) -> bool:
    """Whether a 400 means that the session is unknown: many servers on the TypeScript SDK answer so, not with 404."""
    return "session" in (jsonrpc.text(jsonrpc.members(error).get("message", UNSET)) or "").lower()
