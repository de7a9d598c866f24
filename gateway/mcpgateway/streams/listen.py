"""The modern era's `subscriptions/listen`: a request whose response is a stream of changes, for as long as the client wants.

Source: MCP specification 2026-07-28, "Subscriptions". Every message carries the id of the listen request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from msgspec import UNSET, Raw

from ..protocol import jsonrpc, request_meta
from ..protocol.exchange import Exchange
from ..protocol.jsonrpc import ProtocolError
from ..upstream.subscription import Subscriber

_FILTERS: Final = {
    "toolsListChanged": "tools",
    "promptsListChanged": "prompts",
    "resourcesListChanged": "resources",
}


MAX_RESOURCES: Final = 1000  # of one stream
MAX_URIS_BYTES: Final = 1 << 20  # of their URIs together

# Subscribes to a resource; the answer undoes it. None: no server has the resource, or announces its changes.
Watch = Callable[[str, Subscriber], Callable[[], None] | None]


class OpenRequest(Protocol):
    """A `subscriptions/listen` request, and the way back to its client."""

    @property
    def id(self) -> bytes:
        """Its id as JSON."""

    @property
    def exchange(self) -> Exchange:
        """The HTTP request that it came by."""

    def notify(self, message: bytes) -> bool:
        """Send a message before the result. False: the client does not take one."""

    def succeed(self, raw: bytes) -> None:
        """Answer with a result."""


@dataclass(frozen=True, slots=True, eq=False)
class _Listener:
    """One open stream."""

    answer: OpenRequest
    key: str  # of the client's own processes
    wanted: frozenset[str]  # the capabilities whose list changes it gets

    def meta(self) -> dict[str, Raw]:
        return {request_meta.META + "subscriptionId": Raw(self.answer.id)}

    def updated(self, params: Raw) -> None:
        """A resource has changed; the server's own subscription id is not the client's."""
        fields = jsonrpc.members(params)
        meta = {**jsonrpc.members(fields.get("_meta", UNSET)), **self.meta()}
        body = jsonrpc.dump({**fields, "_meta": meta})
        self.answer.notify(jsonrpc.notification("notifications/resources/updated", body))


class Listeners:
    """All open streams."""

    def __init__(self) -> None:
        self._open: set[_Listener] = set()

    def add(self, answer: OpenRequest, params: Mapping[str, Raw], *, key: str, watch: Watch) -> None:
        """Open a stream and say what it will carry. Raises: ProtocolError."""
        asked = jsonrpc.members(params.get("notifications", UNSET))
        honoured: dict[str, object] = {name: True for name in _FILTERS if bytes(asked.get(name, Raw(b""))) == b"true"}
        listener = _Listener(answer, key, frozenset(_FILTERS[name] for name in honoured))
        undo: dict[str, Callable[[], None]] = {}
        for uri in _uris(asked):
            stop = watch(uri, listener)
            if stop is not None:
                undo[uri] = stop
        if undo:
            honoured["resourceSubscriptions"] = list(undo)
        body = {"notifications": honoured, "_meta": listener.meta()}
        acknowledged = jsonrpc.notification("notifications/subscriptions/acknowledged", jsonrpc.dump(body))
        self._open.add(listener)

        def end() -> None:
            self._open.discard(listener)
            for stop in undo.values():
                stop()

        answer.exchange.on_disconnect = end
        if not answer.notify(acknowledged):
            end()
            raise ProtocolError(jsonrpc.INVALID_REQUEST, "the header Accept must list text/event-stream")

    def is_open(self, key: str) -> bool:
        """Whether a client of a key has a stream open."""
        return any(listener.key == key for listener in self._open)

    def changed(self, capabilities: Iterable[str], *, key: str = "") -> None:
        """Notify the streams that have asked for it that lists have changed: those of all clients, or those of one key."""
        for name in capabilities:
            for listener in [other for other in self._open if name in other.wanted and key in ("", other.key)]:
                body = jsonrpc.dump({"_meta": listener.meta()})
                listener.answer.notify(jsonrpc.notification(f"notifications/{name}/list_changed", body))

    def close(self) -> None:
        """End all streams with their result: their clients open new ones at another replica."""
        for listener in self._open:
            listener.answer.succeed(jsonrpc.dump({"resultType": "complete", "_meta": listener.meta()}))
        self._open.clear()


def _uris(asked: Mapping[str, Raw]) -> list[str]:
    raw = bytes(asked.get("resourceSubscriptions", b"[]"))
    uris = None if len(raw) > MAX_URIS_BYTES else jsonrpc.texts(raw)
    if uris is None or len(uris) > MAX_RESOURCES:
        raise ProtocolError(
            jsonrpc.INVALID_PARAMS,
            f"params.notifications.resourceSubscriptions must be at most {MAX_RESOURCES} strings: URIs, "
            f"of {MAX_URIS_BYTES >> 20} MiB together",
        )
    return list(dict.fromkeys(uris))
