"""Request → answer: everything between the HTTP edge and the servers' connections.

One method a protocol method. The router never waits: it answers at once, or hands a call to a connection and answers from the
reply's callback, so that a call costs no task on the fast path.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from msgspec import UNSET, Raw

from . import catalog as catalogs
from . import era as eras
from . import jsonrpc
from .auth import TokenTable, host_allowed, joined, origin_allowed
from .catalog import Catalog
from .config import Config
from .era import Era
from .jsonrpc import Envelope, ProtocolError
from .session import Session, Sessions
from .telemetry import Metrics
from .upstream.backend import Backend
from .upstream.connection import Connection, Outcome
from .upstream.errors import UpstreamError

Headers = list[tuple[bytes, bytes]]
JSON: Headers = [(b"content-type", b"application/json")]
SESSION_HEADER = b"mcp-session-id"


class Exchange(Protocol):
    """One HTTP request and the means to answer it once."""

    headers: Headers
    body: bytes
    on_disconnect: Callable[[], None] | None

    def reply(self, status: int, body: bytes = b"", headers: Headers = ...) -> None:
        """Answer; a second answer, or one to a client that is gone, is dropped."""


class Denied(Exception):
    """An HTTP-level refusal, before any JSON-RPC."""

    def __init__(self, status: int, message: str, headers: Headers | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers or []


class Router:
    """Holds what is in force now: configuration, backends, catalog, tokens."""

    def __init__(self, *, config: Config, tokens: TokenTable, sessions: Sessions, metrics: Metrics) -> None:
        self.config = config
        self.tokens = tokens
        self.sessions = sessions
        self.metrics = metrics
        self.backends: dict[str, Backend] = {}
        self.catalog = Catalog()
        self.catalog_changed = asyncio.Event()  # replaced at each change
        self._calls: dict[tuple[str, bytes], _Call] = {}  # legacy: (session, id) -> call, for cancellation

    def rebuild(self) -> None:
        """Make a new catalog from what the backends know; clients are told only if something changed."""
        known = [backend.snapshot for backend in self.backends.values()]
        absent = {name for name, backend in self.backends.items() if not backend.snapshot.available}
        fresh = catalogs.build(
            [tool for snapshot in known for tool in snapshot.tools],
            naming=self.config.tool_names,
            gateway=self.config.gateway,
            absent=absent,
        )
        self.metrics.ready_servers.set(len(known) - len(absent))
        if fresh != self.catalog:
            self.catalog = fresh
            self.catalog_changed.set()
            self.catalog_changed = asyncio.Event()

    # --- who may ----------------------------------------------------------------------------------------------------------

    def admit(self, headers: Mapping[bytes, bytes]) -> str:
        """The principal of a request that may proceed. Raises: Denied."""
        host = headers.get(b"host", b"")
        if not host_allowed(host, self.config.allowed_hosts):
            raise Denied(421, f"host {host.decode('latin-1')[:80]!r} is not served here: add it to spec.allowedHosts")
        origin = headers.get(b"origin")
        if origin is not None and not origin_allowed(origin, host, self.config.allowed_origins):
            raise Denied(403, f"origin {origin.decode('latin-1')[:80]!r} is not allowed: add it to spec.allowedOrigins")
        principal = self.tokens.principal(headers.get(b"authorization", b""))
        if principal is None:
            raise Denied(401, "a valid bearer token is needed", [(b"www-authenticate", b'Bearer realm="mcp"')])
        return principal

    def session(self, headers: Mapping[bytes, bytes], principal: str) -> Session:
        """The session of a legacy request. Raises: Denied (400 without one, 404 for one that is not known)."""
        token = headers.get(SESSION_HEADER, b"").decode("latin-1")
        if not token:
            raise Denied(400, "the header Mcp-Session-Id is missing: send initialize first")
        session = self.sessions.find(token, principal=principal, now=time.time())
        if session is None:
            raise Denied(404, "this session is not known or has ended: send initialize again")
        return session

    def end_session(self, session: Session) -> None:
        """DELETE: the session's processes are released."""
        self.sessions.end(session)
        for backend in self.backends.values():
            backend.end_session(session.id)

    # --- POST /mcp --------------------------------------------------------------------------------------------------------

    def handle(self, exchange: Exchange) -> None:
        """Answer one POST."""
        try:
            self._handle(exchange, joined(exchange.headers))
        except Denied as denied:
            body = jsonrpc.failure(b"null", jsonrpc.INVALID_REQUEST, denied.message)
            exchange.reply(denied.status, body, JSON + denied.headers)

    def _handle(self, exchange: Exchange, headers: Mapping[bytes, bytes]) -> None:
        principal = self.admit(headers)
        if headers.get(b"content-type", b"").split(b";")[0].strip().lower() != b"application/json":
            raise Denied(415, "the content type must be application/json")
        accept = headers.get(b"accept", b"*/*")
        if b"application/json" not in accept and b"*/*" not in accept and b"application/*" not in accept:
            raise Denied(406, "the header Accept must list application/json and text/event-stream")
        id = b"null"
        try:
            envelope = jsonrpc.decode(exchange.body)
            id = b"null" if envelope.id is UNSET else bytes(envelope.id)
            era = eras.classify(envelope, headers)
        except ProtocolError as error:
            self.metrics.requests.labels("invalid", "error").inc()
            body = jsonrpc.failure(id, error.code, error.message, error.data)
            exchange.reply(eras.HTTP_STATUS.get(error.code, 400), body, JSON)
            return
        if envelope.method == "initialize" and era == "legacy":
            self._initialize(exchange, envelope, principal)
            return
        session = self.session(headers, principal) if era == "legacy" else None
        if envelope.id is UNSET or envelope.method is UNSET:
            self._notified(envelope, session)
            exchange.reply(202)
            return
        self._request(exchange, envelope, era=era, key=session.id if session else f"principal:{principal}")

    def _request(self, exchange: Exchange, envelope: Envelope, *, era: Era, key: str) -> None:
        assert isinstance(envelope.method, str)  # noqa: S101 - the caller has looked
        id = bytes(envelope.id) if envelope.id is not UNSET else b"null"
        handler = _METHODS[era].get(envelope.method)
        answer = _Answer(self, exchange, id=id, era=era, method=envelope.method if handler else "unknown")
        try:
            if handler is None:
                raise ProtocolError(jsonrpc.METHOD_NOT_FOUND, f"method {envelope.method[:80]!r} is not served here")
            handler(self, answer, jsonrpc.members(envelope.params), key)
        except ProtocolError as error:
            answer.fail(error.code, error.message, error.data)

    def _notified(self, envelope: Envelope, session: Session | None) -> None:
        """A notification or a response. Only a legacy client may cancel, and only its own calls."""
        if envelope.method == "notifications/cancelled" and session is not None:
            id = jsonrpc.members(envelope.params).get("requestId")
            call = self._calls.get((session.id, bytes(id))) if id is not None else None
            if call is not None:
                call.cancel()

    # --- methods ----------------------------------------------------------------------------------------------------------

    def _initialize(self, exchange: Exchange, envelope: Envelope, principal: str) -> None:
        if envelope.id is UNSET:
            raise Denied(400, "initialize must be a request with an id")
        try:
            params = jsonrpc.members(envelope.params)
        except ProtocolError as error:
            exchange.reply(200, jsonrpc.failure(bytes(envelope.id), error.code, error.message), JSON)
            return
        version = eras.negotiate(jsonrpc.text(params.get("protocolVersion", UNSET)))
        token = self.sessions.issue(principal=principal, version=version, now=time.time())
        result = jsonrpc.dump(
            {
                "protocolVersion": version,
                "capabilities": {"tools": {"listChanged": True}},
                "serverInfo": eras.server_info(self.config.gateway),
            }
        )
        self.metrics.requests.labels("initialize", "ok").inc()
        exchange.reply(200, jsonrpc.result(bytes(envelope.id), result), [*JSON, (SESSION_HEADER, token.encode())])

    def _ping(self, answer: _Answer, params: dict[str, Raw], key: str) -> None:
        answer.succeed(b"{}")

    def _discover(self, answer: _Answer, params: dict[str, Raw], key: str) -> None:
        answer.succeed(
            jsonrpc.dump(
                {
                    "resultType": "complete",
                    "supportedVersions": list(eras.MODERN_VERSIONS),
                    "capabilities": {"tools": {}},
                    "ttlMs": 0,
                    "cacheScope": "private",
                    "_meta": {eras.SERVER_INFO_KEY: eras.server_info(self.config.gateway)},
                }
            )
        )

    def _list_tools(self, answer: _Answer, params: dict[str, Raw], key: str) -> None:
        if "cursor" in params and bytes(params["cursor"]) != b"null":
            raise ProtocolError(jsonrpc.INVALID_PARAMS, "this cursor was not given by this gateway: its lists have one page")
        answer.succeed(self.catalog.modern_list if answer.era == "modern" else self.catalog.legacy_list)

    def _call_tool(self, answer: _Answer, params: dict[str, Raw], key: str) -> None:
        name = jsonrpc.text(params.get("name", UNSET))
        if name is None:
            raise ProtocolError(jsonrpc.INVALID_PARAMS, "params.name must be a string: the tool's name")
        tool = self.catalog.tools.get(name)
        if tool is None:
            away = self.backends.get(self.catalog.away.get(name, ""))
            if away is None:
                raise ProtocolError(jsonrpc.INVALID_PARAMS, f"unknown tool: {name[:80]!r}")
            answer.unavailable(away.snapshot.last_error or UpstreamError(away.server.name, "Connecting", "not there yet"))
            return
        backend = self.backends[tool.server]
        if name != tool.name:
            params = {**params, "name": Raw(jsonrpc.dump(tool.name))}
        call = _Call(answer, backend, key=key, registry=self._calls, began=time.perf_counter())
        call.start("tools/call", jsonrpc.dump(eras.to_server(params, upstream=backend.era, gateway=self.config.gateway)))


