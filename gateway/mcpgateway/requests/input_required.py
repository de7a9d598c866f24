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
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec
from msgspec import Raw

from ..access.keyring import KeyRing
from ..protocol import jsonrpc
from ..protocol.decoder import Decoder
from ..protocol.jsonrpc import ProtocolError
from .responder import Responder

PATIENCE: Final = 600.0  # seconds that a call is kept for a person's answer
_MAX_PARKED: Final = 10_000
_PURPOSE: Final = b"mcp-request-state"


@dataclass(frozen=True, slots=True)
class Question:
    """A server's request to the client."""

    method: str
    params: bytes | None
    answer: Callable[[bytes], None]  # takes the client's result
    refuse: Callable[[str], None]

    def shown(self) -> dict[str, Any]:
        """As a member of `inputRequests`."""
        return {"method": self.method, "params": Raw(self.params or b"{}")}


class Waiting(Protocol):
    """A call that can be parked."""

    def expire(self) -> None:
        """Nobody has come back for it."""

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
        if len(self._parked) > _MAX_PARKED:
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


def binding(*, principal: str, method: str, params: dict[str, Raw]) -> str:
    """What a `requestState` belongs to: the identity and the request without its answers, however its JSON is written."""
    kept = {key: Raw(jsonrpc.canonical(params[key])) for key in ("arguments", "name", "uri") if key in params}
    return hashlib.sha256(jsonrpc.dump([principal, method, kept])).hexdigest()[:32]
