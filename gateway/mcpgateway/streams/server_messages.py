"""What servers say by themselves: requests, log messages, changes; and what clients answer.

A server that speaks over stdio does not say which of its calls a request or a log message belongs to, and the client may only be
asked on the stream of a call (MCP specification 2025-11-25, "Sending Messages to the Client"): the latest call on that connection
is taken, and the GET streams of the sessions that use it if there is none.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from msgspec import UNSET, Raw, UnsetType

from ..protocol import jsonrpc, request_meta
from ..protocol.jsonrpc import Envelope
from ..requests.call import ActiveCalls, Call
from ..requests.input_required import Question
from ..upstream.connection import Connection
from .replay import Replay, Stream

_MAX_ASKED = 10_000
_MAX_LEVELS = 10_000


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request that a client has not answered yet."""

    connection: Connection | None  # whose request it is, and
    id: bytes  # under which id of its own; both empty where a server does not ask by itself
    answer: Callable[[Envelope], None]
    call: Call | None  # that waits for it


class ServerMessages:
    """The sessions' streams and open questions. Nothing here outlives the process: a question's call does not, either."""

    def __init__(self) -> None:
        self.calls = ActiveCalls()
        self.on_list_changed: Callable[[str, str], None] = lambda key, capability: None  # of a process with this key
        self.replay = Replay()
        self._streams: OrderedDict[str, list[Stream]] = OrderedDict()  # the GET streams
        self._asked: OrderedDict[tuple[str, bytes], _Asked] = OrderedDict()
        self._levels: OrderedDict[str, bytes] = OrderedDict()
        self._users: OrderedDict[str, dict[str, None]] = OrderedDict()  # the sessions that use a connection's key
        self._numbers = itertools.count(1)

    # --- streams ----------------------------------------------------------------------------------------------------------

    def open(self, key: str, last_event: str = "") -> tuple[Stream, int]:
        """A session's GET stream: a new one, or one of its own that it comes back to.

        Returns: the stream, and the number of the last event that its client has seen.
        """
        found = self.replay.find(key, last_event)
        if found is not None:
            found[0].attached = True
            return found
        stream = self.replay.open(key)
        stream.attached = True
        known = [one for one in self._streams.pop(key, ()) if one.attached]
        self._streams[key] = [*known, stream]
        if len(self._streams) > _MAX_LEVELS:
            self._streams.popitem(last=False)
        return stream, 0

    def close(self, stream: Stream) -> None:
        """Nobody reads it now. Its session may come back: until it opens another one, messages are kept for it."""
        stream.attached = False

    def busy(self) -> set[str]:
        """The sessions that are in use now: calls are on their way, or a GET stream is read."""
        reading = {key for key, streams in self._streams.items() if any(stream.attached for stream in streams)}
        return reading | {key for key, _ in self.calls}

    def tell_all(self, message: bytes) -> None:
        """A message for all sessions that have a GET stream."""
        for key in list(self._streams):
            self.post(key, message)

    def finish(self) -> None:
        """End all GET streams: their clients come back elsewhere."""
        for streams in self._streams.values():
            for stream in streams:
                stream.finish()

    def uses(self, key: str, shared_key: str) -> None:
        """A session uses the process of an identity: what that says is for the session, too."""
        self._users.setdefault(shared_key, {})[key] = None
        self._users.move_to_end(shared_key)
        if len(self._users) > _MAX_LEVELS:
            self._users.popitem(last=False)

    def _deliver(self, connection: Connection, message: bytes, *, keep: bool = True) -> bool:
        call = self.calls.latest(connection)
        return (call is not None and call.notify(message)) or self._broadcast(connection, message, keep=keep)

    def _broadcast(self, connection: Connection, message: bytes, *, keep: bool = True) -> bool:
        """To the GET streams of all sessions that use a process."""
        heard = [self.post(key, message, keep=keep) for key in (connection.key, *self._users.get(connection.key, ()))]
        return any(heard)

    def post(self, key: str, message: bytes, *, keep: bool = True) -> bool:
        """To one GET stream of a session; whether somebody reads it. `keep` it for a session that is away for the moment."""
        streams = self._streams.get(key)
        if not streams:
            return False
        stream = next((one for one in reversed(streams) if one.attached), streams[-1])
        if keep or stream.attached:
            stream.add(message)
        return stream.attached

    # --- what servers say -------------------------------------------------------------------------------------------------

    def asks(self, connection: Connection, method: str, id: bytes, params: Raw | UnsetType) -> None:
        """A server's request: the client sees it under an id of ours."""
        body = None if params is UNSET else bytes(params)
        call = self.calls.latest(connection)
        if call is not None and call.modern:
            if not call.asked(_question(connection, method, id, body)):
                connection.refuse(id, jsonrpc.METHOD_NOT_FOUND, f"{method}: the client has not declared that it answers this")
            return
        ours = self._new_id(connection.server)
        if not self._deliver(connection, jsonrpc.request(ours, method, body), keep=False):
            connection.refuse(id, jsonrpc.METHOD_NOT_FOUND, f"{method}: the client has no stream open that it could be asked on")
            return
        key = connection.key if call is None else call.key
        self._expect(key, ours, _Asked(connection, id, partial(_pass_on, connection, id), call))

    def ask(self, call: Call, method: str, params: bytes, on_answer: Callable[[Envelope], None]) -> bool:
        """Ask a call's own client something. False: it cannot be asked."""
        ours = self._new_id(call.server)
        if not call.notify(jsonrpc.request(ours, method, params)):
            return False
        self._expect(call.key, ours, _Asked(None, b"", on_answer, call))
        return True

    def _new_id(self, server: str) -> bytes:
        return jsonrpc.dump(f"{server}-{next(self._numbers)}")

    def _expect(self, key: str, ours: bytes, asked: _Asked) -> None:
        if asked.call is not None:
            asked.call.await_client()
        self._asked[key, ours] = asked
        if len(self._asked) > _MAX_ASKED:
            _, oldest = self._asked.popitem(last=False)
            error = jsonrpc.dump({"code": jsonrpc.INTERNAL_ERROR, "message": "the client did not answer"})
            oldest.answer(Envelope(jsonrpc="2.0", error=Raw(error)))

    def says(self, connection: Connection, method: str, params: Raw | UnsetType) -> None:
        """A server's notification."""
        if method == "notifications/message":
            self._logged(connection, params)
        elif connection.key:
            if method == "notifications/cancelled":
                params = self._own_id(connection, params)
                if params is not UNSET:
                    self._deliver(connection, jsonrpc.notification(method, params))
            else:
                if method.endswith("/list_changed"):
                    self.on_list_changed(connection.key, method.split("/")[1])
                self._broadcast(connection, jsonrpc.notification(method, None if params is UNSET else params))

    def _logged(self, connection: Connection, params: Raw | UnsetType) -> None:
        """A log message: to a caller that wants it, and never to somebody else's.

        Over a shared connection it goes to the newest call of the one caller that wants any; with several, nobody can tell whose
        it is.
        """
        if params is UNSET:
            return
        message = jsonrpc.notification("notifications/message", params)
        calls = list(self.calls.on(connection))
        if connection.key and not any(call.modern for call in calls):  # a legacy server keeps to the level itself
            self._deliver(connection, message)
            return
        wanting = [call for call in calls if call.level >= 0]
        if wanting and len({call.key for call in wanting}) == 1 and _level(params) >= wanting[0].level:
            wanting[0].notify(message)

    def _own_id(self, connection: Connection, params: Raw | UnsetType) -> Raw | UnsetType:
        """The params of a cancelled question, with the id that the client knows."""
        try:
            fields = jsonrpc.members(params)
        except jsonrpc.ProtocolError:
            return UNSET
        theirs = bytes(fields.get("requestId", Raw(b"")))
        for (owner, ours), asked in self._asked.items():
            if asked.connection is connection and asked.id == theirs:
                del self._asked[owner, ours]
                return Raw(jsonrpc.dump({**fields, "requestId": Raw(ours)}))
        return UNSET

    # --- what the client answers ------------------------------------------------------------------------------------------

    def answered(self, key: str, envelope: Envelope) -> None:
        """A client's response to a server's request; one that nobody waits for is dropped."""
        if envelope.id is UNSET:
            return
        asked = self._asked.pop((key, bytes(envelope.id)), None)
        if asked is None:
            return
        if asked.call is not None:
            asked.call.go_on()
        asked.answer(envelope)

    # --- log level --------------------------------------------------------------------------------------------------------

    def set_level(self, key: str, params: bytes) -> None:
        """Remember what a session wants to be told, for the servers that it has not used yet."""
        self._levels[key] = params
        self._levels.move_to_end(key)
        if len(self._levels) > _MAX_LEVELS:
            self._levels.popitem(last=False)

    def level(self, key: str) -> bytes | None:
        """The params of the session's last logging/setLevel."""
        return self._levels.get(key)

    def forget(self, key: str) -> None:
        """The session is over."""
        self._streams.pop(key, None)
        self.replay.forget(key)
        self._levels.pop(key, None)


def _pass_on(connection: Connection, id: bytes, envelope: Envelope) -> None:
    """Give a client's answer to the server that asked."""
    if envelope.result is not UNSET:
        connection.answer(id, bytes(envelope.result))
    elif envelope.error is not UNSET:
        connection.answer_error(id, bytes(envelope.error))


def _question(connection: Connection, method: str, id: bytes, params: bytes | None) -> Question:
    def refuse(why: str) -> None:
        connection.refuse(id, jsonrpc.INTERNAL_ERROR, why)

    return Question(method, params, answer=partial(connection.answer, id), refuse=refuse)


def _level(params: Raw) -> int:
    """The index of a log message's level; the highest where it is not one that the specification knows."""
    try:
        level = jsonrpc.text(jsonrpc.members(params).get("level", UNSET))
    except jsonrpc.ProtocolError:
        level = None
    return request_meta.LOG_LEVELS.index(level) if level in request_meta.LOG_LEVELS else len(request_meta.LOG_LEVELS)
