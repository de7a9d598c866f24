"""The modern era's `subscriptions/listen`: a request whose response is a stream of changes, for as long as the client wants.

Source: MCP specification 2026-07-28, "Subscriptions". Every message carries the id of the listen request.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from msgspec import UNSET, Raw

from . import era as eras
from . import jsonrpc
from .calls import Answer
from .jsonrpc import ProtocolError

_FILTERS: Final = {
    "toolsListChanged": "tools",
    "promptsListChanged": "prompts",
    "resourcesListChanged": "resources",
}


@dataclass(frozen=True, slots=True, eq=False)
class _Listener:
    """One open stream."""

    answer: Answer
    wanted: frozenset[str]  # capabilities whose lists it is told of

    def stamp(self) -> dict[str, Raw]:
        return {eras.META + "subscriptionId": Raw(self.answer.id)}


class Listeners:
    """All open streams."""

    def __init__(self) -> None:
        self._open: set[_Listener] = set()

    def add(self, answer: Answer, params: dict[str, Raw]) -> None:
        """Open a stream and say what it will carry. Raises: ProtocolError."""
        asked = jsonrpc.members(params.get("notifications", UNSET))
        honoured = {name: True for name in _FILTERS if bytes(asked.get(name, Raw(b""))) == b"true"}
        listener = _Listener(answer, frozenset(_FILTERS[name] for name in honoured))
        body = {"notifications": honoured, "_meta": listener.stamp()}
        acknowledged = jsonrpc.notification("notifications/subscriptions/acknowledged", jsonrpc.dump(body))
        if not answer.exchange.notify(acknowledged):
            raise ProtocolError(jsonrpc.INVALID_REQUEST, "the header Accept must list text/event-stream")
        self._open.add(listener)
        answer.exchange.on_disconnect = lambda: self._open.discard(listener)

    def changed(self, capabilities: Iterable[str]) -> None:
        """Tell those who want to know that lists have changed."""
        for name in capabilities:
            for listener in [listener for listener in self._open if name in listener.wanted]:
                body = jsonrpc.dump({"_meta": listener.stamp()})
                listener.answer.exchange.notify(jsonrpc.notification(f"notifications/{name}/list_changed", body))

    def close(self) -> None:
        """End all streams with their result: the client listens anew elsewhere."""
        for listener in self._open:
            listener.answer.succeed(jsonrpc.dump({"resultType": "complete", "_meta": listener.stamp()}))
        self._open.clear()
