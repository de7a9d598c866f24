"""Request → answer: everything between the HTTP edge and the servers' connections.

One method a protocol method. The router never waits: it answers at once, or hands the request to a connection (calls.py) and the
answer comes from the reply's callback, so that a call costs no task on the fast path.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import UNSET, Raw

from ..access.admission import SESSION_HEADER, Admission, Denied
from ..access.keyring import KeyRing
from ..access.sessions import Session
from ..catalog.model import KINDS, Item, KindName, Listing
from ..catalog.pages import page
from ..config import Config
from ..protocol import headers as mcp_headers
from ..protocol import jsonrpc, request_meta, translation, versions
from ..protocol.errors import Failure, Reason
from ..protocol.jsonrpc import Envelope, ProtocolError
from ..protocol.versions import Era
from ..runtime.deadlines import Deadlines
from ..runtime.metrics import Metrics
from ..streams.listen import Listeners
from ..streams.resource_subscriptions import ResourceSubscriptions
from ..streams.server_messages import ServerMessages
from ..upstream.backend import Backend
from ..upstream.subscription import Subscriber
from . import input_required
from .call import Call, CallServices
from .caller import Request, caller_of, modern_caller
from .input_required import InputRequiredStore
from .responder import JSON, Exchange, Responder
from .startup_gate import StartupGate
from .tasks import EXTENSION, Tasks, require_tasks_extension
from .visible_catalog import VisibleCatalog

_JSON: Final = b"application/json"


class Router:
    """Holds what is in force now: configuration, backends, catalog, tokens."""

    def __init__(self, *, config: Config, keys: KeyRing, metrics: Metrics) -> None:
        self.visible = VisibleCatalog(config)
        self.admission = Admission(config, keys)
        self.metrics = metrics
        self.startup = StartupGate()
        self.server_messages = ServerMessages()
        self.server_messages.on_list_changed = self._own_lists_changed
        self.listeners = Listeners()
        self._services = CallServices(
            gateway=config.gateway,
            calls=self.server_messages.calls,
            input_required=InputRequiredStore(keys),
            deadlines=Deadlines(),
            tasks=Tasks(keys),
            level=self.server_messages.level,
            ask=self.server_messages.ask,
        )
        self._subscriptions = ResourceSubscriptions(self.visible, self.server_messages)

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self.visible.config

    @property
    def backends(self) -> Mapping[str, Backend]:
        """The configured servers, by name."""
        return self.visible.backends

    def rebuild(self) -> None:
        """Something about a server has changed; clients are told only if that changes what they are offered."""
        changed = self.visible.rebuild()
        self.metrics.ready_servers.set(sum(backend.snapshot.available for backend in self.backends.values()))
        self.listeners.changed(changed)
        for capability in changed:
            self.server_messages.tell_all(jsonrpc.notification(f"notifications/{capability}/list_changed"))

    def _own_lists_changed(self, key: str, capability: str) -> None:
        self.visible.own_changed(key)
        self.listeners.changed([capability], key=key)

    def end_session(self, session: Session) -> None:
        """The session's processes are released."""
        self.admission.sessions.end(session)
        self.server_messages.forget(session.id)
        self.visible.forget(session.id)
        self._subscriptions.forget(session.id)
        for backend in self.backends.values():
            backend.end_session(session.id)

    def end_idle_sessions(self) -> None:
        """Sessions that nobody uses any more end as if their clients had said so."""
        for session in self.admission.sessions.over(now=time.time(), busy=self.server_messages.busy()):
            self.end_session(session)

    # --- POST /mcp --------------------------------------------------------------------------------------------------------

    def handle(self, exchange: Exchange) -> None:
        """Answer one POST."""
        try:
            self._handle(exchange)
        except Denied as denied:
            exchange.reply(denied.status, self.admission.refusal(denied), JSON + denied.headers)

    def _handle(self, exchange: Exchange) -> None:
        headers = exchange.headers
        principal = self.admission.admit(headers)
        kind = headers.get(b"content-type", b"")
        if kind != _JSON and kind.split(b";")[0].strip().lower() != _JSON:
            raise Denied(415, "the content type must be application/json")
        accept = headers.get(b"accept", b"*/*")
        if _JSON not in accept and b"*/*" not in accept and b"application/*" not in accept:
            raise Denied(406, "the header Accept must list application/json and text/event-stream")
        id = b"null"
        try:
            envelope = jsonrpc.decode(exchange.body)
            id = b"null" if envelope.id is UNSET else bytes(envelope.id)
            params = jsonrpc.members_or_none(envelope.params)
            meta = request_meta.request_meta_of(params)
            era = versions.classify(envelope, headers, params=params, meta=meta)
        except ProtocolError as error:
            self.metrics.count("invalid", "error")
            body = jsonrpc.failure(id, error.code, error.message, error.data)
            exchange.reply(versions.HTTP_STATUS.get(error.code, 400), body, JSON)
            return
        if envelope.method == "initialize" and era == "legacy":
            self._initialize(exchange, envelope, principal)
            return
        session = self.admission.session(headers, principal) if era == "legacy" else None
        if envelope.id is UNSET or envelope.method is UNSET:
            self._notified(envelope, session)
            exchange.reply(202)
            return
        answer = self._answer(exchange, envelope.method, id, principal, era, session)
        if params is None:
            answer.fail(jsonrpc.INVALID_PARAMS, "params must be an object")
            return
        caller = caller_of(session) if session is not None else modern_caller(principal, meta)
        self._request(Request(answer, params, caller, meta, headers))

    def _answer(
        self, exchange: Exchange, method: str, id: bytes, principal: str, era: Era, session: Session | None = None
    ) -> Responder:
        answer = Responder(
            exchange,
            metrics=self.metrics,
            id=id,
            era=era,
            method=method,
            principal=principal,
            audit=self.admission.audit,
            session=session,
            replay=self.server_messages.replay,
        )
        if method not in _OURS:
            answer.label = "unknown"
        return answer

    def _request(self, request: Request) -> None:
        """Serve it; at first what needs to know all servers waits for them, and so does what would be refused without them."""
        answer = request.answer
        if self.startup.over or answer.method not in _WHOLE:
            try:
                _METHODS[answer.era].get(answer.method, Router._unknown)(self, request)
                return
            except ProtocolError as error:
                if self.startup.over:
                    answer.fail(error.code, error.message, error.data)
                    return
        self.startup.hold(answer, lambda: self._request(request), key=request.caller.key)

    def _unknown(self, request: Request) -> None:
        """A method that is not ours to know passes, if there is no doubt for whom it is."""
        method = request.answer.method
        if len(self.backends) != 1 or method in _OURS:
            raise ProtocolError(jsonrpc.METHOD_NOT_FOUND, f"method {method[:80]!r} is not served here")
        self._relay(request, next(iter(self.backends.values())), request.params)

    def _notified(self, envelope: Envelope, session: Session | None) -> None:
        """A notification or a response. Only a legacy client may send one that counts, and only for its own session."""
        if session is None:
            return
        if envelope.method is UNSET:
            self.server_messages.answered(session.id, envelope)
        elif envelope.method == "notifications/cancelled":
            id = jsonrpc.members(envelope.params).get("requestId")
            call = self.server_messages.calls.get((session.id, bytes(id))) if id is not None else None
            if call is not None:
                call.cancel()
            elif id is not None:
                self.startup.cancel(session.id, bytes(id))
        elif envelope.method == "notifications/roots/list_changed":
            for link in self.visible.own_connections(caller_of(session)):
                link.notify(envelope.method)

    # --- methods ----------------------------------------------------------------------------------------------------------

    def _initialize(self, exchange: Exchange, envelope: Envelope, principal: str) -> None:
        if envelope.id is UNSET:
            raise Denied(400, "initialize must be a request with an id")
        answer = self._answer(exchange, "initialize", bytes(envelope.id), principal, "legacy")
        try:
            params = jsonrpc.members(envelope.params)
            jsonrpc.members(params.get("capabilities", UNSET))
        except ProtocolError as error:
            answer.fail(error.code, error.message)
            return
        version = versions.negotiate(jsonrpc.text(params.get("protocolVersion", UNSET)), exchange.offered)
        capabilities = jsonrpc.one_line(bytes(params.get("capabilities", Raw(b"{}"))))
        if self.admission.sessions.full:
            self.end_idle_sessions()
        token = self.admission.new_session(principal, version, capabilities)

        def introduce() -> None:
            if not self.startup.over:
                self.startup.hold(answer, introduce)
                return
            answer.over("ok")
            result = jsonrpc.result(answer.id, self.visible.initialized(version))
            exchange.reply(200, result, [*JSON, (SESSION_HEADER, token.encode())])

        introduce()

    def _ping(self, request: Request) -> None:
        request.answer.succeed(b"{}")

    def _discover(self, request: Request) -> None:
        request.answer.succeed(self.visible.discovered())

    def _listen(self, request: Request) -> None:
        def watch(uri: str, subscriber: Subscriber) -> Callable[[], None] | None:
            return self._subscriptions.watch(uri, subscriber, request.caller)

        self.listeners.add(request.answer, request.params, key=request.caller.identity, watch=watch)

    def _list(self, request: Request, kind: KindName) -> None:
        cursor = request.params.get("cursor", UNSET)
        text = jsonrpc.text(cursor)
        if text is None and cursor is not UNSET and bytes(cursor) != b"null":
            raise ProtocolError(jsonrpc.INVALID_PARAMS, "params.cursor must be a string")
        listing = self.visible.of(request.caller).listings[kind]
        request.answer.succeed(page(listing, text, modern=request.answer.era == "modern"))

    def _call_tool(self, request: Request) -> None:
        self._by_name(request, self.visible.of(request.caller).listings["tools"], "tool")

    def _get_prompt(self, request: Request) -> None:
        self._by_name(request, self.visible.of(request.caller).listings["prompts"], "prompt")

    def _by_name(self, request: Request, listing: Listing, what: str) -> None:
        params = request.params
        name = jsonrpc.text(params.get("name", UNSET))
        if name is None:
            raise ProtocolError(jsonrpc.INVALID_PARAMS, f"params.name must be a string: the {what}'s name")
        request.answer.name = name
        item = listing.items.get(name)
        if item is None:
            self._absent(request, listing, name, what)
            return
        if item.mirrors and request.answer.era == "modern":
            mcp_headers.check(bytes(item.raw), bytes(params.get("arguments", b"")), request.headers)
        sent = params if name == item.name else {**params, "name": Raw(jsonrpc.dump(item.name))}
        self._relay(request, self.backends[item.server], sent, item=item)

    def _absent(self, request: Request, listing: Listing, name: str, what: str) -> None:
        away = self.backends.get(listing.away.get(name, ""))
        if away is None:
            raise ProtocolError(jsonrpc.INVALID_PARAMS, f"unknown {what}: {name[:80]!r}")
        request.answer.unavailable(away.snapshot.last_error or Failure(away.server.name, Reason.CONNECTING, "not there yet"))

    def _read_resource(self, request: Request) -> None:
        if (backend := self._resource(request)) is not None:
            self._relay(request, backend, request.params)

    def _resource(self, request: Request) -> Backend | None:
        """Who has the URI that a request names; None: a server that is away, which has been said. Raises: ProtocolError."""
        uri = jsonrpc.text(request.params.get("uri", UNSET))
        if uri is None:
            raise ProtocolError(jsonrpc.INVALID_PARAMS, "params.uri must be a string: the resource's URI")
        request.answer.name = uri
        if (backend := self.visible.owner(uri, request.caller)) is not None:
            return backend
        listing = self.visible.of(request.caller).listings["resources"]
        if uri not in listing.away:
            code = jsonrpc.INVALID_PARAMS if request.answer.era == "modern" else jsonrpc.RESOURCE_NOT_FOUND
            raise ProtocolError(code, f"unknown resource: {uri[:200]!r}", data={"uri": uri})
        self._absent(request, listing, uri, "resource")
        return None

    def _task(self, request: Request) -> None:
        """Tasks extension: the task's name says whose it is."""
        if not any(EXTENSION in backend.extensions for backend in self.backends.values()):
            raise ProtocolError(jsonrpc.METHOD_NOT_FOUND, "no server here has the extension for tasks")
        require_tasks_extension(request.caller.capabilities)
        name = jsonrpc.text(request.params.get("taskId", UNSET))
        if name is None:
            raise ProtocolError(jsonrpc.INVALID_PARAMS, "params.taskId must be a string: the task's id")
        server, id = self._services.tasks.find(name, principal=request.caller.principal)
        backend = self.backends.get(server)
        if backend is None:
            raise ProtocolError(jsonrpc.INVALID_PARAMS, f"unknown task: its server {server!r} is not here any more")
        self._relay(request, backend, {**request.params, "taskId": Raw(jsonrpc.dump(id))}, task=name)

    def _complete(self, request: Request) -> None:
        ref = jsonrpc.members(request.params.get("ref", UNSET))
        kind = jsonrpc.text(ref.get("type", UNSET))
        if kind == "ref/prompt":
            listing, member, what = self.visible.of(request.caller).listings["prompts"], "name", "prompt"
        elif kind == "ref/resource":
            listing, member, what = self.visible.of(request.caller).listings["resourceTemplates"], "uri", "resource template"
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
        if level not in request_meta.LOG_LEVELS:
            raise ProtocolError(jsonrpc.INVALID_PARAMS, f"params.level must be one of {', '.join(request_meta.LOG_LEVELS)}")
        body = jsonrpc.dump(request.params)
        self.server_messages.set_level(request.caller.key, body)
        for link in self.visible.own_connections(request.caller, "logging"):
            link.set_level(body)
        request.answer.succeed(b"{}")

    # --- resources that are watched ---------------------------------------------------------------------------------------

    def _subscribe(self, request: Request) -> None:
        """A legacy client's: its own process is told, or ours is told once for everybody."""
        backend = self._resource(request)
        if backend is not None and backend.era == "legacy" and backend.snapshot.isolation in ("Session", "Principal"):
            self._relay(request, backend, request.params)
        elif backend is not None:
            wanted = request.answer.method == "resources/subscribe"
            self._subscriptions.tell(request.answer.name, backend, request.caller, wanted=wanted)
            request.answer.succeed(b"{}")

    # --- to a server ------------------------------------------------------------------------------------------------------

    def _relay(
        self, request: Request, backend: Backend, params: dict[str, Raw], *, item: Item | None = None, task: str = ""
    ) -> None:
        """Hand a request to a server; the answer comes when it comes."""
        binding = ""
        if request.answer.era == "modern" and backend.era == "legacy" and request.answer.method in translation.MULTI_ROUND:
            binding = input_required.binding(
                principal=request.caller.principal, method=request.answer.method, params=request.params
            )
            state = request.params.get("requestState", UNSET)
            if state is not UNSET:
                parked = self._services.input_required.take(jsonrpc.text(state) or "", binding)
                parked.resume(request.answer, request.params)
                return
        if backend.snapshot.isolation == "Principal":
            self.server_messages.uses(request.caller.key, request.caller.identity)
        call = Call(request, backend, services=self._services, item=item, task=task)
        call.start(params, binding=binding)


_Handler = Callable[[Router, Request], None]


def _lister(kind: KindName) -> _Handler:
    return lambda router, request: router._list(request, kind)


_SHARED: Mapping[str, _Handler] = {
    **{kind.method: _lister(kind.name) for kind in KINDS.values()},
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
# What is answered from all servers at once. (`initialize` is, too.)
_WHOLE = frozenset({"server/discover", "subscriptions/listen", *(kind.method for kind in KINDS.values())})
# What one era has and the other has not is unknown there, not somebody else's.
_OURS = frozenset({"initialize", *_METHODS["legacy"], *_METHODS["modern"]})
