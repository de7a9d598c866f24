"""Reading everything that a server offers. A list that cannot be read is missing, and named; the others are offered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from msgspec import Raw

from ..catalog.intake import Intake
from ..catalog.model import KINDS, FailedList, Kind, Offer
from ..protocol import jsonrpc, translation
from ..protocol.errors import Reason, UpstreamError
from .connection import Connection
from .handshake import Profile

LIST_TIMEOUT: Final = 30.0  # seconds for a page of the first list
NEXT_LIST_TIMEOUT: Final = 10.0  # for a page of the others: that the server answers is known by then
UNDECLARED_TIMEOUT: Final = 3.0  # for a page of a list that the server has not declared
_TOOLS: Final = KINDS["tools"]


async def list_all(connection: Connection, profile: Profile, *, gateway: str) -> Offer:
    """What a server offers, within the bounds of `Intake`. Raises: UpstreamError, if the connection ends."""
    reader = _Reader(connection, profile, gateway)
    declared, undeclared = _kinds(profile)
    for kind in declared[:1]:
        await reader.read(kind, LIST_TIMEOUT)
    work = [reader.read(kind, NEXT_LIST_TIMEOUT) for kind in declared[1:]]
    work += [reader.read(kind, UNDECLARED_TIMEOUT, declared=False) for kind in undeclared]
    await asyncio.gather(*work)
    return reader.intake.offer()


def _kinds(profile: Profile) -> tuple[list[Kind], list[Kind]]:
    """The lists that a server says that it has; and those that it may have, since it is unclear about them, or declares none."""
    declared = [kind for kind in KINDS.values() if kind.capability in profile.capabilities]
    undeclared = [kind for kind in KINDS.values() if kind.capability in profile.unclear]
    if not declared and _TOOLS not in undeclared:
        undeclared = [_TOOLS, *undeclared]
    return declared, undeclared


class _Reader:
    """Reads the lists of one server over one connection."""

    def __init__(self, connection: Connection, profile: Profile, gateway: str) -> None:
        self.intake = Intake(connection.server)
        self._connection, self._profile, self._gateway = connection, profile, gateway

    async def read(self, kind: Kind, patience: float, *, declared: bool = True) -> None:
        """Read one list; a failure of it is a part of the offer. Raises: UpstreamError, if the connection ends."""
        try:
            await self._read_pages(kind, patience)
        except jsonrpc.ProtocolError as error:
            unknown = error.code == jsonrpc.METHOD_NOT_FOUND
            # Many servers with resources have no templates, and say it this way.
            if declared and not (unknown and kind.name == "resourceTemplates"):
                self._fail(kind, f"{kind.method} failed: {error}", lasting=unknown)
        except UpstreamError as error:
            if self._connection.closed.done() or error.failure.reason not in (Reason.TIMEOUT, Reason.PROTOCOL_ERROR):
                raise
            if declared:
                self._fail(kind, error.failure.message, lasting=False)

    def _fail(self, kind: Kind, reason: str, *, lasting: bool) -> None:
        self.intake.fail(FailedList(kind.name, self._connection.server, reason, lasting))

    async def _read_pages(self, kind: Kind, patience: float) -> None:
        """All pages of one list; the caching hint of the last page applies to all."""
        cursor: Raw | None = None
        while True:
            page = await self._connection.call(kind.method, self._params(cursor), timeout=patience)
            await _in_turns(self.intake.read(kind, page))
            cursor = self.intake.following(kind, page)
            if cursor is None:
                return

    def _params(self, cursor: Raw | None) -> bytes:
        params = {} if cursor is None else {"cursor": cursor}
        return jsonrpc.dump(translation.to_server(params, upstream=self._profile.era, gateway=self._gateway))


async def _in_turns(steps: Iterable[None]) -> None:
    for _ in steps:
        await asyncio.sleep(0)
