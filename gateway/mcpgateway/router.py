"""Request → answer: everything between the HTTP edge and the servers' connections.

One method a protocol method. The router never waits: it answers at once, or hands the request to a connection (calls.py) and the
answer comes from the reply's callback, so that a call costs no task on the fast path.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from msgspec import UNSET, Raw

from . import catalog as catalogs
from . import era as eras
from . import jsonrpc, paramheaders, parking
from .answer import JSON, Answer, Exchange, Headers
from .auth import TokenTable, host_allowed, joined, origin_allowed
from .calls import Call, Desk
from .catalog import Item, KindName, Listing, Offer
from .config import Config
from .deadlines import Deadlines
from .dialogue import Dialogues
from .era import Era
from .jsonrpc import Envelope, ProtocolError
from .listen import Listeners
from .parking import Parking
from .session import KeyRing, Session, Sessions
from .tasks import EXTENSION, Tasks, insist
from .telemetry import Metrics
from .upstream.backend import Backend, Caller
from .upstream.connection import Connection
from .upstream.errors import UpstreamError
from .upstream.subscription import Subscriber, Subscription

SESSION_HEADER = b"mcp-session-id"
_MAX_OWN_CATALOGS = 10_000


class Denied(Exception):
    """An HTTP-level refusal, before any JSON-RPC."""

    def __init__(self, status: int, message: str, headers: Headers | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers or []


@dataclass(slots=True)  # not frozen: that would cost a microsecond each
class Request:
    """One request that may be served."""

    answer: Answer
    params: dict[str, Raw]
    caller: Caller
    principal: str
    headers: Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class _SessionStream:
    """A legacy session that wants to know of a resource."""

    key: str
    dialogues: Dialogues

    def updated(self, params: Raw) -> None:
        self.dialogues.post(self.key, jsonrpc.notification("notifications/resources/updated", params))


class Router:
    """Holds what is in force now: configuration, backends, catalog, tokens."""

    def __init__(self, *, config: Config, tokens: TokenTable, keys: KeyRing, metrics: Metrics) -> None:
        self.config = config
        self.tokens = tokens
        self.sessions = Sessions(keys)
        self.metrics = metrics
        self.backends: dict[str, Backend] = {}
        self.catalog = catalogs.build([], naming=config.tool_names, gateway=config.gateway)
        self._own: dict[str, catalogs.Catalog | None] = {}  # by the key of a process that says that its lists change; None: stale
        self.dialogues = Dialogues()
        self.dialogues.on_list_changed = self._own_lists_changed
        self.listeners = Listeners()
        self._desk = Desk(
            gateway=config.gateway,
            calls=self.dialogues.calls,
            parking=Parking(keys),
            deadlines=Deadlines(),
            tasks=Tasks(keys),
            level=self.dialogues.level,
            ask=self.dialogues.ask,
        )
        self._subscribing: set[asyncio.Task[None]] = set()

    def rebuild(self) -> None:
        """Make a new catalog from what the backends know; clients are told only if something changed."""
        fresh = self._merged(lambda backend: backend.snapshot.offer)
        self._own = dict.fromkeys(self._own)  # stale: made anew when they are asked for
        self.metrics.ready_servers.set(sum(backend.snapshot.available for backend in self.backends.values()))
        if fresh != self.catalog:
            changed = fresh.changed_since(self.catalog)
            self.catalog = fresh
            self.listeners.changed(changed)
            for capability in changed:
                self.dialogues.tell_all(jsonrpc.notification(f"notifications/{capability}/list_changed"))

    def _own_lists_changed(self, key: str, capability: str) -> None:
        self._own[key] = None
        if len(self._own) > _MAX_OWN_CATALOGS:
            del self._own[next(iter(self._own))]
        self.listeners.changed([capability], key=key)

    def _catalog(self, caller: Caller) -> catalogs.Catalog:
        """What a caller is offered: everybody's lists, but of processes of its own that have said so those."""
        if not self._own:
            return self.catalog
        key = caller.key if caller.key in self._own else caller.identity
        if key not in self._own:
            return self.catalog
        known = self._own[key]
        if known is None:
            known = self._own[key] = self._merged(partial(_own_offer, caller))
        return known

    def _merged(self, offer: Callable[[Backend], Offer]) -> catalogs.Catalog:
        """The catalog of all servers, of each of which `offer` says what it offers."""
        return catalogs.build(
            [catalogs.shaped(offer(backend), backend.server.tools) for backend in self.backends.values()],
            naming=self.config.tool_names,
            gateway=self.config.gateway,
            absent={name for name, backend in self.backends.items() if not backend.snapshot.available},
        )

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
        self._own.pop(session.id, None)
        for backend in self.backends.values():
            backend.end_session(session.id)
            backend.subscription.forget(_SessionStream(session.id, self.dialogues))

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
            self.metrics.count("invalid", "error")
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
        self._request(exchange, envelope, era, session, principal, headers)

    def _request(
        self,
        exchange: Exchange,
        envelope: Envelope,
        era: Era,
        session: Session | None,
        principal: str,
        headers: Mapping[bytes, bytes],
    ) -> None:
        assert isinstance(envelope.method, str)  # noqa: S101 - the caller has looked
        id = bytes(envelope.id) if envelope.id is not UNSET else b"null"
        handler = _METHODS[era].get(envelope.method)
        known = handler is not None or envelope.method in _OTHER_ERAS
        answer = Answer(
            exchange,
            metrics=self.metrics,
            id=id,
            era=era,
            method=envelope.method,
            session=session,
            replay=self.dialogues.replay,
        )
        answer.label = envelope.method if known else "unknown"
        try:
            params = jsonrpc.members(envelope.params)
            request = Request(answer, params, _caller(session, principal, params), principal, headers)
            if handler is not None:
                handler(self, request)
            else:
                self._unknown(request)
        except ProtocolError as error:
            answer.fail(error.code, error.message, error.data)

    def _unknown(self, request: Request) -> None:
        """A method that is not ours to know passes, if there is no doubt for whom it is."""
        method = request.answer.method
        if len(self.backends) != 1 or method in _OTHER_ERAS:
            raise ProtocolError(jsonrpc.METHOD_NOT_FOUND, f"method {method[:80]!r} is not served here")
        self._relay(request, next(iter(self.backends.values())), request.params)

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
            for link in self._own_connections(_caller(session, session.principal, {})):
                link.notify(envelope.method)

    def _own_connections(self, caller: Caller, capability: str | None = None) -> list[Connection]:
        """The connections to a caller's own processes, of those servers that have a capability."""
        having = [b for b in self.backends.values() if capability is None or capability in b.capabilities]
        return [link for backend in having if (link := backend.own_connection(caller)) is not None]

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
        version = eras.negotiate(jsonrpc.text(params.get("protocolVersion", UNSET)), exchange.offered)
        capabilities = jsonrpc.one_line(bytes(params.get("capabilities", Raw(b"{}"))))
        token = self.sessions.issue(principal=principal, version=version, now=time.time(), capabilities=capabilities)
        result = jsonrpc.dump(
            {
                "protocolVersion": version,
                "capabilities": self._capabilities("legacy"),
                "serverInfo": eras.server_info(self.config.gateway),
                **self._instructions(),
            }
        )
        self.metrics.count("initialize", "ok")
        exchange.reply(200, jsonrpc.result(bytes(envelope.id), result), [*JSON, (SESSION_HEADER, token.encode())])

    def _capabilities(self, era: Era) -> dict[str, dict[str, Any]]:
        """What works now: tools always, the rest as soon as a server has it."""
        known = {name for backend in self.backends.values() for name in backend.capabilities}
        offered = ["tools", *(name for name in ("prompts", "resources") if name in known)]
        plain = ["completions", *(["logging"] if era == "legacy" else [])]
        found: dict[str, dict[str, Any]] = {name: {"listChanged": True} for name in offered}
        if "resources.subscribe" in known:
            found["resources"]["subscribe"] = True
        extensions: dict[str, Any] = {}
        for backend in self.backends.values():
            extensions = {**backend.extensions, **extensions}
        return found | {name: {} for name in plain if name in known} | ({"extensions": extensions} if extensions else {})

    def _instructions(self) -> dict[str, str]:
        """What the servers say of their use, each under its name where there are several."""
        said = {backend.server.name: backend.instructions for backend in self.backends.values() if backend.instructions}
        if not said:
            return {}
        alone = len(self.backends) == 1
        return {"instructions": "\n\n".join(words if alone else f"{name}: {words}" for name, words in said.items())}

    def _ping(self, request: Request) -> None:
        request.answer.succeed(b"{}")

    def _discover(self, request: Request) -> None:
        request.answer.succeed(
            jsonrpc.dump(
                {
                    "resultType": "complete",
                    "supportedVersions": list(eras.MODERN_VERSIONS),
                    "capabilities": self._capabilities("modern"),
                    "ttlMs": 0,
                    "cacheScope": "private",
                    **self._instructions(),
                    "_meta": {eras.SERVER_INFO_KEY: eras.server_info(self.config.gateway)},
                }
            )
        )

    def _listen(self, request: Request) -> None:
        def watch(uri: str, subscriber: Subscriber) -> Callable[[], None] | None:
            return self._watch(uri, subscriber, request.caller)

        self.listeners.add(request.answer, request.params, key=request.caller.identity, watch=watch)

    def _list(self, request: Request, kind: KindName) -> None:
        cursor = request.params.get("cursor", UNSET)
        text = jsonrpc.text(cursor)
        if text is None and cursor is not UNSET and bytes(cursor) != b"null":
            raise ProtocolError(jsonrpc.INVALID_PARAMS, "params.cursor must be a string")
        listing = self._catalog(request.caller).listings[kind]
        request.answer.succeed(listing.page(text, modern=request.answer.era == "modern"))

    def _call_tool(self, request: Request) -> None:
        self._by_name(request, self._catalog(request.caller).listings["tools"], "tool")

    def _get_prompt(self, request: Request) -> None:
        self._by_name(request, self._catalog(request.caller).listings["prompts"], "prompt")

    def _by_name(self, request: Request, listing: Listing, what: str) -> None:
        params = request.params
        name = jsonrpc.text(params.get("name", UNSET))
        if name is None:
            raise ProtocolError(jsonrpc.INVALID_PARAMS, f"params.name must be a string: the {what}'s name")
        item = listing.items.get(name)
        if item is None:
            self._absent(request, listing, name, what)
            return
        if request.answer.era == "modern" and item.kind == "tools":
            paramheaders.check(bytes(item.raw), bytes(params.get("arguments", b"")), request.headers)
        sent = params if name == item.name else {**params, "name": Raw(jsonrpc.dump(item.name))}
        self._relay(request, self.backends[item.server], sent, item=item)

    def _absent(self, request: Request, listing: Listing, name: str, what: str) -> None:
        away = self.backends.get(listing.away.get(name, ""))
        if away is None:
            raise ProtocolError(jsonrpc.INVALID_PARAMS, f"unknown {what}: {name[:80]!r}")
        request.answer.unavailable(away.snapshot.last_error or UpstreamError(away.server.name, "Connecting", "not there yet"))

    def _read_resource(self, request: Request) -> None:
        uri, backend = self._resource(request)
        if backend is not None:
            self._relay(request, backend, request.params)
        else:
            self._absent(request, self._catalog(request.caller).listings["resources"], uri, "resource")

    def _resource(self, request: Request) -> tuple[str, Backend | None]:
        """The URI that a request names, and who has it; None: a server that is away. Raises: ProtocolError for an unknown one."""
        uri = jsonrpc.text(request.params.get("uri", UNSET))
        if uri is None:
            raise ProtocolError(jsonrpc.INVALID_PARAMS, "params.uri must be a string: the resource's URI")
        backend = self._owner(uri, request.caller)
        if backend is None and uri not in self._catalog(request.caller).listings["resources"].away:
            code = jsonrpc.INVALID_PARAMS if request.answer.era == "modern" else jsonrpc.RESOURCE_NOT_FOUND
            raise ProtocolError(code, f"unknown resource: {uri[:200]!r}", data={"uri": uri})
        return uri, backend

    def _owner(self, uri: str, caller: Caller) -> Backend | None:
        """Who may know a URI. One that nobody lists may come from a link: then the only server with resources has it."""
        name = self._catalog(caller).owner(uri)
        if name is not None:
            return self.backends[name]
        having = [backend for backend in self.backends.values() if "resources" in backend.capabilities]
        return having[0] if len(having) == 1 and having[0].snapshot.available else None

    def _task(self, request: Request) -> None:
        """Tasks extension: the task's name says whose it is."""
        if not any(EXTENSION in backend.extensions for backend in self.backends.values()):
            raise ProtocolError(jsonrpc.METHOD_NOT_FOUND, "no server here has the extension for tasks")
        insist(request.caller.capabilities)
        name = jsonrpc.text(request.params.get("taskId", UNSET))
        if name is None:
            raise ProtocolError(jsonrpc.INVALID_PARAMS, "params.taskId must be a string: the task's id")
        server, id = self._desk.tasks.find(name, principal=request.principal)
        backend = self.backends.get(server)
        if backend is None:
            raise ProtocolError(jsonrpc.INVALID_PARAMS, f"unknown task: its server {server!r} is not here any more")
        self._relay(request, backend, {**request.params, "taskId": Raw(jsonrpc.dump(id))}, task=name)

    def _complete(self, request: Request) -> None:
        ref = jsonrpc.members(request.params.get("ref", UNSET))
        kind = jsonrpc.text(ref.get("type", UNSET))
        if kind == "ref/prompt":
            listing, member, what = self._catalog(request.caller).listings["prompts"], "name", "prompt"
        elif kind == "ref/resource":
            listing, member, what = self._catalog(request.caller).listings["resourceTemplates"], "uri", "resource template"
        else:
            raise ProtocolError(jsonrpc.INVALID_PARAMS, "params.ref.type must be ref/prompt or ref/resource")
        name = jsonrpc.text(ref.get(member, UNSET)) or ""
        item = listing.items.get(name)
        if item is None:
            self._absent(request, listing, name, what)
            return
        renamed = {**ref, member: Raw(jsonrpc.dump(item.name))}
        self._relay(request, self.backends[item.server], {**request.params, "ref": Raw(jsonrpc.dump(renamed))})

    def _set_level(self, request: Request) -> None:
        level = jsonrpc.text(request.params.get("level", UNSET))
        if level not in eras.LOG_LEVELS:
            raise ProtocolError(jsonrpc.INVALID_PARAMS, f"params.level must be one of {', '.join(eras.LOG_LEVELS)}")
        body = jsonrpc.dump(request.params)
        self.dialogues.set_level(request.caller.key, body)
        for link in self._own_connections(request.caller, "logging"):
            link.set_level(body)
        request.answer.succeed(b"{}")

    # --- resources that are watched ---------------------------------------------------------------------------------------

    def _subscribe(self, request: Request) -> None:
        """A legacy client's: its own process is told, or ours is told once for everybody."""
        uri, backend = self._resource(request)
        if backend is None:
            self._absent(request, self._catalog(request.caller).listings["resources"], uri, "resource")
        elif backend.era == "legacy" and backend.snapshot.isolation in ("Session", "Principal"):
            self._relay(request, backend, request.params)
        elif "resources.subscribe" not in backend.capabilities:
            raise ProtocolError(jsonrpc.METHOD_NOT_FOUND, f"server {backend.server.name!r} does not tell of changed resources")
        else:
            subscriber = _SessionStream(request.caller.key, self.dialogues)
            change = Subscription.add if request.answer.method == "resources/subscribe" else Subscription.discard
            self._with_subscription(backend, request.caller, lambda known: change(known, uri, subscriber))
            request.answer.succeed(b"{}")

    def _watch(self, uri: str, subscriber: Subscriber, caller: Caller) -> Callable[[], None] | None:
        """Let a subscriber hear of a resource; the answer undoes it. None: nobody has it, or tells of it."""
        backend = self._owner(uri, caller)
        if backend is None or "resources.subscribe" not in backend.capabilities:
            return None
        self._with_subscription(backend, caller, lambda known: known.add(uri, subscriber))
        return lambda: self._with_subscription(backend, caller, lambda known: known.discard(uri, subscriber))

    def _with_subscription(self, backend: Backend, caller: Caller, change: Callable[[Subscription], None]) -> None:
        """Change what a caller's process, or everybody's, is asked to tell of; a process of its own is started for it."""
        if backend.snapshot.isolation == "Shared":
            change(backend.subscription)
            return

        async def later() -> None:
            try:
                connection = await backend.connection(caller)
            except UpstreamError:
                return  # the server is away: its own state says so
            change(backend.subscription_of(connection))

        task = asyncio.get_running_loop().create_task(later())
        self._subscribing.add(task)
        task.add_done_callback(self._subscribing.discard)

    # --- to a server ------------------------------------------------------------------------------------------------------

    def _relay(
        self, request: Request, backend: Backend, params: dict[str, Raw], *, item: Item | None = None, task: str = ""
    ) -> None:
        """Hand a request to a server; the answer comes when it comes."""
        binding = ""
        if request.answer.era == "modern" and backend.era == "legacy" and request.answer.method in eras.MULTI_ROUND:
            binding = parking.binding(principal=request.principal, method=request.answer.method, params=request.params)
            state = request.params.get("requestState", UNSET)
            if state is not UNSET:
                parked = self._desk.parking.take(jsonrpc.text(state) or "", binding)
                parked.resume(request.answer, request.params)
                return
        if backend.snapshot.isolation == "Principal":
            self.dialogues.uses(request.caller.key, request.caller.identity)
        call = Call(request.answer, backend, caller=request.caller, desk=self._desk, item=item, task=task)
        call.start(params, binding=binding)


