"""What a legacy client's own servers say by themselves: requests, log messages, changes; and what the client answers.

A server that speaks over stdio does not say which of its calls a request belongs to, and the client may only be asked on the
stream of a call (MCP specification 2025-11-25, "Sending Messages to the Client"): the latest call of that session to that server
is taken, and the session's own GET stream if there is none.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from msgspec import UNSET, Raw, UnsetType

from . import jsonrpc
from .calls import Call, Registry
from .jsonrpc import Envelope
from .upstream.connection import Connection

_MAX_QUEUED = 1000  # messages that wait for a stream which is not read; then the oldest goes
_MAX_ASKED = 10_000
_MAX_LEVELS = 10_000


class Stream:
    """A session's GET stream: what waits for it."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque(maxlen=_MAX_QUEUED)
        self.news = asyncio.Event()

    def put(self, message: bytes) -> None:
        """Add a message."""
        self._waiting.append(message)
        self.news.set()

    def take(self) -> list[bytes]:
        """All messages that wait."""
        found = list(self._waiting)
        self._waiting.clear()
        self.news.clear()
        return found


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request that a client has not answered yet."""

    connection: Connection | None  # whose request it is, and
    id: bytes  # under which id of its own; both empty where a server does not ask by itself
    answer: Callable[[Envelope], None]
    call: Call | None  # that waits for it


class Dialogues:
    """The sessions' streams and open questions. Nothing here outlives the process: a question's call does not, either."""

    def __init__(self) -> None:
        self.calls = Registry()
        self._streams: dict[str, list[Stream]] = {}
        self._asked: OrderedDict[tuple[str, bytes], _Asked] = OrderedDict()
        self._levels: OrderedDict[str, bytes] = OrderedDict()
        self._numbers = itertools.count(1)

    # --- streams ----------------------------------------------------------------------------------------------------------

    def open(self, key: str) -> Stream:
        """A new GET stream of a session; the newest gets its messages."""
        stream = Stream()
        self._streams.setdefault(key, []).append(stream)
        return stream

    def close(self, key: str, stream: Stream) -> None:
        """It has ended."""
        streams = self._streams.get(key, [])
        if stream in streams:
            streams.remove(stream)
        if not streams:
            self._streams.pop(key, None)

    def _deliver(self, key: str, connection: Connection, message: bytes) -> bool:
        call = self.calls.latest(key, connection)
        return (call is not None and call.notify(message)) or self._post(key, message)

    def _post(self, key: str, message: bytes) -> bool:
        streams = self._streams.get(key)
        if streams:
            streams[-1].put(message)
        return bool(streams)

    # --- what servers say -------------------------------------------------------------------------------------------------

    def asks(self, key: str, connection: Connection, method: str, id: bytes, params: Raw | UnsetType) -> None:
        """A server's request: the client sees it under an id of ours."""
        ours = self._new_id(connection.server)
        body = None if params is UNSET else bytes(params)
        if not self._deliver(key, connection, jsonrpc.request_raw(ours, method, body)):
            connection.refuse(id, jsonrpc.METHOD_NOT_FOUND, f"{method}: the client has no stream open that it could be asked on")
            return
        call = self.calls.latest(key, connection)
        self._expect(key, ours, _Asked(connection, id, partial(_pass_on, connection, id), call))

    def ask(self, call: Call, method: str, params: bytes, on_answer: Callable[[Envelope], None]) -> bool:
        """Ask a call's own client something. False: it cannot be asked."""
        ours = self._new_id(call.server)
        if not call.notify(jsonrpc.request_raw(ours, method, params)):
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

    def says(self, key: str, connection: Connection, method: str, params: Raw | UnsetType) -> None:
        """A server's notification."""
        if method == "notifications/cancelled":
            params = self._own_id(key, connection, params)
            if params is UNSET:
                return
        message = jsonrpc.notification(method, None if params is UNSET else params)
        if method in ("notifications/message", "notifications/cancelled"):
            self._deliver(key, connection, message)
        else:
            self._post(key, message)

    def _own_id(self, key: str, connection: Connection, params: Raw | UnsetType) -> Raw | UnsetType:
        """The params of a cancelled question, with the id that the client knows."""
        try:
            fields = jsonrpc.members(params)
        except jsonrpc.ProtocolError:
            return UNSET
        theirs = bytes(fields.get("requestId", Raw(b"")))
        for (owner, ours), asked in self._asked.items():
            if owner == key and asked.connection is connection and asked.id == theirs:
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
        self._levels.pop(key, None)


def _pass_on(connection: Connection, id: bytes, envelope: Envelope) -> None:
    """Give a client's answer to the server that asked."""
    if envelope.result is not UNSET:
        connection.answer(id, bytes(envelope.result))
    elif envelope.error is not UNSET:
        connection.answer_error(id, bytes(envelope.error))
