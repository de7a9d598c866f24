"""Requests of servers that clients have not answered yet.

Source: MCP specification 2025-11-25, "Elicitation", "Sampling", "Roots".
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from msgspec import UNSET, Raw

from ..protocol import jsonrpc
from ..protocol.jsonrpc import Envelope
from ..upstream.active_call import ActiveCall, Question
from ..upstream.connection import Connection

MAX_OPEN: Final = 10_000  # questions of all clients; then the oldest counts as not answered
MAX_SESSION: Final = 100  # questions of one session; then a further one is refused

OnAnswer = Callable[[Envelope], None]


def question(connection: Connection, method: str, id: bytes, params: bytes | None) -> Question:
    """The question behind a request on a connection."""
    refuse = partial(connection.refuse, id, jsonrpc.INTERNAL_ERROR)
    return Question(method, params, answer=partial(connection.answer, id), refuse=refuse)


@dataclass(frozen=True, slots=True)
class _Open:
    """A request that a client has not answered yet."""

    on_answer: OnAnswer
    call: ActiveCall | None  # that waits for it
    connection: Connection | None  # whose request it is, and
    id: bytes  # under which id of its own; both empty where a server asks by its result


class OpenQuestions:
    """The unanswered requests by session, each under an id of ours."""

    def __init__(self) -> None:
        self._open: OrderedDict[tuple[str, bytes], _Open] = OrderedDict()
        self._ids: dict[str, set[bytes]] = {}  # by session
        self._numbers = itertools.count(1)

    def new_id(self, server: str) -> bytes:
        """An id that a client sees, as JSON."""
        return jsonrpc.dump(f"{server}-{next(self._numbers)}")

    def full(self, key: str) -> bool:
        """Whether a session has too many to be asked one more."""
        return len(self._ids.get(key, ())) >= MAX_SESSION

    def add(
        self,
        key: str,
        ours: bytes,
        on_answer: OnAnswer,
        *,
        call: ActiveCall | None = None,
        connection: Connection | None = None,
        id: bytes = b"",
    ) -> None:
        """A session has been asked, for a call that waits. `on_answer` gets its response."""
        self._open[key, ours] = _Open(on_answer, call, connection, id)
        self._ids.setdefault(key, set()).add(ours)
        if len(self._open) > MAX_OPEN:
            self._refuse(*next(iter(self._open)))

    def answered(self, key: str, envelope: Envelope) -> None:
        """A client's response; one to no open question is dropped."""
        if envelope.id is UNSET:
            return
        asked = self._remove(key, bytes(envelope.id))
        if asked is not None:
            asked.on_answer(envelope)

    def withdrawn(self, connection: Connection, id: bytes) -> tuple[str, bytes] | None:
        """A server does not wait any more. Returns: the session that was asked, and the id that it was asked under."""
        for (key, ours), asked in self._open.items():
            if asked.connection is connection and asked.id == id:
                self._remove(key, ours)
                return key, ours
        return None

    def end_call(self, call: ActiveCall) -> None:
        """A call is over: its questions need no answer any more."""
        for ours in list(self._ids.get(call.key, ())):
            if self._open[call.key, ours].call is call:
                self._remove(call.key, ours)

    def forget(self, key: str) -> None:
        """A session is over: its questions count as not answered."""
        for ours in list(self._ids.get(key, ())):
            self._refuse(key, ours)

    def holds(self, key: str) -> bool:
        """Whether something is kept for a session."""
        return key in self._ids

    def _refuse(self, key: str, ours: bytes) -> None:
        asked = self._remove(key, ours)
        if asked is not None:
            error = jsonrpc.dump({"code": jsonrpc.INTERNAL_ERROR, "message": "the client did not answer"})
            asked.on_answer(Envelope(jsonrpc="2.0", error=Raw(error)))

    def _remove(self, key: str, ours: bytes) -> _Open | None:
        asked = self._open.pop((key, ours), None)
        if asked is not None:
            ids = self._ids[key]
            ids.discard(ours)
            if not ids:
                del self._ids[key]
            if asked.call is not None:
                asked.call.go_on()
        return asked
