"""Request → answer: everything between the HTTP edge and the servers' connections.

The router admits, decodes and dispatches by method. It never waits: it answers at once, or hands the request to a connection
(call.py) and the answer comes from the reply's callback, so that a call costs no task on the fast path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from msgspec import UNSET, Raw

from ..access.admission import SESSION_HEADER, Admission, Denied
from ..access.keyring import KeyRing
from ..access.sessions import Session
from ..catalog.model import KINDS, KindName
from ..catalog.pages import page
from ..config import Config
from ..protocol import headers as mcp_headers
from ..protocol import jsonrpc, request_meta, versions
from ..protocol.exchange import JSON, Exchange
from ..protocol.jsonrpc import BatchError, Envelope, ProtocolError
from ..protocol.versions import Era
from ..runtime.boundaries import Boundaries
from ..runtime.deadlines import Deadlines
from ..runtime.metrics import Metrics
from ..streams.listen import Listeners
from ..streams.log_levels import LogLevels
from ..streams.process_users import ProcessUsers
from ..streams.questions import OpenQuestions
from ..streams.replay import Replay
from ..streams.resource_subscriptions import ResourceSubscriptions
from ..streams.server_messages import ServerMessages
from ..streams.session_streams import SessionStreams
from ..upstream.backend import Backend
from ..upstream.connection import Connection
from ..upstream.subscription import Subscriber
from . import batch
from .active_calls import ActiveCalls
from .call import CallServices
from .call_limits import CallLimits, TooManyCallsError
from .caller import Request, caller_of, modern_caller
from .client_messages import ClientMessages
from .input_required import InputRequiredStore
from .lookup import AwayError, Lookup
from .relay import Relay
from .responder import Responder
from .session_state import SessionState
from .startup_gate import StartupGate
from .tasks import Tasks
from .visible_catalog import VisibleCatalog

_JSON: Final = b"application/json"


class Router:
    """Answers one POST after another; what it dispatches to is made once, here."""

    def __init__(self, *, config: Config, keys: KeyRing, metrics: Metrics) -> None:
        self.metrics = metrics
        self.boundaries = Boundaries(metrics.count_internal_error)
        self.visible = VisibleCatalog(config)
        self.admission = Admission(config, keys)
        self.startup = StartupGate(self.boundaries)
        self.listeners = Listeners()
        self.streams = SessionStreams(Replay())
        calls, questions, users = ActiveCalls(), OpenQuestions(), ProcessUsers()
        self._levels = LogLevels()
        self.server_messages = ServerMessages(
            streams=self.streams,
            listeners=self.listeners,
            questions=questions,
            levels=self._levels,
            users=users,
            on_list_changed=self._own_lists_changed,
        )
        tasks = Tasks(keys)
        services = CallServices(
            gateway=config.gateway,
            calls=calls,
            limits=CallLimits(on_refused=metrics.count_refused_call),
            input_required=InputRequiredStore(keys),
            deadlines=Deadlines(self.boundaries),
            boundaries=self.boundaries,
            tasks=tasks,
            given=self.visible.given,
            level=self._levels.get,
            ask=self.server_messages.ask,
            withdraw=questions.end_call,
        )
        self._relay = Relay(services, users)
        self._lookup = Lookup(self.visible, tasks)
        self._client_messages = ClientMessages(calls=calls, questions=questions, startup=self.startup, visible=self.visible)
        self._subscriptions = ResourceSubscriptions(self.visible, self.streams)
        self.session_state = SessionState(
            self.admission.sessions,
            stores=[
                self.startup,
                calls,
                questions,
                self._subscriptions,  # before the processes that it asks are released
                self.streams,
                self._levels,
                users,
                self.visible,
                self.visible.given,
            ],
            busy=lambda: self.streams.reading() | calls.sessions(),
        )

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self.visible.config

    @property
    def backends(self) -> Mapping[str, Backend]:
        """The configured servers, by name."""
        return self.visible.backends

    # --- changes of lists -------------------------------------------------------------------------------------------------

    def rebuild(self) -> None:
        """Something about a server has changed; clients are told only if that changes what they are offered."""
        changed = self.visible.rebuild()
        self.metrics.ready_servers.set(sum(backend.snapshot.available for backend in self.backends.values()))
        self.listeners.changed(changed)
        for capability in changed:
            self.streams.post_all(jsonrpc.notification(f"notifications/{capability}/list_changed"))

    def _own_lists_changed(self, connection: Connection, capability: str) -> None:
        self.visible.own_changed(connection)
        self.listeners.changed([capability], key=connection.key)

    # --- POST /mcp --------------------------------------------------------------------------------------------------------

    def handle(self, exchange: Exchange) -> None:
        """Answer one POST."""
        try:
            self._handle(exchange)
        except Denied as denied:
            exchange.reply(denied.status, self.admission.refusal(denied), JSON + denied.headers)
        except Exception as error:
            self.boundaries.report("request", error)
            exchange.reply(500, jsonrpc.failure(b"null", jsonrpc.INTERNAL_ERROR, "the request could not be served"), JSON)

    def _handle(self, exchange: Exchange) -> None:
        headers = exchange.headers
        principal = self.admission.admit(headers)
        if headers.get(b"content-type") != _JSON or _JSON not in headers.get(b"accept", b""):
            _check_types(headers)
        id = b"null"
        try:
            envelope = jsonrpc.decode(exchange.body)
            id = b"null" if envelope.id is UNSET else bytes(envelope.id)
            if len(exchange.body) > request_meta.MAX_BESIDE:
                request_meta.check_params(envelope.params)
            params = jsonrpc.members_or_none(envelope.params)
            meta = request_meta.request_meta_of(params)
            era = versions.classify(envelope, headers, params=params, meta=meta)
            session = None
            if era == "legacy" and envelope.method != "initialize":
                session = self.admission.session(headers, principal)
            if envelope.id is UNSET or envelope.method is UNSET:
                self._accept(envelope, params, session)
                exchange.reply(202)
                return
        except BatchError as error:
            self._batch(exchange, principal, error)
            return
        except ProtocolError as error:
            self._invalid(exchange, jsonrpc.legible_id(exchange.body) if id == b"null" else id, error)
            return
        answer = self._responder(exchange, envelope.method, id, params, principal, era, session)
        if params is None:
            answer.fail(jsonrpc.INVALID_PARAMS, "params must be an object")
            return
        try:
            caller = caller_of(session) if session is not None else modern_caller(principal, meta)
        except ProtocolError as error:  # capabilities that cannot be read
            answer.fail(error.code, error.message)
            return
        self._attempt(Request(answer, params, caller, meta, headers))

    def _invalid(self, exchange: Exchange, id: bytes, error: ProtocolError) -> None:
        """Answer a message that is no valid request."""
        self.metrics.count("invalid", "error")
        body = jsonrpc.failure(id, error.code, error.message, error.data)
        exchange.reply(versions.HTTP_STATUS.get(error.code, 400), body, JSON)

    def _batch(self, exchange: Exchange, principal: str, error: ProtocolError) -> None:
        """Several messages, in a session whose version has batches. Raises: Denied for a session that is not valid."""
        headers = exchange.headers
        version = headers.get(b"mcp-protocol-version", versions.WITH_BATCHES.encode()).decode("latin-1")
        if SESSION_HEADER in headers and version == self.admission.session(headers, principal).version == versions.WITH_BATCHES:
            try:
                batch.serve(exchange, self.handle)
            except ProtocolError as refused:
                error = refused
            else:
                return
        self._invalid(exchange, b"null", error)

    def _accept(self, envelope: Envelope, params: Mapping[str, Raw] | None, session: Session | None) -> None:
        """A notification or a response. Raises: ProtocolError, Denied."""
        if envelope.method == "initialize":
            raise Denied(400, "initialize must be a request with an id")
        if params is None:
            raise ProtocolError(jsonrpc.INVALID_PARAMS, "params must be an object")
        if session is not None:  # only a legacy client may send one that counts
            self._client_messages.take(envelope, session)

    def _responder(
        self,
        exchange: Exchange,
        method: str,
        id: bytes,
        params: Mapping[str, Raw] | None,
        principal: str,
        era: Era,
        session: Session | None,
    ) -> Responder:
        member = _NAMED_BY.get(method)
        return Responder(
            exchange,
            metrics=self.metrics,
            id=id,
            era=era,
            method=method,
            label=method if method in _OURS else "unknown",  # what a client makes up must not become a label
            name=(jsonrpc.text(params.get(member, UNSET)) or "") if member is not None and params is not None else "",
            principal=principal,
            audit=self.admission.audit,
            session=session,
            replay=self.streams.replay,
        )

    def _attempt(self, request: Request) -> None:
        """Serve a request; until all servers have answered, what needs them waits, and so does what would be refused."""
        answer = request.answer
        if not self.startup.over and answer.method in _WHOLE:
            self._hold(request)
            return
        try:
            _METHODS[answer.era].get(answer.method, Router._unknown)(self, request)
        except ProtocolError as error:
            if self.startup.over:
                answer.fail(error.code, error.message, error.data)
            else:
                self._hold(request)
        except AwayError as away:
            answer.unavailable(away.failure)
        except TooManyCallsError as refused:
            answer.fail(jsonrpc.INTERNAL_ERROR, str(refused), refused.data())
        except Denied as denied:
            answer.exchange.reply(denied.status, self.admission.refusal(denied), JSON + denied.headers)
        except Exception as error:
            self.boundaries.report("request", error, method=answer.method[:80])
            answer.fail(jsonrpc.INTERNAL_ERROR, "the request could not be served")

    def _hold(self, request: Request) -> None:
        self.startup.hold(request.answer, lambda: self._attempt(request), key=request.caller.key)

    def _unknown(self, request: Request) -> None:
        """A method that no module here knows passes, if there is no doubt for which server it is."""
        method = request.answer.method
        if len(self.backends) != 1 or method in _OURS:
            raise ProtocolError(jsonrpc.METHOD_NOT_FOUND, f"method {method[:80]!r} is not served here")
        self._relay.send(request, next(iter(self.backends.values())), request.params)

    # --- methods that the gateway answers ---------------------------------------------------------------------------------

    def _initialize(self, request: Request) -> None:
        params, answer = request.params, request.answer
        jsonrpc.members(params.get("capabilities", UNSET))
        version = versions.negotiate(jsonrpc.text(params.get("protocolVersion", UNSET)), answer.exchange.offered)
        capabilities = jsonrpc.one_line(bytes(params.get("capabilities", Raw(b"{}"))))
        if self.admission.sessions.full:
            self.session_state.end_idle()
        token = self.admission.new_session(request.caller.principal, version, capabilities)
        answer.introduce(self.visible.initialized(version), [(SESSION_HEADER, token.encode())])

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

    def _set_level(self, request: Request) -> None:
        level = jsonrpc.text(request.params.get("level", UNSET))
        if level not in request_meta.LOG_LEVELS:
            raise ProtocolError(jsonrpc.INVALID_PARAMS, f"params.level must be one of {', '.join(request_meta.LOG_LEVELS)}")
        body = jsonrpc.dump({"level": level})
        self._levels.set(request.caller.key, body)
        for connection in self.visible.own_connections(request.caller, "logging"):
            connection.set_level(body)
        request.answer.succeed(b"{}")

    def _subscribe(self, request: Request) -> None:
        """A legacy client's: its own process is told, or the shared one once for all clients."""
        backend = self._lookup.resource(request)
        if backend.era == "legacy" and backend.snapshot.isolation in ("Session", "Principal"):
            self._relay.send(request, backend, request.params)
        else:
            wanted = request.answer.method == "resources/subscribe"
            self._subscriptions.set(request.answer.name, backend, request.caller, wanted=wanted)
            request.answer.succeed(b"{}")

    # --- methods that a server answers ------------------------------------------------------------------------------------

    def _call_tool(self, request: Request) -> None:
        item = self._lookup.named(request, "tools")
        if item.mirrors and request.answer.era == "modern":
            mcp_headers.check(bytes(item.raw), bytes(request.params.get("arguments", b"")), request.headers)
        self._relay.send(request, self.backends[item.server], _with_name(request, item.name), item=item)

    def _get_prompt(self, request: Request) -> None:
        item = self._lookup.named(request, "prompts")
        self._relay.send(request, self.backends[item.server], _with_name(request, item.name), item=item)

    def _read_resource(self, request: Request) -> None:
        self._relay.send(request, self._lookup.resource(request), request.params)

    def _complete(self, request: Request) -> None:
        backend, params = self._lookup.completion(request)
        self._relay.send(request, backend, params)

    def _task(self, request: Request) -> None:
        """Tasks extension: the task's name says whose it is."""
        backend, id, name = self._lookup.task(request)
        self._relay.send(request, backend, {**request.params, "taskId": Raw(jsonrpc.dump(id))}, task_name=name)


