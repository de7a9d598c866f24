"""The requests of legacy sessions that are in flight, looked up by their ids."""

from __future__ import annotations

from typing import Protocol

from ..protocol import jsonrpc
from ..protocol.jsonrpc import ProtocolError
from ..upstream.active_call import ActiveCall


class CancellableCall(ActiveCall, Protocol):
    """A call that its client can cancel."""

    def cancel(self) -> None:
        """The client wants no answer any more."""

    def give_up(self, error: ProtocolError) -> None:
        """End without the server's answer."""


class ActiveCalls:
    """Calls by session and id. A session's part stays until the session is forgotten: its next call needs it again."""

    def __init__(self) -> None:
        self._by_session: dict[str, dict[bytes, CancellableCall]] = {}

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

    def find(self, key: str, id: bytes) -> CancellableCall | None:
        """The call of a session's request."""
        return self._by_session.get(key, {}).get(id)

    def sessions(self) -> set[str]:
        """The sessions that have calls in flight."""
        return {key for key, calls in self._by_session.items() if calls}

    def forget(self, key: str) -> None:
        """A session is over: its calls end."""
        for call in self._by_session.pop(key, {}).values():
            call.give_up(ProtocolError(jsonrpc.INTERNAL_ERROR, "the session has ended"))

    def holds(self, key: str) -> bool:
        """Whether something is kept for a session."""
        return key in self._by_session
