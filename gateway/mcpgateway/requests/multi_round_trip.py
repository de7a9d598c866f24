"""A modern server's questions to a legacy client: asked as a legacy server would have, then the request is sent again.

Source: MCP specification 2026-07-28, "Multi Round-Trip Requests".
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from msgspec import UNSET, Raw

from ..protocol import jsonrpc, translation
from ..protocol.jsonrpc import Envelope, ProtocolError

if TYPE_CHECKING:
    from .call import Call

_MOST: Final = 10  # rounds that one call may cost

Ask = Callable[["Call", str, bytes, Callable[[Envelope], None]], bool]


class MultiRoundTrip:
    """The rounds of one call."""

    def __init__(self, call: Call, params: dict[str, Raw]) -> None:
        self._call = call
        self._params = {key: value for key, value in params.items() if key not in ("inputResponses", "requestState")}
        self._count = 0
        self._questions: dict[str, Raw] = {}
        self._answers: dict[str, Raw] = {}
        self._state: Raw | None = None

    def begin(self, value: Raw, ask: Ask) -> bool:
        """Ask all questions of a result at once. False: it asks none."""
        try:
            fields = jsonrpc.members(value)
            if jsonrpc.text(fields.get("resultType", UNSET)) != "input_required":
                return False
        except ProtocolError:
            return False
        try:
            self._begin(fields, ask)
        except ProtocolError as error:
            self._call.give_up(error)
        return True

    def _begin(self, fields: dict[str, Raw], ask: Ask) -> None:
        self._count += 1
        if self._count > _MOST:
            raise ProtocolError(jsonrpc.INTERNAL_ERROR, f"the server asked more than {_MOST} times")
        self._questions = {key: Raw(bytes(raw)) for key, raw in jsonrpc.members(fields.get("inputRequests", UNSET)).items()}
        self._answers = {}
        state = fields.get("requestState")
        self._state = None if state is None else Raw(bytes(state))
        if not self._questions:
            self._send_again()
        for key, raw in self._questions.items():
            question = jsonrpc.members(raw)
            method = jsonrpc.text(question.get("method", UNSET)) or ""
            params = translation.question_to_legacy(method, question.get("params", Raw(b"{}")), id=key)
            if not ask(self._call, method, params, partial(self._on_answer, key)):
                raise ProtocolError(jsonrpc.INTERNAL_ERROR, f"{method}: the client has no stream open to be asked on")

    def _on_answer(self, key: str, envelope: Envelope) -> None:
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
