"""Resources that clients want to hear of: who is told, and by which process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from msgspec import Raw

from ..protocol import jsonrpc
from ..protocol.errors import UpstreamError
from ..requests.visible_catalog import VisibleCatalog
from ..runtime.background import Background
from ..upstream.backend import Backend
from ..upstream.snapshot import Caller
from ..upstream.subscription import Subscriber, Subscription
from .server_messages import ServerMessages


@dataclass(frozen=True, slots=True)
class _SessionStream:
    """A legacy session that wants to know of a resource."""

    key: str
    server_messages: ServerMessages

    def updated(self, params: Raw) -> None:
        self.server_messages.post(self.key, jsonrpc.notification("notifications/resources/updated", params))


class ResourceSubscriptions:
    """Keeps the servers' subscriptions equal to what clients want."""

    def __init__(self, offers: VisibleCatalog, server_messages: ServerMessages) -> None:
        self._offers, self._server_messages = offers, server_messages
        self._tasks = Background()

    def tell(self, uri: str, backend: Backend, caller: Caller, *, wanted: bool) -> None:
        """A legacy session wants to know of a resource, or does not any more. Raises: ProtocolError if its server never tells."""
        if "resources.subscribe" not in backend.capabilities:
            message = f"server {backend.server.name!r} does not tell of changed resources"
            raise jsonrpc.ProtocolError(jsonrpc.METHOD_NOT_FOUND, message)
        subscriber = _SessionStream(caller.key, self._server_messages)
        self._change(backend, caller, lambda known: (known.add if wanted else known.discard)(uri, subscriber))

    def forget(self, key: str) -> None:
        """A legacy session has ended."""
        for backend in self._offers.backends.values():
            backend.subscription.forget(_SessionStream(key, self._server_messages))

    def watch(self, uri: str, subscriber: Subscriber, caller: Caller) -> Callable[[], None] | None:
        """Let a subscriber hear of a resource; the answer undoes it. None: nobody has it, or tells of it."""
        backend = self._offers.owner(uri, caller)
        if backend is None or "resources.subscribe" not in backend.capabilities:
            return None
        self._change(backend, caller, lambda known: known.add(uri, subscriber))
        return lambda: self._change(backend, caller, lambda known: known.discard(uri, subscriber))

    def _change(self, backend: Backend, caller: Caller, change: Callable[[Subscription], None]) -> None:
        """Change what a caller's process, or everybody's, is asked to tell of; a process of its own is started for it."""
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