_Handler = Callable[[Router, "_Answer", dict[str, Raw], str], None]
_METHODS: Mapping[Era, Mapping[str, _Handler]] = {
    "legacy": {
        "ping": Router._ping,
        "tools/list": Router._list_tools,
        "tools/call": Router._call_tool,
    },
    "modern": {
        "server/discover": Router._discover,
        "tools/list": Router._list_tools,
        "tools/call": Router._call_tool,
    },
}


class _Answer:
    """The way back to one caller, in its own era."""

    __slots__ = ("_router", "era", "exchange", "id", "method")

    def __init__(self, router: Router, exchange: Exchange, *, id: bytes, era: Era, method: str) -> None:
        self._router, self.exchange, self.id, self.era, self.method = router, exchange, id, era, method

    def succeed(self, raw: bytes) -> None:
        self._router.metrics.requests.labels(self.method, "ok").inc()
        self.exchange.reply(200, jsonrpc.result(self.id, raw), JSON)

    def relay_error(self, raw: bytes) -> None:
        """A server's own error object, as it is."""
        self._router.metrics.requests.labels(self.method, "error").inc()
        self.exchange.reply(200, jsonrpc.error(self.id, raw), JSON)

    def fail(self, code: int, message: str, data: Any = None) -> None:
        self._router.metrics.requests.labels(self.method, "error").inc()
        status = eras.HTTP_STATUS.get(code, 200) if self.era == "modern" else 200
        self.exchange.reply(status, jsonrpc.failure(self.id, code, message, data), JSON)

    def unavailable(self, error: UpstreamError) -> None:
        """A server that cannot answer: the error names it, the cause and the exit code."""
        self.fail(jsonrpc.INTERNAL_ERROR, str(error), error.data())


