"""Notifications and responses of legacy clients: they are accepted, and act only within their own session."""

from __future__ import annotations

from msgspec import UNSET

from ..access.sessions import Session
from ..protocol import jsonrpc
from ..protocol.jsonrpc import Envelope, ProtocolError
from ..streams.questions import OpenQuestions
from .active_calls import ActiveCalls
from .caller import caller_of
from .startup_gate import StartupGate
from .visible_catalog import VisibleCatalog


class ClientMessages:
    """Takes what a session's client sends without wanting an answer."""

    def __init__(self, *, calls: ActiveCalls, questions: OpenQuestions, startup: StartupGate, visible: VisibleCatalog) -> None:
        self._calls, self._questions, self._startup, self._visible = calls, questions, startup, visible

    def take(self, envelope: Envelope, session: Session) -> None:
        """Act on a notification or a response. Raises: ProtocolError for params that are malformed."""
        if envelope.method is UNSET:
            self._questions.answered(session.id, envelope)
        elif envelope.method == "notifications/cancelled":
            self._cancel(envelope, session)
        elif envelope.method == "notifications/roots/list_changed":
            for connection in self._visible.own_connections(caller_of(session)):
                connection.notify(envelope.method)

    def _cancel(self, envelope: Envelope, session: Session) -> None:
        id = jsonrpc.members(envelope.params).get("requestId")
        if id is None or not jsonrpc.valid_id(bytes(id)):
            raise ProtocolError(jsonrpc.INVALID_PARAMS, "params.requestId must be the id of a request: a string or an integer")
        call = self._calls.find(session.id, bytes(id))
        if call is not None:
            call.cancel()
        else:
            self._startup.cancel(session.id, bytes(id))
