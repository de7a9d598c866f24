"""Calls of modern clients that wait for an answer: a legacy server has asked in the middle of one.

The server's request stays open at its connection, the client's has been answered with `input_required`. Its retry names the
parked call by a `requestState` that is signed, bound to principal and request, expires, and works once.
Source: MCP specification 2026-07-28, "Multi Round-Trip Requests"; none says how eras meet, this is our way.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec
from msgspec import UNSET, Raw

from ..access.keyring import KeyRing
from ..protocol import jsonrpc
from ..protocol.decoder import Decoder
from ..protocol.errors import Failure
from ..protocol.jsonrpc import ProtocolError
from ..upstream.active_call import Question
from ..upstream.connection import Outcome
from .responder import Responder

PATIENCE: Final = 600.0  # seconds that a call is kept for a person's answer
MAX_PARKED: Final = 10_000  # calls of all clients; then the oldest ends
MAX_QUESTIONS: Final = 20  # open ones of one call
MAX_COMPARED: Final = 64 << 10  # bytes of a member that is compared by its value, not by its bytes
_PURPOSE: Final = b"mcp-request-state"


class Waiting(Protocol):
    """A call that can be parked."""

    def expire(self) -> None:
        """Its client has not come back."""

    def resume(self, answer: Responder, params: dict[str, Raw]) -> None:
        """Its client is back."""


class _State(msgspec.Struct, frozen=True, array_like=True):
    id: str
    expires: int
    binding: str


_state = Decoder(_State)


@dataclass(frozen=True, slots=True)
class _Parked:
    call: Waiting
    binding: str


class InputRequiredStore:
    """The parked calls of this process; they end with it, since the servers' open requests do."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._parked: OrderedDict[str, _Parked] = OrderedDict()

    def put(self, call: Waiting, binding: str) -> tuple[str, str]:
        """Keep a call. Returns: what it is kept as, and the `requestState` by which its client finds it."""
        id = secrets.token_urlsafe(12)
        self._parked[id] = _Parked(call, binding)
        if len(self._parked) > MAX_PARKED:
            self._parked.popitem(last=False)[1].call.expire()
        state = _State(id, int(time.time() + PATIENCE), binding)
        return id, self._ring.sign(jsonrpc.dump(state), _PURPOSE)

    def take(self, state: str, binding: str) -> Waiting:
        """The call behind a `requestState`, once. Raises: ProtocolError, the same for whatever is wrong with it."""
        payload = self._ring.verify(state, _PURPOSE)
        if payload is not None:
            signed = _state.decode(payload)
            parked = self._parked.get(signed.id)
            if parked is not None and parked.binding == signed.binding == binding and signed.expires >= time.time():
                del self._parked[signed.id]
                return parked.call
        raise ProtocolError(jsonrpc.INVALID_PARAMS, "params.requestState is not valid (any more): send the request without it")

    def drop(self, id: str) -> None:
        """A call is over."""
        self._parked.pop(id, None)


class ParkedCall:
    """The open questions of one call. It waits from `park` until `resume`, and keeps the reply that comes meanwhile."""

    def __init__(self, store: InputRequiredStore) -> None:
        self.questions: dict[str, Question] = {}  # by their names in `inputRequests`
        self._store = store
        self._id = ""  # in the store, while it waits
        self._count = 0  # an answered question's number is not given again
        self._late: tuple[Outcome, Raw | Failure] | None = None

    @property
    def waits(self) -> bool:
        """Whether its client has been answered, and is expected back."""
        return bool(self._id)

    @property
    def full(self) -> bool:
        """Whether the server has asked as much as it may."""
        return len(self.questions) >= MAX_QUESTIONS

    def add(self, question: Question) -> None:
        """One more question of the server."""
        self._count += 1
        self.questions[f"{question.method.partition('/')[0]}-{self._count}"] = question

    def park(self, call: Waiting, binding: str) -> bytes:
        """Keep a call. Returns: the result by which its client learns the questions."""
        self._id, state = self._store.put(call, binding)
        asked = {key: question.shown() for key, question in self.questions.items()}
        return jsonrpc.dump({"resultType": "input_required", "inputRequests": asked, "requestState": state})

    def keep(self, outcome: Outcome, value: Raw | Failure) -> bool:
        """The server's reply: kept for the client if it has not come back. False: it is to be passed on now."""
        if not self.waits:
            return False
        self._late = (outcome, Raw(bytes(value)) if isinstance(value, Raw) else value)
        return True

    def resume(self, params: dict[str, Raw]) -> tuple[Outcome, Raw | Failure] | None:
        """Give the servers the answers among a retry's params. Returns: the reply that has come meanwhile."""
        self._id = ""
        try:
            responses = jsonrpc.members(params.get("inputResponses", UNSET))
        except ProtocolError:
            responses = {}
        for key in list(self.questions):
            response = bytes(responses.get(key, b""))
            if response.startswith(b"{"):
                self.questions.pop(key).answer(response)
        late, self._late = self._late, None
        return late

    def end(self) -> None:
        """The call is over: what is open is refused."""
        if self._id:
            self._store.drop(self._id)
        questions, self.questions = self.questions, {}
        for question in questions.values():
            question.refuse("the client did not answer")


def _compared(raw: Raw) -> Raw:
    body = bytes(raw)
    return Raw(jsonrpc.canonical(body)) if len(body) <= MAX_COMPARED else raw


def binding(*, principal: str, method: str, params: dict[str, Raw]) -> str:
    """What a `requestState` belongs to: the identity and the request without its answers, however its JSON is written.

    Members of more than MAX_COMPARED bytes have to be written the same.
    """
    kept = {key: _compared(params[key]) for key in ("arguments", "name", "uri") if key in params}
    return hashlib.sha256(jsonrpc.dump([principal, method, kept])).hexdigest()[:32]
