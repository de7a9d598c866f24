"""The calls in flight, looked up in constant time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from ..protocol import jsonrpc
from ..protocol.jsonrpc import ProtocolError
from ..streams.questions import ActiveCall
from ..upstream.connection import Connection


class CancellableCall(ActiveCall, Protocol):
    """A call that its client can cancel."""

    def cancel(self) -> None:
        """The client wants no answer any more."""

    def give_up(self, error: ProtocolError) -> None:
        """End without the server's answer."""


class ActiveCalls:
    """Calls of legacy sessions by session and id; all calls by the connection that they are on."""

    def __init__(self) -> None:
        self._by_session: dict[str, dict[bytes, CancellableCall]] = {}
        self._by_connection: dict[Connection, dict[CancellableCall, None]] = {}  # the newest last

    def add(self, call: CancellableCall, id: bytes) -> None:
        """A session has sent a request under this id."""
        calls = self._by_session.get(call.key)
        if calls is None:
            calls = self._by_session[call.key] = {}
        calls[id] = call

    def remove(self, call: CancellableCall, id: bytes) -> None:
        """That request is answered. A later one under the same id stays."""
        calls = self._by_session.get(call.key)
        if calls is not None and calls.get(id) is call:
            del calls[id]
            if not calls:
                del self._by_session[call.key]

    def find(self, key: str, id: bytes) -> CancellableCall | None:
        """The call of a session's request."""
        return self._by_session.get(key, {}).get(id)

    def sessions(self) -> set[str]:
        """The sessions that have calls in flight."""
        return set(self._by_session)

    def forget(self, key: str) -> None:
        """A session is over: its calls end."""
        for call in list(self._by_session.get(key, {}).values()):
            call.give_up(ProtocolError(jsonrpc.INTERNAL_ERROR, "the session has ended"))

    def holds(self, key: str) -> bool:
        """Whether a call of a session is in flight."""
        return key in self._by_session

    def enter(self, call: CancellableCall, connection: Connection) -> None:
        """A call goes out on a connection, of which it is the newest now."""
        calls = self._by_connection.get(connection)
        if calls is None:
            calls = self._by_connection[connection] = {}
        calls.pop(call, None)
        calls[call] = None

    def leave(self, call: CancellableCall, connection: Connection) -> None:
        """A call is not on this connection any more."""
        calls = self._by_connection.get(connection)
        if calls is not None and call in calls:
            del calls[call]
            if not calls:
                del self._by_connection[connection]

    def on(self, connection: Connection) -> Iterator[CancellableCall]:
        """All calls on a connection, the newest first."""
        return reversed(self._by_connection.get(connection, {}))

    def latest(self, connection: Connection) -> CancellableCall | None:
        """The newest call on a connection."""
        return next(self.on(connection), None)
