"""A server's lists as they are now: read again when the server says that they change, and when one of them could not be read.

Source: MCP specification 2025-11-25, "Tools", "List Changed Notification".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from msgspec import Raw, UnsetType

from ..catalog.model import Offer
from ..protocol.errors import Failure, Reason, UpstreamError
from ..runtime.background import first
from .connection import Connection
from .handshake import Profile
from .lists import list_all
from .own_process import LIST_CHANGED, RELIST_INTERVAL

LINGER: Final = 60.0  # seconds: so long after its start, or after its last change, a server may still register what it offers
_RETRY: Final = (5.0, 60.0)  # seconds before a list that failed is asked for again: first and longest


class ListKeeper:
    """Reads the lists over one connection at a time. `on_offer` is called with each later state of them."""

    def __init__(self, *, gateway: str, on_offer: Callable[[Offer], object]) -> None:
        self._gateway, self._on_offer = gateway, on_offer
        self._news = asyncio.Event()

    def changed(self) -> None:
        """The server says that its lists have changed."""
        self._news.set()

    def on_notification(self, method: str, params: Raw | UnsetType) -> None:
        """Take what a server sends before it serves anyone."""
        if method in LIST_CHANGED:
            self.changed()

    async def read(self, connection: Connection, profile: Profile) -> Offer:
        """What the server offers now. Raises: UpstreamError, if the connection ends, or no list at all can be read."""
        self._news.clear()  # a change from here on may be missing in the answers
        offer = await list_all(connection, profile, gateway=self._gateway)
        if not offer.readable:
            raise UpstreamError(Failure(connection.server, Reason.PROTOCOL_ERROR, offer.missing_lists))
        return offer

    async def keep(self, connection: Connection, profile: Profile, offer: Offer) -> Failure:
        """Go on as long as the connection. Returns: why it has ended."""
        await self._follow(connection, profile, offer, patience=None)
        await asyncio.wait([connection.closed])
        return connection.closed.result()

    async def linger(self, connection: Connection, profile: Profile, offer: Offer) -> None:
        """Go on until nothing has changed for a while, then close the connection."""
        try:
            await self._follow(connection, profile, offer, patience=LINGER)
        finally:
            connection.close()

    async def _follow(self, connection: Connection, profile: Profile, offer: Offer, *, patience: float | None) -> None:
        loop = asyncio.get_running_loop()
        retry, until = _RETRY[0], float("inf") if patience is None else loop.time() + patience
        while True:
            left = min(until - loop.time(), retry if _worth_retrying(offer) else _RETRY[1])
            await first([self._news], [connection.closed], max(0.0, left))
            if connection.closed.done():
                return
            if self._news.is_set():
                retry, until = _RETRY[0], until if patience is None else loop.time() + patience
            elif loop.time() >= until:
                return
            elif not _worth_retrying(offer):
                continue
            else:
                retry = min(2 * retry, _RETRY[1])
            self._news.clear()
            try:
                offer = await list_all(connection, profile, gateway=self._gateway)
            except UpstreamError:
                return  # the connection has ended
            if offer.readable:  # else what was read before is better than nothing
                self._on_offer(offer)
            await asyncio.sleep(RELIST_INTERVAL)


def _worth_retrying(offer: Offer) -> bool:
    return any(not failed.lasting for failed in offer.failed)
