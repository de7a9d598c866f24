"""The connections to a server's shared processes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from ..protocol.errors import Failure, UpstreamError
from .connection import Connection

_PAUSE: Final = 5.0  # seconds before a lost connection is opened anew


class SharedPool:
    """Calls go to whichever has the least to do. The end of the first connection is the end of all."""

    def __init__(self) -> None:
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
        known = self._connections
        if len(known) < 2:
            return known[0] if known else None
        return min(known, key=lambda one: one.in_flight)

    def add(self, connection: Connection) -> None:
        """One more that can be used."""
        self._connections.append(connection)

    def spread(self, spares: int, open: Callable[[int], Awaitable[Connection]], lost: Callable[[Failure], None]) -> None:
        """Keep so many connections open besides the first; `open` gets a spare's number, `lost` hears of each end."""
        for number in range(len(self._spares), spares):
            self._spares.append(asyncio.create_task(self._keep(partial(open, number + 1), lost)))
        while len(self._spares) > spares:
            self._spares.pop().cancel()

    async def _keep(self, open: Callable[[], Awaitable[Connection]], lost: Callable[[Failure], None]) -> None:
        while True:
            try:
                connection = await open()
                self.add(connection)
                try:
                    await asyncio.wait([connection.closed])
                finally:
                    if connection in self._connections:  # else it has been retired with all others
                        self._connections.remove(connection)
                        connection.retire()
                lost(connection.closed.result())
            except UpstreamError as error:
                lost(error.failure)
            await asyncio.sleep(_PAUSE)

    def retire(self) -> None:
        """Take none of them for another call; each closes once nothing is in flight on it."""
        self._cancel_spares()
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
