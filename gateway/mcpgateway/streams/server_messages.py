"""What servers send by themselves: requests, log messages, changes.

A server that speaks over stdio does not say which of its calls a request or a log message belongs to, and the client may only be
asked on the stream of a call (MCP specification 2025-11-25, "Sending Messages to the Client"): the latest call on that connection
is taken, and the GET streams of the sessions that use it if there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from msgspec import UNSET, Raw, UnsetType

from ..protocol import client_requests, jsonrpc
from ..protocol.jsonrpc import Envelope, ProtocolError
from ..protocol.visible_text import hidden_count, visible_json
from ..upstream.active_call import ActiveCall
from ..upstream.connection import Connection
from .listen import Listeners
from .log_levels import LogLevels, level_of
from .process_users import ProcessUsers
from .questions import MAX_SESSION, OnAnswer, OpenQuestions, question
from .session_streams import SessionStreams

MAX_HIDDEN: Final = 1000  # control or invisible characters of one log message

OnListChanged = Callable[[Connection, str], None]  # takes the connection to a process, and the capability that has changed


class ServerMessages:
    """Passes each message of a server to the client that it is for."""

    def __init__(
        self,
        *,
        streams: SessionStreams,
        listeners: Listeners,
        questions: OpenQuestions,
        levels: LogLevels,
        users: ProcessUsers,
        on_list_changed: OnListChanged,
    ) -> None:
        self._streams, self._questions = streams, questions
        self._listeners = listeners
        self._levels, self._users = levels, users
        self._on_list_changed = on_list_changed

    def listens(self, key: str) -> bool:
        """Whether a client of the key's process reads a stream now."""
        return self._listeners.is_open(key) or any(self._streams.is_read(session) for session in (key, *self._users.of(key)))

    def level(self, key: str) -> bytes | None:
        """The params of a session's last logging/setLevel."""
        return self._levels.get(key)

    # --- requests ---------------------------------------------------------------------------------------------------------

    def asks(self, connection: Connection, method: str, id: bytes, params: Raw | UnsetType) -> None:
        """A server's request: the client that has declared the capability for it sees it under an id of ours."""
        try:
            self._ask(connection, method, id, params)
        except ProtocolError as error:
            connection.refuse(id, error.code, error.message)

    def _ask(self, connection: Connection, method: str, id: bytes, params: Raw | UnsetType) -> None:
        call = _newest_call(connection)
        capabilities = connection.capabilities if call is None else call.capabilities
        checked = client_requests.checked(method, params, server=connection.server, capabilities=capabilities)
        body = None if checked is UNSET else bytes(checked)
        if call is not None and call.modern:
            if not call.ask(question(connection, method, id, body)):
                raise _unreachable(method)
            return
        ours = self._questions.new_id(connection.server)
        with _waiting(call):
            key = self._send_question(connection, call, method, jsonrpc.request(ours, method, body))
        on_answer = partial(_pass_on, connection, id)
        self._questions.add(key, ours, on_answer, call=call, connection=connection, id=id)

    def _send_question(self, connection: Connection, call: ActiveCall | None, method: str, message: bytes) -> str:
        """Send a question to its caller, or else to a GET stream. Returns: the session. Raises: ProtocolError."""
        if call is not None and not self._questions.full(call.key) and call.notify(message):
            return call.key
        return self._post_question(connection, method, message)

    def _post_question(self, connection: Connection, method: str, message: bytes) -> str:
        """Send a question to the GET stream of one session that uses a process. Returns: the session. Raises: ProtocolError."""
        for key in (connection.key, *self._users.of(connection.key)):
            if not self._questions.full(key) and self._streams.post(key, message, keep=False):
                return key
        raise _unreachable(method)

    def ask(self, call: ActiveCall, method: str, params: Raw, on_answer: OnAnswer) -> None:
        """Ask a call's own client what its server wants to know. Raises: ProtocolError if it cannot be asked."""
        checked = client_requests.checked(method, params, server=call.server, capabilities=call.capabilities)
        ours = self._questions.new_id(call.server)
        if self._questions.full(call.key):
            raise ProtocolError(jsonrpc.INTERNAL_ERROR, f"{method}: its client has {MAX_SESSION} questions to answer already")
        with _waiting(call):
            if not call.notify(jsonrpc.request(ours, method, checked if checked is not UNSET else None)):
                raise _unreachable(method)
        self._questions.add(call.key, ours, on_answer, call=call)

    # --- notifications ----------------------------------------------------------------------------------------------------

    def says(self, connection: Connection, method: str, params: Raw | UnsetType) -> None:
        """A server's notification."""
        if method == "notifications/message":
            self._logged(connection, params)
        elif connection.key:
            if method == "notifications/cancelled":
                self._withdraw(connection, params)
                return
            if method.endswith("/list_changed"):
                self._on_list_changed(connection, method.split("/")[1])
            self._broadcast(connection, jsonrpc.notification(method, None if params is UNSET else params))

    def _logged(self, connection: Connection, params: Raw | UnsetType) -> None:
        """A log message: to a caller that wants it, and never to another one.

        Over a shared connection it goes to the newest call of the only caller that wants any; with several there is no way to
        tell whose it is.
        """
        if params is UNSET:
            return
        if hidden_count(bytes(params)) > MAX_HIDDEN:
            raise ProtocolError(jsonrpc.INVALID_PARAMS, f"a log message has over {MAX_HIDDEN} control or invisible characters")
        message = jsonrpc.notification("notifications/message", visible_json(bytes(params)))
        if connection.key and not any(call.modern for call in connection.calls):  # a legacy server keeps to the level itself
            self._deliver(connection, message)
            return
        wanting = [call for call in reversed(connection.calls) if call.level >= 0]
        if wanting and len({call.key for call in wanting}) == 1 and level_of(params) >= wanting[0].level:
            wanting[0].notify(message)

    def _withdraw(self, connection: Connection, params: Raw | UnsetType) -> None:
        """A server cancels its question: the client that was asked is told so, with the id that it knows."""
        try:
            fields = jsonrpc.members(params)
        except ProtocolError:
            return
        asked = self._questions.withdrawn(connection, bytes(fields.get("requestId", Raw(b""))))
        if asked is not None:
            body = jsonrpc.dump({**fields, "requestId": Raw(asked[1])})
            self._deliver(connection, jsonrpc.notification("notifications/cancelled", body))

    # --- delivery ---------------------------------------------------------------------------------------------------------

    def _deliver(self, connection: Connection, message: bytes) -> None:
        """Send to the newest call on a connection, or else to the sessions that use its process."""
        call = _newest_call(connection)
        if call is None or not call.notify(message):
            self._broadcast(connection, message)

    def _broadcast(self, connection: Connection, message: bytes) -> None:
        """Send to the GET streams of all sessions that use a process."""
        for key in (connection.key, *self._users.of(connection.key)):
            self._streams.post(key, message)


def _newest_call(connection: Connection) -> ActiveCall | None:
    return next(reversed(connection.calls), None)


@contextmanager
def _waiting(call: ActiveCall | None) -> Iterator[None]:
    """Around the sending of a question: the call waits for its client, unless the question cannot be sent."""
    if call is not None:
        call.await_client()
    try:
        yield
    except ProtocolError:
        if call is not None:
            call.go_on()
        raise


def _unreachable(method: str) -> ProtocolError:
    return ProtocolError(jsonrpc.METHOD_NOT_FOUND, f"{method}: the client has no stream open that it could be asked on")


def _pass_on(connection: Connection, id: bytes, envelope: Envelope) -> None:
    """Give a client's answer to the server that asked."""
    if envelope.result is not UNSET:
        connection.answer(id, bytes(envelope.result))
    elif envelope.error is not UNSET:
        connection.answer_error(id, bytes(envelope.error))
    else:
        connection.refuse(id, jsonrpc.INTERNAL_ERROR, "the client's response has neither result nor error")