def _check_types(headers: Mapping[bytes, bytes]) -> None:
    """Raises: Denied (415, 406), unless the body is JSON, and the client takes JSON."""
    kind = headers.get(b"content-type", b"")
    if kind != _JSON and kind.split(b";")[0].strip().lower() != _JSON:
        raise Denied(415, "the content type must be application/json")
    accept = headers.get(b"accept", b"*/*")
    if _JSON in accept:
        return
    accept = accept.lower()  # RFC 9110 section 8.3.1: media types are case-insensitive
    if _JSON not in accept and b"*/*" not in accept and b"application/*" not in accept:
        raise Denied(406, "the header Accept must list application/json and text/event-stream")


def _with_name(request: Request, name: str) -> dict[str, Raw]:
    """A request's params with the server's own name."""
    return request.params if name == request.answer.name else {**request.params, "name": Raw(jsonrpc.dump(name))}


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
        "initialize": Router._initialize,
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
# What is answered from all servers at once.
_WHOLE = frozenset({"initialize", "server/discover", "subscriptions/listen", *(kind.method for kind in KINDS.values())})
# What one era has and the other has not is unknown there, not a server's.
_OURS = frozenset({*_METHODS["legacy"], *_METHODS["modern"]})
# Which member names the tool, prompt or resource that a request is for.
_NAMED_BY = {
    "tools/call": "name",
    "prompts/get": "name",
    **dict.fromkeys(("resources/read", "resources/subscribe", "resources/unsubscribe"), "uri"),
}
