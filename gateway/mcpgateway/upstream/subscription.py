"""What a server has been asked to tell of by itself: changes of its lists, and of single resources.

Source: MCP specification 2026-07-28, "Subscriptions" (one request that stays open); 2025-11-25, "Resources" (one a resource).
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from msgspec import Raw, UnsetType

from ..protocol import jsonrpc, translation
from .connection import Connection, Outcome
from .handshake import Profile

_PAUSE: Final = 1.0  # seconds before a stream that the server has ended is opened again
_MAX_RESOURCES: Final = 1000
_MAX_SUBSCRIBERS: Final = 10_000  # of one resource
_LISTS: Final = {"tools": "toolsListChanged", "prompts": "promptsListChanged", "resources": "resourcesListChanged"}


class Subscriber(Protocol):
    """Who wants to know that a resource has changed; hashable."""

    def updated(self, params: Raw) -> None:
        """It has changed; the params of `notifications/resources/updated`."""


class Subscription:
    """The subscribers of one server, and what its present connection has been told of them."""

    def __init__(self, *, gateway: str) -> None:
        self._gateway = gateway
        self._subscribers: dict[str, dict[Subscriber, None]] = {}
        self._connection: Connection | None = None
        self._profile: Profile | None = None
        self._listening = 0  # the id of the open request

    def attach(self, connection: Connection, profile: Profile) -> None:
        """Ask a fresh connection."""
        self._connection, self._profile, self._listening = connection, profile, 0
        if profile.era == "modern":
            self._listen()
        else:
            for uri in self._subscribers:
                self._request("resources/subscribe", uri)

    def detach(self) -> None:
        """The connection is not to be used any more."""
        if self._connection is not None and self._listening:
            self._connection.forget(self._listening)
        self._connection, self._listening = None, 0

    def add(self, uri: str, subscriber: Subscriber) -> None:
        """Someone wants to know of a resource."""
        subscribers = self._subscribers.setdefault(uri, {})
        subscribers[subscriber] = None
        if len(subscribers) > _MAX_SUBSCRIBERS:  # sessions may end without a message: the oldest make room
            del subscribers[next(iter(subscribers))]
        if len(self._subscribers) > _MAX_RESOURCES:
            del self._subscribers[next(iter(self._subscribers))]
        if len(subscribers) == 1:
            self._changed("resources/subscribe", uri)

    def discard(self, uri: str, subscriber: Subscriber) -> None:
        """Someone does not want to know any more."""
        subscribers = self._subscribers.get(uri, {})
        subscribers.pop(subscriber, None)
        if not subscribers and self._subscribers.pop(uri, None) is not None:
            self._changed("resources/unsubscribe", uri)

    def forget(self, subscriber: Subscriber) -> None:
        """Someone is gone."""
        for uri in [uri for uri, subscribers in self._subscribers.items() if subscriber in subscribers]:
            self.discard(uri, subscriber)

    def updated(self, params: Raw | UnsetType) -> None:
        """The server says that a resource has changed."""
        try:
            uri = jsonrpc.text(jsonrpc.members(params)["uri"])
        except (jsonrpc.ProtocolError, KeyError):
            return
        for subscriber in list(self._subscribers.get(uri or "", ())):
            subscriber.updated(Raw(bytes(params)))  # type: ignore[arg-type]  # it had members

    # --- towards the server -----------------------------------------------------------------------------------------------

    def _changed(self, method: str, uri: str) -> None:
        if self._profile is not None and self._profile.era == "modern":
            self._listen()
        else:
            self._request(method, uri)

    def _request(self, method: str, uri: str) -> None:
        if self._connection is not None:
            self._connection.send(method, jsonrpc.dump({"uri": uri}), lambda outcome, value: None)

    def _listen(self) -> None:
        """Open a stream with the present filter, then close the previous stream."""
        connection, profile = self._connection, self._profile
        if connection is None or profile is None:
            return
        previous, self._listening = self._listening, 0
        wanted: dict[str, object] = {name: True for kind, name in _LISTS.items() if f"{kind}.listChanged" in profile.capabilities}
        if self._subscribers:
            wanted["resourceSubscriptions"] = list(self._subscribers)
        if wanted:
            params = {"notifications": Raw(jsonrpc.dump(wanted))}
            body = jsonrpc.dump(translation.to_server(params, upstream="modern", gateway=self._gateway))
            id = self._listening = connection.reserve()
            connection.send("subscriptions/listen", body, lambda outcome, value: self._ended(id, outcome), id=id, standing=True)
        if previous:
            connection.notify("notifications/cancelled", jsonrpc.dump({"requestId": previous}))
            connection.forget(previous)

    def _ended(self, id: int, outcome: Outcome) -> None:
        """The server has ended the stream, or refused it: then it is not asked again."""
        if id == self._listening:
            self._listening = 0
            if outcome == "result":
                asyncio.get_running_loop().call_later(_PAUSE, self._listen_again)

    def _listen_again(self) -> None:
        if not self._listening:
            self._listen()