class _Call:
    """One tools/call on its way: it ends by a reply, a loss, its deadline, or the caller's going."""

    __slots__ = ("_answer", "_backend", "_began", "_connection", "_done", "_id", "_key", "_registry", "_task", "_timer")

    def __init__(
        self, answer: _Answer, backend: Backend, *, key: str, registry: dict[tuple[str, bytes], _Call], began: float
    ) -> None:
        self._answer, self._backend, self._key, self._registry, self._began = answer, backend, key, registry, began
        self._connection: Connection | None = None
        self._id = ""
        self._task: asyncio.Task[None] | None = None
        self._done = False
        timeout = backend.server.call_timeout
        self._timer = asyncio.get_running_loop().call_later(timeout, self._expire, timeout)

    def start(self, method: str, params: bytes) -> None:
        self._registry[self._key, self._answer.id] = self
        if self._answer.era == "modern":  # a legacy client's going is not a cancellation
            self._answer.exchange.on_disconnect = self.cancel
        connection = self._backend.ready_connection()
        if connection is not None:
            self._send(connection, method, params)
        else:
            self._task = asyncio.get_running_loop().create_task(self._send_later(method, params))

    async def _send_later(self, method: str, params: bytes) -> None:
        try:
            connection = await self._backend.connection(self._key)
        except UpstreamError as error:
            if self._finish():
                self._answer.unavailable(error)
            return
        if not self._done:
            self._send(connection, method, params)

    def _send(self, connection: Connection, method: str, params: bytes) -> None:
        self._connection = connection
        self._id = connection.send(method, params, self._on_reply)

    def _on_reply(self, outcome: Outcome, value: Raw | UpstreamError) -> None:
        if not self._finish():
            return
        if isinstance(value, UpstreamError):
            self._answer.unavailable(value)
        elif outcome == "result":
            self._answer.succeed(eras.to_client(bytes(value), client=self._answer.era, upstream=self._backend.era))
        else:
            self._answer.relay_error(bytes(value))

    def _expire(self, timeout: float) -> None:
        if self._finish():
            self._cancel_upstream("timed out")
            error = UpstreamError(self._backend.server.name, "Timeout", f"no answer within {timeout:g} s")
            self._answer.unavailable(error)

    def cancel(self) -> None:
        """The caller wants no answer any more; the specification forbids one."""
        if self._finish():
            self._cancel_upstream("cancelled by the client")
            self._answer.exchange.reply(202)

    def _cancel_upstream(self, reason: str) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._connection is not None:
            self._connection.notify("notifications/cancelled", jsonrpc.dump({"requestId": self._id, "reason": reason}))
            self._connection.forget(self._id)

    def _finish(self) -> bool:
        """Whether this is the first ending."""
        if self._done:
            return False
        self._done = True
        self._timer.cancel()
        if self._registry.get((self._key, self._answer.id)) is self:
            del self._registry[self._key, self._answer.id]
        server = self._backend.server.name
        self._answer._router.metrics.calls.labels(server).observe(time.perf_counter() - self._began)
        return True
