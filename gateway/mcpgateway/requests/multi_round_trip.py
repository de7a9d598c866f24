"""A modern server's questions to a legacy client: asked as a legacy server would have, then the request is sent again.

Source: MCP specification 2026-07-28, "Multi Round-Trip Requests".
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from msgspec import UNSET, Raw

from ..protocol import jsonrpc, translation
from ..protocol.client_requests import is_input_required
from ..protocol.jsonrpc import Envelope, ProtocolError
from ..streams.questions import OnAnswer
from ..upstream.active_call import ActiveCall

MAX_ROUNDS: Final = 10  # of one call
MAX_QUESTIONS: Final = 20  # of one round

Ask = Callable[[ActiveCall, str, Raw, OnAnswer], None]


class RoundTripCall(ActiveCall, Protocol):
    """A call whose request can be sent again with answers."""

    def transmit(self, params: dict[str, Raw]) -> None:
        """Send the request with these params."""

    def give_up(self, error: ProtocolError) -> None:
        """End without the server's answer."""


class MultiRoundTrip:
    """The rounds of one call."""

    def __init__(self, call: RoundTripCall, params: dict[str, Raw], ask: Ask) -> None:
        """`params` are those of the first round. `ask` raises ProtocolError if the client cannot be asked."""
        self._call = call
        self._params = {key: value for key, value in params.items() if key not in ("inputResponses", "requestState")}
        self._ask = ask
        self._count = 0
        self._questions: dict[str, Raw] = {}
        self._answers: dict[str, Raw] = {}
        self._state: Raw | None = None

    def begin(self, value: Raw) -> bool:
        """Ask all questions of a result at once. False: it asks none. Raises: ProtocolError."""
        if not is_input_required(value):
            return False
        fields = jsonrpc.members(value)
        self._count += 1
        if self._count > MAX_ROUNDS:
            raise ProtocolError(jsonrpc.INTERNAL_ERROR, f"the server asked more than {MAX_ROUNDS} times")
        asked = jsonrpc.members(fields.get("inputRequests", UNSET))
        if len(asked) > MAX_QUESTIONS:
            raise ProtocolError(jsonrpc.INTERNAL_ERROR, f"the server asked more than {MAX_QUESTIONS} questions at once")
        self._questions = {key: Raw(bytes(raw)) for key, raw in asked.items()}
        self._answers = {}
        state = fields.get("requestState")
        self._state = None if state is None else Raw(bytes(state))
        if not self._questions:
            self._send_again()
        for key, raw in self._questions.items():
            question = jsonrpc.members(raw)
            method = jsonrpc.text(question.get("method", UNSET)) or ""
            params = Raw(translation.question_to_legacy(method, question.get("params", Raw(b"{}")), id=key))
            self._ask(self._call, method, params, partial(self._on_answer, key))
        return True

    def _on_answer(self, key: str, envelope: Envelope) -> None:
        try:
            self._take(key, envelope)
        except ProtocolError as error:
            self._call.give_up(ProtocolError(jsonrpc.INTERNAL_ERROR, f"the client's response is malformed: {error.message}"))

    def _take(self, key: str, envelope: Envelope) -> None:
        if envelope.result is UNSET:
            detail = jsonrpc.text(jsonrpc.members(envelope.error).get("message", UNSET))
            self._call.give_up(ProtocolError(jsonrpc.INTERNAL_ERROR, f"the client refused to answer: {detail}"))
            return
        self._answers[key] = Raw(bytes(envelope.result))
        if len(self._answers) == len(self._questions):
            self._send_again()

    def _send_again(self) -> None:
        """The same request with what the server wanted."""
        params = dict(self._params)
        if self._answers:
            params["inputResponses"] = Raw(jsonrpc.dump(self._answers))
        if self._state is not None:
            params["requestState"] = self._state
        self._call.transmit(params)
