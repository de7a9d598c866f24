"""The sending of one request to its server: over which connection, under which id, and whether once more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec

from ..catalog.model import Item
from ..protocol import jsonrpc
from ..protocol.decoder import Decoder
from ..protocol.errors import Failure, Reason, UpstreamError
from ..protocol.jsonrpc import ProtocolError
from ..runtime.boundaries import Boundaries
from ..upstream.backend import Backend
from ..upstream.connection import Connection
from ..upstream.snapshot import Caller

_LOST_IN_FLIGHT: Final = frozenset({Reason.EXITED, Reason.UNREACHABLE, Reason.DRAINING})

OnConnected = Callable[[Connection], None]
OnUnavailable = Callable[[Failure], None]


class Transmission:
    """Waits for a connection, is sent over it, and is sent once more over another one if that does no harm."""

    __slots__ = ("_backend", "_boundaries", "_caller", "_item", "_resent", "_task", "connection", "id")

    def __init__(self, backend: Backend, caller: Caller, item: Item | None, boundaries: Boundaries) -> None:
        """`item` is the listed tool, prompt or resource that is asked for."""
        self.connection: Connection | None = None
        self._backend, self._caller, self._item = backend, caller, item
        self._boundaries = boundaries
        self.id = 0  # under which it has been sent over this connection; none yet
        self._resent = False
        self._task: asyncio.Task[None] | None = None

    def connect(self, on_connected: OnConnected, on_unavailable: OnUnavailable) -> None:
        """Take a connection: one that is ready at once, else as soon as there is one."""
        connection = self._backend.ready_connection(self._caller)
        if connection is not None:
            self.connection = connection
            on_connected(connection)
        else:
            self._task = asyncio.get_running_loop().create_task(self._connect(on_connected, on_unavailable))

    def connect_again(self, failure: Failure, on_connected: OnConnected, on_unavailable: OnUnavailable) -> bool:
        """Take another connection after a loss. False: the request may not be sent again."""
        if not self._may_resend(failure):
            if self.connection is not None:
                self.connection.loss_told = True
            return False
        self._resent = True
        self.connection = None
        self._task = asyncio.get_running_loop().create_task(self._connect(on_connected, on_unavailable))
        return True

    async def _connect(self, on_connected: OnConnected, on_unavailable: OnUnavailable) -> None:
        try:
            self.connection = await self._backend.connection(self._caller)
            on_connected(self.connection)
        except UpstreamError as error:
            on_unavailable(error.failure)
        except Exception as error:
            server = self._backend.server.name
            self._boundaries.report("held request", error, server=server)
            on_unavailable(Failure(server, Reason.INTERNAL_ERROR, "the request could not be sent to it"))

    def _may_resend(self, failure: Failure) -> bool:
        """Once, and only what was not begun, or does no harm when it is done twice (MCP specification, "Tool Annotations")."""
        if self._resent or failure.reason == Reason.SESSION_LOST:
            return not self._resent
        return failure.reason in _LOST_IN_FLIGHT and self._item is not None and _harmless(self._item)

    def cancel(self, reason: str) -> None:
        """Stop waiting for a connection, or tell the server that no reply is wanted any more."""
        if self._task is not None:
            self._task.cancel()
        if self.connection is not None and self.id:
            self.connection.notify("notifications/cancelled", jsonrpc.dump({"requestId": self.id, "reason": reason}))
            self.connection.forget(self.id)


class _Annotations(msgspec.Struct, rename="camel"):
    read_only_hint: Any = False
    idempotent_hint: Any = False


class _Annotated(msgspec.Struct):
    annotations: _Annotations = msgspec.field(default_factory=_Annotations)


_annotated = Decoder(_Annotated)


def _harmless(item: Item) -> bool:
    """Whether a tool declares that it reads only, or that doing it twice is as good as once."""
    try:
        hints = _annotated.decode(item.raw).annotations
    except ProtocolError:
        return False
    return hints.read_only_hint is True or hints.idempotent_hint is True
