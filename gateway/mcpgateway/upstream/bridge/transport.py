"""The bridges of one server: which of them is used for what."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from ...config import Server
from ...protocol.errors import Failure, Reason, UpstreamError
from ..transport import Watch
from .connection import BridgedConnection, Control, connect
from .proof import BridgeKeys

_MISSES: Final = 2  # at known addresses before the fallback's turn


class BridgeTransport:
    """Reaches a server through the bridges at its addresses."""

    def __init__(self, server: Server, addresses: Sequence[str], *, gateway: str, keys: BridgeKeys) -> None:
        self._server, self._addresses, self._gateway, self._keys = server, tuple(addresses), gateway, keys
        self._address = ""  # that is watched
        self._misses = 0  # attempts in a row that found no bridge

    @property
    def moved(self) -> bool:
        return self._address not in self._addresses

    @property
    def place(self) -> str:
        return self._address

    @property
    def elsewhere(self) -> bool:
        return any(address != self._address for address in self._addresses)

    @property
    def places(self) -> int:
        return max(1, len(self._addresses))

    def update(self, server: Server, addresses: Sequence[str]) -> None:
        self._server, self._addresses = server, tuple(addresses)

    def missed(self, error: Failure) -> None:
        self._misses = self._misses + 1 if error.reason == Reason.UNREACHABLE else 0

    async def watch(self) -> Watch:
        self._address = self._pick()
        watch = Watch()
        link = await self._connect(self._address, {"mode": "watch"}, on_control=watch.receive)
        link.closed.add_done_callback(lambda closed: watch.lose(closed.result()))
        watch.close, watch.answered = link.close, link.confirm
        return watch

    async def shared(self, number: int) -> BridgedConnection:
        places = [self._address, *sorted(address for address in self._addresses if address != self._address)]
        return await self._connect(places[number % len(places)], {"mode": "direct", "tag": "shared"})

    async def own(self, key: str, *, lasting: bool) -> BridgedConnection:
        greeting = {"mode": "direct", "tag": key}
        if lasting:
            greeting = {"mode": "attach", "session": f"{self._gateway}/{key}", "tag": key[:12]}
        return await self._connect(self._place(key), greeting)

    async def close(self, *, patience: float) -> None:
        """Connections end by themselves."""

    async def _connect(
        self, address: str, greeting: Mapping[str, str], *, on_control: Callable[[Control], None] | None = None
    ) -> BridgedConnection:
        connection = await connect(self._server.name, address, greeting, keys=self._keys, on_control=on_control)
        connection.place = address
        return connection

    def _pick(self) -> str:
        if not self._addresses:
            raise UpstreamError(Failure(self._server.name, Reason.NO_ADDRESS, "no pod of it has an address yet"))
        # The addresses may be out of date while no operator runs: then the name is tried in turn.
        if self._server.fallback and self._misses > _MISSES and self._misses % 2:
            return self._server.fallback
        return self._addresses[0]

    def _place(self, key: str) -> str:
        """The bridge of a key: rendezvous hashing, so that a change of the addresses moves as few as possible."""
        if len(self._addresses) < 2:
            return self._pick()
        return max(self._addresses, key=lambda address: hashlib.sha256(f"{address} {key}".encode()).digest())
