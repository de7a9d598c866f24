"""How a request comes to a connection that is not ready at once, and after a loss to another one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec

from ..catalog.model import Item
from ..protocol.decoder import Decoder
from ..protocol.errors import Failure, Reason, UpstreamError
from ..protocol.jsonrpc import ProtocolError
from ..runtime.boundaries import Boundaries
from ..upstream.backend import Backend
from ..upstream.connection import Connection
from ..upstream.snapshot import Caller

_LOST_IN_FLIGHT: Final = frozenset({Reason.EXITED, Reason.UNREACHABLE, Reason.DRAINING})


class Transmission:
    """Waits for a connection where none is ready, and after a loss takes another one if that does no harm."""

    __slots__ = ("_backend", "_boundaries", "_caller", "_on_connected", "_on_unavailable", "_resent", "_task")

    def __init__(
        self,
        backend: Backend,
        caller: Caller,
        boundaries: Boundaries,
        *,
        on_connected: Callable[[Connection], None],
        on_unavailable: Callable[[Failure], None],
    ) -> None:
        self._backend, self._caller, self._boundaries = backend, caller, boundaries
        self._on_connected, self._on_unavailable = on_connected, on_unavailable
        self._resent = False
        self._task: asyncio.Task[None] | None = None

    def connect(self) -> None:
        """Take a connection as soon as there is one."""
        self._task = asyncio.get_running_loop().create_task(self._connect())

    def connect_again(self, failure: Failure, item: Item | None) -> bool:
        """Take another connection after a loss. False: the request, for that tool, prompt or resource, is not sent again."""
        if not self._may_resend(failure, item):
            return False
        self._resent = True
        self.connect()
        return True

    async def _connect(self) -> None:
        try:
            self._on_connected(await self._backend.connection(self._caller))
        except UpstreamError as error:
            self._on_unavailable(error.failure)
        except Exception as error:
            server = self._backend.server.name
            self._boundaries.report("held request", error, server=server)
            self._on_unavailable(Failure(server, Reason.INTERNAL_ERROR, "the request could not be sent to it"))

    def _may_resend(self, failure: Failure, item: Item | None) -> bool:
        """Once, and only what was not begun, or does no harm when it is done twice (MCP specification, "Tool Annotations")."""
        if self._resent or failure.reason == Reason.SESSION_LOST:
            return not self._resent
        return failure.reason in _LOST_IN_FLIGHT and item is not None and _harmless(item)

    def cancel(self) -> None:
        """Stop waiting for a connection."""
        if self._task is not None:
            self._task.cancel()


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
