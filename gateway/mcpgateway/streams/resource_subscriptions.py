"""Subscriptions of clients to resources: who is notified, and by which process.

Source: MCP specification 2025-11-25, "Resources", "Subscriptions"; 2026-07-28, "Subscriptions".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from msgspec import Raw

from ..protocol import jsonrpc
from ..protocol.errors import UpstreamError
from ..runtime.background import Background
from ..upstream.backend import Backend
from ..upstream.snapshot import Caller
from ..upstream.subscription import Subscriber, Subscription
from .session_streams import SessionStreams

MAX_RESOURCES: Final = 200  # subscriptions of one legacy session


class ResourceOwners(Protocol):
    """The configured servers, and which of them has a resource."""

    @property
    def backends(self) -> Mapping[str, Backend]:
        """The servers, by name."""

    def owner(self, uri: str, caller: Caller) -> Backend | None:
        """The server that a caller reads a URI from."""


@dataclass(frozen=True, slots=True)
class _SessionStream:
    """A legacy session that has subscribed to a resource."""

    key: str
    streams: SessionStreams

    def updated(self, params: Raw) -> None:
        self.streams.post(self.key, jsonrpc.notification("notifications/resources/updated", params))


class ResourceSubscriptions:
    """Keeps the servers' subscriptions equal to those of the clients."""

    def __init__(self, owners: ResourceOwners, streams: SessionStreams) -> None:
        self._owners, self._streams = owners, streams
        self._subscribed: dict[str, dict[tuple[Backend, Caller, str], None]] = {}  # by session
        self._tasks = Background()

    def set(self, uri: str, backend: Backend, caller: Caller, *, wanted: bool) -> None:
        """Subscribe a legacy session to a resource, or end that. Raises: ProtocolError if its server has no subscriptions."""
        if "resources.subscribe" not in backend.capabilities:
            message = f"server {backend.server.name!r} does not announce changes of resources"
            raise jsonrpc.ProtocolError(jsonrpc.METHOD_NOT_FOUND, message)
        subscriber = _SessionStream(caller.key, self._streams)
        if wanted:
            subscribed = self._subscribed.setdefault(caller.key, {})
            if len(subscribed) >= MAX_RESOURCES:
                message = f"the session has subscribed to {MAX_RESOURCES} resources, the most that one may: unsubscribe from some"
                raise jsonrpc.ProtocolError(jsonrpc.INVALID_PARAMS, message)
            subscribed[backend, caller, uri] = None

            def add(subscription: Subscription) -> None:
                if (backend, caller, uri) in self._subscribed.get(caller.key, ()):  # its session may have ended meanwhile
                    subscription.add(uri, subscriber)

            self._change(backend, caller, add)
        else:
            self._subscribed.get(caller.key, {}).pop((backend, caller, uri), None)
            self._change(backend, caller, lambda subscription: subscription.discard(uri, subscriber))

    def forget(self, key: str) -> None:
        """End the subscriptions of a legacy session that is over; a process of its own ends with the session."""
        subscriber = _SessionStream(key, self._streams)
        for backend, caller, uri in self._subscribed.pop(key, ()):
            own = backend.own_process(caller)
            (backend.subscription if own is None else own.subscription).discard(uri, subscriber)

    def holds(self, key: str) -> bool:
        """Whether something is kept for a session."""
        return key in self._subscribed

    def watch(self, uri: str, subscriber: Subscriber, caller: Caller) -> Callable[[], None] | None:
        """Subscribe to a resource; the answer undoes it. None: no server has the resource, or announces its changes."""
        backend = self._owners.owner(uri, caller)
        if backend is None or "resources.subscribe" not in backend.capabilities:
            return None
        self._change(backend, caller, lambda subscription: subscription.add(uri, subscriber))
        return lambda: self._change(backend, caller, lambda subscription: subscription.discard(uri, subscriber))

    def _change(self, backend: Backend, caller: Caller, change: Callable[[Subscription], None]) -> None:
        """Change the subscription of a caller's own process, which is started for it, or of the shared one."""
        if backend.snapshot.isolation == "Shared":
            change(backend.subscription)
            return

        async def later() -> None:
            try:
                subscription = await backend.subscription_for(caller)
            except UpstreamError:
                return  # the server is away: its own state says so
            change(subscription)

        self._tasks.start(later())
