"""The connections to a server's shared processes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from .connection import Connection
from .errors import UpstreamError

_PAUSE: Final = 5.0  # seconds before a lost connection is opened anew


class Pool:
    """Calls go to whichever has the least to do. The end of the first connection is the end of all."""

    def __init__(self) -> None:
        self._connections: list[Connection] = []

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

    async def keep_spare(self, open: Callable[[], Awaitable[Connection]], lost: Callable[[UpstreamError], None]) -> None:
        """Keep one more connection open, for ever; `lost` hears of each end."""
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
                lost(error)
            await asyncio.sleep(_PAUSE)

    def retire(self) -> None:
        """Take none of them for another call; each closes once nothing is in flight on it."""
        retiring, self._connections = self._connections, []
        for connection in retiring:
            connection.retire()

    def close(self) -> None:
        """Close all of them now."""
        for connection in self._connections:
            connection.close()
