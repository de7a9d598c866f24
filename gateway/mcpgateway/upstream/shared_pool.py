"""The connections to the processes that all callers of a server share, and what those processes send by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from msgspec import Raw, UnsetType

from ..protocol.errors import Failure, UpstreamError, internal
from .connection import Connection, closed_on_failure
from .handshake import Handshake, Profile
from .own_process import LIST_CHANGED
from .reports import Reports
from .snapshot import Peer
from .subscription import Subscription
from .transport import Transport

_PAUSE: Final = 5.0  # seconds before a lost connection is opened again


class SharedPool:
    """Calls go to whichever has the least to do. The end of the first connection is the end of all.

    `on_list_changed` is called when the server says that its lists have changed, `on_lost` for the end of each connection but
    the first.
    """

    def __init__(
        self,
        server: str,
        transport: Transport,
        *,
        gateway: str,
        start_timeout: float,
        peer: Peer,
        reports: Reports,
        on_list_changed: Callable[[], object],
        on_lost: Callable[[Failure], object],
    ) -> None:
        self.subscription = Subscription(gateway=gateway)
        self._server, self._transport, self._gateway = server, transport, gateway
        self._peer, self._reports = peer, reports
        self._on_list_changed, self._on_lost = on_list_changed, on_lost
        self.start_timeout = start_timeout  # seconds until a process has answered
        self._connections: list[Connection] = []
        self._spares: list[asyncio.Task[None]] = []  # besides the first connection

    @property
    def in_flight(self) -> int:
        """Calls that wait for an answer."""
        return sum(connection.in_flight for connection in self._connections)

    @property
    def lost(self) -> bool:
        """Whether the first connection has ended."""
        return bool(self._connections) and self._connections[0].closed.done()

    def pick(self) -> Connection | None:
        """A connection for a call; None if there is none."""
        connections = self._connections
        if len(connections) < 2:
            return connections[0] if connections else None
        return min(connections, key=lambda connection: connection.in_flight)

    async def open(self, number: int = 0) -> Connection:
        """A connection that is not in the pool yet. Raises: UpstreamError."""
        connection = await self._transport.shared(number)
        connection.reports = self._reports
        return connection

    def adopt(self, connection: Connection, profile: Profile) -> None:
        """Use the connection of discovery as the first one."""
        self._add(connection)
        self.subscription.attach(connection, profile)

    def _add(self, connection: Connection) -> None:
        connection.on_notification = partial(self._on_notification, connection)
        self._connections.append(connection)

    def _on_notification(self, connection: Connection, method: str, params: Raw | UnsetType) -> None:
        """What a shared process sends is for everybody, or for those who have subscribed."""
        if method in LIST_CHANGED:
            self._on_list_changed()
        elif method == "notifications/resources/updated":
            self.subscription.updated(params)
        else:
            self._peer.says(connection, method, params)

    def spread(self, spares: int, profile: Profile) -> None:
        """Keep so many connections open besides the first."""
        for number in range(len(self._spares), spares):
            self._spares.append(asyncio.create_task(self._keep(number + 1, profile)))
        while len(self._spares) > spares:
            self._spares.pop().cancel()

    async def _keep(self, number: int, profile: Profile) -> None:
        while True:
            try:
                failure = await self._hold(await self._open_spare(number, profile))
            except UpstreamError as error:
                failure = error.failure
            except Exception as error:
                self._reports.internal_error("shared pool", error)
                failure = internal(self._server, error)
            self._on_lost(failure)
            await asyncio.sleep(_PAUSE)

    async def _open_spare(self, number: int, profile: Profile) -> Connection:
        connection = await self.open(number)
        if profile.era == "legacy":
            with closed_on_failure(connection):
                handshake = Handshake(connection, gateway=self._gateway, timeout=self.start_timeout)
                await handshake.initialize(profile.version)
        return connection

    async def _hold(self, connection: Connection) -> Failure:
        """Offer a connection to calls until it ends. Returns: why it ended."""
        self._add(connection)
        try:
            await asyncio.wait([connection.closed])
        finally:
            if connection in self._connections:  # else it has been retired with all others
                self._connections.remove(connection)
                connection.retire()
        return connection.closed.result()

    def retire(self) -> None:
        """Take none of them for another call; each closes once nothing is in flight on it."""
        self._cancel_spares()
        self.subscription.detach()
        retiring, self._connections = self._connections, []
        for connection in retiring:
            connection.retire()

    def close(self) -> None:
        """Close all of them now."""
        self._cancel_spares()
        for connection in self._connections:
            connection.close()

    def _cancel_spares(self) -> None:
        while self._spares:
            self._spares.pop().cancel()