def _own_offer(caller: Caller, backend: Backend) -> Offer:
    """What a caller's own process offers, if it has said that its lists change; nobody else may keep those."""
    link = backend.own_connection(caller)
    return backend.snapshot.offer if link is None or link.offer is None else Offer(link.offer.items)


def _caller(session: Session | None, principal: str, params: dict[str, Raw]) -> Caller:
    capabilities = session.capabilities if session else eras.client_capabilities(params)
    identity = _identity(principal, capabilities)
    return Caller(session.id if session else identity, principal, identity, capabilities)


@lru_cache(maxsize=1024)
def _identity(principal: str, capabilities: bytes) -> str:
    """A principal and what its client can be asked; clients say the same of themselves with every request."""
    mark = hashlib.sha256(eras.asking(capabilities)).hexdigest()[:12]
    return f"principal:{principal}:{mark}"


_Handler = Callable[[Router, Request], None]


def _lister(kind: KindName) -> _Handler:
    return lambda router, request: router._list(request, kind)


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
    "modern": {
        "server/discover": Router._discover,
        "subscriptions/listen": Router._listen,
        **dict.fromkeys(("tasks/get", "tasks/update", "tasks/cancel"), Router._task),
        **_SHARED,
    },
}
# What one era has and the other has not is unknown there, not somebody else's.
_OTHER_ERAS = frozenset({"initialize", *_METHODS["legacy"], *_METHODS["modern"]})
