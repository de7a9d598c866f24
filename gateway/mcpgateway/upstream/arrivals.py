"""Bridges of a new version of a server, beside those that serve: each is asked whether its server answers, and then told so.

A pod with such a bridge is not ready before, so that a version which does not work replaces none that does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from ..config import Server
from ..protocol.errors import Failure, Reason, UpstreamError, internal
from .bridge.proof import BridgeKeys
from .bridge.transport import BridgeTransport
from .discovery import Discovery
from .references import await_references
from .reports import Reports
from .transport import Watch

_BACKOFF: Final = (0.2, 5.0)  # seconds between attempts: first and longest
_CRASHES: Final = 3  # ends in a row that are no accident


class Arrivals:
    """Asks the servers behind the given bridges. `on_change` is called after every change of `failure`."""

    def __init__(
        self, server: Server, *, gateway: str, keys: BridgeKeys, reports: Reports, on_change: Callable[[], object]
    ) -> None:
        self._server, self._gateway, self._keys, self._reports, self._on_change = server, gateway, keys, reports, on_change
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._failures: dict[str, Failure | None] = {}  # None: it has answered

    @property
    def failure(self) -> Failure | None:
        """Why the newest of them that has not answered has not; None if all have."""
        return next((failure for failure in self._failures.values() if failure is not None), None)

    def update(self, server: Server) -> None:
        """Take a changed configuration."""
        self._server = server
        for address in [address for address in self._tasks if address not in server.arriving]:
            self._tasks.pop(address).cancel()
        waiting = Failure(server.name, Reason.CONNECTING, "it has not answered yet")
        self._failures = {address: self._failures.get(address, waiting) for address in server.arriving}
        for address in server.arriving:
            if address not in self._tasks:
                self._tasks[address] = asyncio.get_running_loop().create_task(self._ask(address), name=f"arrival {address}")

    async def close(self) -> None:
        """Ask no more."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _ask(self, address: str) -> None:
        """This is the boundary: whatever a bridge does ends no more than one attempt."""
        delay, crashes = _BACKOFF[0], 0
        while True:
            try:
                await self._attempt(address)
            except UpstreamError as error:
                failure = error.failure
            except Exception as error:
                self._reports.internal_error("arrival", error)
                failure = internal(self._server.name, error)
            crashes = crashes + 1 if failure.reason == Reason.EXITED else 0
            if crashes >= _CRASHES:
                failure = Failure(failure.server, Reason.CRASH_LOOP, failure.message, failure.exit)
            self._note(address, failure)
            await asyncio.sleep(delay)
            delay = min(2 * delay, _BACKOFF[1])

    async def _attempt(self, address: str) -> None:
        """Ask one until it answers, then stay until its bridge ends. Raises: UpstreamError, always."""
        server: Sequence[str] = (address,)
        transport = BridgeTransport(self._server, server, gateway=self._gateway, keys=self._keys)
        watch = await transport.watch()
        try:
            await await_references(self._server.name, watch, lambda failure: self._note(address, failure))
            await self._introduce(transport, watch)
            watch.answered()
            self._note(address, None)
            raise UpstreamError(await asyncio.shield(watch.closed))
        finally:
            watch.close()

    async def _introduce(self, transport: BridgeTransport, watch: Watch) -> None:
        discovery = Discovery(lambda: transport.shared(0), gateway=self._gateway, on_waiting=lambda words: None)
        discovery.at(watch.control.instance, lambda: watch.control.starting)
        connection, _ = await discovery.introduce(start_timeout=self._server.start_timeout)
        connection.close()

    def _note(self, address: str, failure: Failure | None) -> None:
        if address in self._failures and self._failures[address] != failure:
            self._failures[address] = failure
            self._on_change()
