"""Request → answer: everything between the HTTP edge and the servers' connections.

One method a protocol method. The router never waits: it answers at once, or hands the request to a connection (calls.py) and the
answer comes from the reply's callback, so that a call costs no task on the fast path.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from msgspec import UNSET, Raw

from . import catalog as catalogs
from . import era as eras
from . import jsonrpc
from .auth import TokenTable, host_allowed, joined, origin_allowed
from .calls import JSON, Answer, Call, Exchange, Headers
from .catalog import KindName, Listing
from .config import Config
from .dialogue import Dialogues
from .era import Era
from .jsonrpc import Envelope, ProtocolError
from .listen import Listeners
from .session import Session, Sessions
from .telemetry import Metrics
from .upstream.backend import Backend, Caller
from .upstream.connection import Connection
from .upstream.errors import UpstreamError

SESSION_HEADER = b"mcp-session-id"


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
        self.catalog = catalogs.build([], naming=config.tool_names, gateway=config.gateway)
        self.catalog_changed = asyncio.Event()  # replaced at each change
        self.dialogues = Dialogues()
        self.listeners = Listeners()

    def rebuild(self) -> None:
        """Make a new catalog from what the backends know; clients are told only if something changed."""
        known = [backend.snapshot for backend in self.backends.values()]
        absent = {name for name, backend in self.backends.items() if not backend.snapshot.available}
        fresh = catalogs.build(
            [item for snapshot in known for item in snapshot.items],
            naming=self.config.tool_names,
            gateway=self.config.gateway,
            absent=absent,
        )
        self.metrics.ready_servers.set(len(known) - len(absent))
        if fresh != self.catalog:
            self.listeners.changed(fresh.changed_since(self.catalog))
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
        self.dialogues.forget(session.id)
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
        caller = Caller(session.id, session.capabilities) if session else Caller(f"principal:{principal}")
        self._request(exchange, envelope, era=era, caller=caller)

    def _request(self, exchange: Exchange, envelope: Envelope, *, era: Era, caller: Caller) -> None:
        assert isinstance(envelope.method, str)  # noqa: S101 - the caller has looked
        id = bytes(envelope.id) if envelope.id is not UNSET else b"null"
        handler = _METHODS[era].get(envelope.method)
        method = envelope.method if handler else "unknown"
        answer = Answer(exchange, metrics=self.metrics, id=id, era=era, method=method)
        try:
            if handler is None:
                raise ProtocolError(jsonrpc.METHOD_NOT_FOUND, f"method {envelope.method[:80]!r} is not served here")
            handler(self, answer, jsonrpc.members(envelope.params), caller)
        except ProtocolError as error:
            answer.fail(error.code, error.message, error.data)

    def _notified(self, envelope: Envelope, session: Session | None) -> None:
        """A notification or a response. Only a legacy client may send one that counts, and only for its own session."""
        if session is None:
            return
        if envelope.method is UNSET:
            self.dialogues.answered(session.id, envelope)
        elif envelope.method == "notifications/cancelled":
            id = jsonrpc.members(envelope.params).get("requestId")
            call = self.dialogues.calls.get((session.id, bytes(id))) if id is not None else None
            if call is not None:
                call.cancel()
        elif envelope.method == "notifications/roots/list_changed":
            for link in self._links(session.id):
                link.notify(envelope.method)

    def _links(self, key: str, capability: str | None = None) -> list[Connection]:
        """The connections to a session's own processes, of those servers that have a capability."""
        having = [b for b in self.backends.values() if capability is None or capability in b.capabilities]
        return [link for backend in having if (link := backend.session_link(key)) is not None]

    # --- methods ----------------------------------------------------------------------------------------------------------

    def _initialize(self, exchange: Exchange, envelope: Envelope, principal: str) -> None:
        if envelope.id is UNSET:
            raise Denied(400, "initialize must be a request with an id")
        try:
            params = jsonrpc.members(envelope.params)
            jsonrpc.members(params.get("capabilities", UNSET))
        except ProtocolError as error:
            exchange.reply(200, jsonrpc.failure(bytes(envelope.id), error.code, error.message), JSON)
            return
        version = eras.negotiate(jsonrpc.text(params.get("protocolVersion", UNSET)))
        capabilities = jsonrpc.one_line(bytes(params.get("capabilities", Raw(b"{}"))))
        token = self.sessions.issue(principal=principal, version=version, now=time.time(), capabilities=capabilities)
        result = jsonrpc.dump(
            {
                "protocolVersion": version,
                "capabilities": self._capabilities("legacy"),
                "serverInfo": eras.server_info(self.config.gateway),
            }
        )
        self.metrics.requests.labels("initialize", "ok").inc()
        exchange.reply(200, jsonrpc.result(bytes(envelope.id), result), [*JSON, (SESSION_HEADER, token.encode())])

    def _capabilities(self, era: Era) -> dict[str, dict[str, bool]]:
        """What works now: tools always, the rest as soon as a server has it."""
        known = {name for backend in self.backends.values() for name in backend.capabilities}
        offered = ["tools", *(name for name in ("prompts", "resources") if name in known)]
        plain = ["completions", *(["logging"] if era == "legacy" else [])]
        found = {name: {"listChanged": True} for name in offered}
        if era == "legacy" and "resources.subscribe" in known:
            found["resources"]["subscribe"] = True
        return found | {name: {} for name in plain if name in known}

    def _ping(self, answer: Answer, params: dict[str, Raw], caller: Caller) -> None:
        answer.succeed(b"{}")

    def _discover(self, answer: Answer, params: dict[str, Raw], caller: Caller) -> None:
        answer.succeed(
            jsonrpc.dump(
                {
                    "resultType": "complete",
                    "supportedVersions": list(eras.MODERN_VERSIONS),
                    "capabilities": self._capabilities("modern"),
                    "ttlMs": 0,
                    "cacheScope": "private",
                    "_meta": {eras.SERVER_INFO_KEY: eras.server_info(self.config.gateway)},
                }
            )
        )

    def _listen(self, answer: Answer, params: dict[str, Raw], caller: Caller) -> None:
        self.listeners.add(answer, params)

    def _list(self, answer: Answer, params: dict[str, Raw], kind: KindName) -> None:
        if "cursor" in params and bytes(params["cursor"]) != b"null":
            raise ProtocolError(jsonrpc.INVALID_PARAMS, "this cursor was not given by this gateway: its lists have one page")
        listing = self.catalog.listings[kind]
        answer.succeed(listing.modern if answer.era == "modern" else listing.legacy)

    def _call_tool(self, answer: Answer, params: dict[str, Raw], caller: Caller) -> None:
        self._by_name(answer, params, caller, self.catalog.listings["tools"], "tool")

    def _get_prompt(self, answer: Answer, params: dict[str, Raw], caller: Caller) -> None:
        self._by_name(answer, params, caller, self.catalog.listings["prompts"], "prompt")

    def _by_name(self, answer: Answer, params: dict[str, Raw], caller: Caller, listing: Listing, what: str) -> None:
        name = jsonrpc.text(params.get("name", UNSET))
        if name is None:
            raise ProtocolError(jsonrpc.INVALID_PARAMS, f"params.name must be a string: the {what}'s name")
        item = listing.items.get(name)
        if item is None:
            self._absent(answer, listing, name, what)
            return
        if name != item.name:
            params = {**params, "name": Raw(jsonrpc.dump(item.name))}
        self._relay(answer, self.backends[item.server], params, caller)

    def _absent(self, answer: Answer, listing: Listing, name: str, what: str) -> None:
        away = self.backends.get(listing.away.get(name, ""))
        if away is None:
            raise ProtocolError(jsonrpc.INVALID_PARAMS, f"unknown {what}: {name[:80]!r}")
        answer.unavailable(away.snapshot.last_error or UpstreamError(away.server.name, "Connecting", "not there yet"))

    def _read_resource(self, answer: Answer, params: dict[str, Raw], caller: Caller) -> None:
        uri = jsonrpc.text(params.get("uri", UNSET))
        if uri is None:
            raise ProtocolError(jsonrpc.INVALID_PARAMS, "params.uri must be a string: the resource's URI")
        backend = self._owner(uri)
        if backend is not None:
            self._relay(answer, backend, params, caller)
        elif uri in self.catalog.listings["resources"].away:
            self._absent(answer, self.catalog.listings["resources"], uri, "resource")
        else:
            code = jsonrpc.INVALID_PARAMS if answer.era == "modern" else jsonrpc.RESOURCE_NOT_FOUND
            raise ProtocolError(code, f"unknown resource: {uri[:200]!r}", data={"uri": uri})

    def _owner(self, uri: str) -> Backend | None:
        """Who may know a URI. One that nobody lists may come from a link: then the only server with resources has it."""
        name = self.catalog.owner(uri)
        if name is not None:
            return self.backends[name]
        having = [backend for backend in self.backends.values() if "resources" in backend.capabilities]
        return having[0] if len(having) == 1 and having[0].snapshot.available else None

    def _complete(self, answer: Answer, params: dict[str, Raw], caller: Caller) -> None:
        ref = jsonrpc.members(params.get("ref", UNSET))
        kind = jsonrpc.text(ref.get("type", UNSET))
        if kind == "ref/prompt":
            listing, member, what = self.catalog.listings["prompts"], "name", "prompt"
        elif kind == "ref/resource":
            listing, member, what = self.catalog.listings["resourceTemplates"], "uri", "resource template"
        else:
            raise ProtocolError(jsonrpc.INVALID_PARAMS, "params.ref.type must be ref/prompt or ref/resource")
        name = jsonrpc.text(ref.get(member, UNSET)) or ""
        item = listing.items.get(name)
        if item is None:
            self._absent(answer, listing, name, what)
            return
        renamed = {**ref, member: Raw(jsonrpc.dump(item.name))}
        self._relay(answer, self.backends[item.server], {**params, "ref": Raw(jsonrpc.dump(renamed))}, caller)

    def _subscribe(self, answer: Answer, params: dict[str, Raw], caller: Caller) -> None:
        self._read_resource(answer, params, caller)  # it goes to the same server, by the same URI

    def _set_level(self, answer: Answer, params: dict[str, Raw], caller: Caller) -> None:
        level = jsonrpc.text(params.get("level", UNSET))
        if level not in eras.LOG_LEVELS:
            raise ProtocolError(jsonrpc.INVALID_PARAMS, f"params.level must be one of {', '.join(eras.LOG_LEVELS)}")
        body = jsonrpc.dump(params)
        self.dialogues.set_level(caller.key, body)
        for link in self._links(caller.key, "logging"):
            link.send("logging/setLevel", body, lambda outcome, value: None)
        answer.succeed(b"{}")

    def _relay(self, answer: Answer, backend: Backend, params: dict[str, Raw], caller: Caller) -> None:
        """Hand a request to a server; the answer comes when it comes."""
        call = Call(answer, backend, caller=caller, talk=self.dialogues, began=time.perf_counter())
        call.start(answer.method, params, gateway=self.config.gateway)


_Handler = Callable[[Router, Answer, dict[str, Raw], Caller], None]


def _lister(kind: KindName) -> _Handler:
    return lambda router, answer, params, caller: router._list(answer, params, kind)


_SHARED: Mapping[str, _Handler] = {
    **{kind.method: _lister(kind.name) for kind in catalogs.KINDS.values()},
    "tools/call": Router._call_tool,
    "prompts/get": Router._get_prompt,
    "resources/read": Router._read_resource,
    "completion/complete": Router._complete,
}
_METHODS: Mapping[Era, Mapping[str, _Handler]] = {
    "legacy": {
        "ping": Router._ping,
        "logging/setLevel": Router._set_level,
        "resources/subscribe": Router._subscribe,
        "resources/unsubscribe": Router._subscribe,
        **_SHARED,
    },
    "modern": {"server/discover": Router._discover, "subscriptions/listen": Router._listen, **_SHARED},
}
