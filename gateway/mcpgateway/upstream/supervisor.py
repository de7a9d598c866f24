"""The life of one server: reach it, discover it, serve until something ends it, wait, and begin again.

Nothing that a server does ends its supervision; only its removal from the configuration does.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from ..catalog.model import KINDS, Offer
from ..config import Isolation, Server
from ..protocol.errors import Failure, Reason, UpstreamError, draining, internal, silent
from ..runtime.background import first
from . import heartbeat
from .bridge.connection import Control
from .connection import Connection, closed_on_failure
from .discovery import Discovery
from .handshake import Profile
from .keyed_processes import KeyedProcesses
from .list_keeper import ListKeeper
from .references import SILENCE, await_references
from .reports import Reports
from .shared_pool import SharedPool
from .snapshot import Discovered, Peer, Snapshot
from .start_check import INCONCLUSIVE, StartCheck
from .transport import Transport, Watch

_DRAIN_PATIENCE: Final = 5.0  # seconds that a bridge which is shutting down is still used while there is no other
_RESTART_PATIENCE: Final = 20.0  # seconds that a call waits for a server that is being restarted
_BACKOFF: Final = (0.1, 5.0)  # seconds: first and longest


@dataclass(frozen=True, slots=True)
class _Life:
    """What one life consists of, from discovery to its end."""

    watch: Watch
    references: str  # the version of the Secrets and ConfigMaps that it began with
    ends: tuple[asyncio.Future[Failure], ...]  # the first that is done ends it


class Supervisor:
    """Keeps `snapshot` accurate and says when calls can go out. `on_change` is called after every change of `snapshot`."""

    def __init__(
        self,
        server: Server,
        transport: Transport,
        processes: KeyedProcesses,
        *,
        gateway: str,
        peer: Peer,
        reports: Reports,
        on_change: Callable[[], object],
    ) -> None:
        self.snapshot = Snapshot()
        self._lists = ListKeeper(gateway=gateway, on_offer=self._on_offer)
        self.pool = SharedPool(
            server.name,
            transport,
            gateway=gateway,
            start_timeout=server.start_timeout,
            peer=peer,
            reports=reports,
            on_list_changed=self._lists.changed,
            on_lost=self.process_lost,
        )
        self._server, self._transport, self._processes, self._gateway = server, transport, processes, gateway
        self._reports, self._on_change = reports, on_change
        self._discovery = Discovery(self.pool.open, gateway=gateway, on_waiting=self._on_waiting)
        self._serving = False  # discovered, and connected where processes are shared
        self._settled = asyncio.Event()  # not in the middle of a restart
        self._settled.set()
        self._start_check = StartCheck(self._start_one, on_failure=self._on_start_refused, on_success=self.start_succeeded)
        self._failed_starts = 0
        self._retry = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"supervisor {server.name}")

    # --- for requests -----------------------------------------------------------------------------------------------------

    @property
    def usable(self) -> bool:
        """Whether a call can go out now."""
        if self._serving and self.pool.lost:  # its process has ended in this very moment, before the supervisor's task runs
            self._serving = False
            self._settled.clear()
        return self._serving

    async def await_usable(self) -> Discovered:
        """Wait while the server restarts. Returns: what it is. Raises: UpstreamError, if it does not come back in time."""
        if not self.usable:
            try:
                async with asyncio.timeout(_RESTART_PATIENCE):
                    await self._settled.wait()
            except TimeoutError:
                raise UpstreamError(self.absence) from None
        if not self._serving or self.snapshot.discovered is None:
            raise UpstreamError(self.absence)
        return self.snapshot.discovered

    @property
    def absence(self) -> Failure:
        """Why the server cannot be used."""
        return self.snapshot.absence(self._server.name)

    # --- for the configuration --------------------------------------------------------------------------------------------

    def update(self, server: Server) -> None:
        """Take a changed configuration; the connection stays if its address does."""
        self._server = server
        self.pool.start_timeout = server.start_timeout
        self._spread()
        self._retry.set()

    async def stop(self) -> None:
        """End supervision; connections are closed by their owners."""
        self._task.cancel()
        await asyncio.wait([self._task])
        self.pool.close()

    def process_lost(self, failure: Failure) -> None:
        """One of several processes has ended."""
        self._note(self.snapshot.process_lost(failure))

    def own_process_lost(self, failure: Failure) -> None:
        """A caller's process has ended."""
        self.process_lost(failure)
        if failure.exit is not None and failure.exit.code:
            self._start_check.doubt()

    def start_failed(self, failure: Failure) -> None:
        """A caller's process could not be started."""
        if failure.reason in INCONCLUSIVE:
            return
        self._failed_starts += 1
        if not self._start_check.under_way:  # else the check reports it: callers may fail a thousand times a second
            self._note(self.snapshot.start_failed(failure, self._failed_starts))
            self._start_check.doubt()

    def start_succeeded(self) -> None:
        """A process has been started well."""
        self._note(self.snapshot.restored())

    # --- the loop ---------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        delay = _BACKOFF[0]
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            failure = await self._live()
            self._transport.missed(failure)
            self._note(self.snapshot.lost(failure))
            if loop.time() - began > 2 * _BACKOFF[1]:
                delay = _BACKOFF[0]  # this life has lasted
            self._retry.clear()
            try:
                async with asyncio.timeout(delay * random.uniform(0.7, 1.3)):  # noqa: S311 - jitter, not a secret
                    await self._retry.wait()
            except TimeoutError:
                delay = min(delay * 2, _BACKOFF[1])

    async def _live(self) -> Failure:
        """One life. Returns: why it ended. This is the boundary: no exception of it passes to another server."""
        try:
            return await self._serve()
        except UpstreamError as error:
            return error.failure
        except Exception as error:
            self._reports.internal_error("supervision", error)
            return internal(self._server.name, error)

    async def _serve(self) -> Failure:
        watch = await self._transport.watch()
        async with AsyncExitStack() as stack:
            stack.callback(watch.close)
            await await_references(self._server.name, watch, lambda failure: self._note(self.snapshot.blocked(failure)))
            references = watch.control.references
            connection, discovered = await self._discover_watched(watch, references, stack)
            watch.answered()
            ends = [watch.closed]
            if discovered.isolation == "Shared":
                ends += [connection.closed, *self._attend(connection, discovered, stack)]
            else:
                ends += self._beside([self._start_check.run()], stack)
            return await self._hold(_Life(watch, references, tuple(ends)))

    def _leave(self) -> None:
        self._serving = False
        self.pool.retire()

    def _attend(self, connection: Connection, discovered: Discovered, stack: AsyncExitStack) -> list[asyncio.Future[Failure]]:
        """What is done beside the calls of a shared connection; each ends with the reason for which the life ends."""
        profile = discovered.profile
        works = [self._lists.keep(connection, profile, discovered.offer)]
        if not self._server.url:  # a remote server's operators restart it
            works.append(
                heartbeat.watch_answers(
                    connection,
                    profile,
                    gateway=self._gateway,
                    hang_timeout=self._server.hang_timeout,
                    on_change=self._on_heartbeat,
                )
            )
        return self._beside(works, stack)

    def _beside(
        self, works: Sequence[Coroutine[object, object, Failure]], stack: AsyncExitStack
    ) -> list[asyncio.Future[Failure]]:
        tasks: list[asyncio.Future[Failure]] = [asyncio.ensure_future(work) for work in works]
        for task in tasks:
            stack.callback(task.cancel)
        return tasks

    # --- before it serves -------------------------------------------------------------------------------------------------

    async def _discover_watched(self, watch: Watch, references: str, stack: AsyncExitStack) -> tuple[Connection, Discovered]:
        """Discover the server; its start ends early when its place or its Secrets change. Raises: UpstreamError."""
        self._discovery.at(watch.control.instance, lambda: watch.control.starting)
        work = asyncio.ensure_future(self._discover(stack))
        try:
            while not work.done():
                await first((watch.news, self._retry), (work, watch.closed), SILENCE)
                updated = self._retry.is_set()
                watch.news.clear()
                self._retry.clear()
                if not work.done():
                    self._check_place(watch, references, updated=updated)
            return work.result()
        finally:
            if work.cancel():
                await asyncio.wait([work])

    def _check_place(self, watch: Watch, references: str, *, updated: bool) -> None:
        """Raises: UpstreamError, unless the start goes on here. A fallback is left for the addresses of an update alone."""
        if watch.closed.done():
            raise UpstreamError(watch.closed.result())
        if updated and self._transport.moved:
            raise UpstreamError(Failure(self._server.name, Reason.MOVED, "it has another address now"))
        if watch.control.references != references:
            raise UpstreamError(_references_changed(self._server.name))

    async def _discover(self, stack: AsyncExitStack) -> tuple[Connection, Discovered]:
        connection, profile = await self._discovery.introduce(start_timeout=self._server.start_timeout)
        isolation = _isolation(self._server, profile)
        with closed_on_failure(connection):
            connection.on_notification = self._lists.on_notification
            if isolation == "Shared":  # before its lists are read, since it tells of no change before it is asked to
                stack.callback(self._leave)
                self.pool.adopt(connection, profile)
            offer = await self._lists.read(connection, profile)
        discovered = Discovered(profile, isolation, offer)
        if isolation != "Shared":
            stack.callback(self._leave)
            self._linger(connection, discovered, stack)
        self._serving = True
        self._note(self.snapshot.ready(discovered))
        self._spread()
        return connection, discovered

    def _linger(self, connection: Connection, discovered: Discovered, stack: AsyncExitStack) -> None:
        """The process of discovery serves no client. It stays for a while if its server may still register what it offers."""
        profile, offer = discovered.profile, discovered.offer
        if offer.failed or any(f"{kind.capability}.listChanged" in profile.capabilities for kind in KINDS.values()):
            task = asyncio.get_running_loop().create_task(self._lists.linger(connection, profile, offer))
            stack.callback(task.cancel)
            stack.callback(connection.close)  # also where the task has not begun
        else:
            connection.close()

    async def _start_one(self) -> Failure | None:
        """Start a process as a caller's would be, and end it. Returns: why it cannot be started, if so."""
        try:
            connection, _ = await self._discovery.introduce(start_timeout=self._server.start_timeout)
        except UpstreamError as error:
            return error.failure
        connection.close()
        return None

    def _spread(self) -> None:
        """Use all places of a shared server, with so many processes at each."""
        discovered = self.snapshot.discovered
        if self._serving and discovered is not None and discovered.isolation == "Shared":
            self.pool.spread(self._server.pool * self._transport.places - 1, discovered.profile)

    # --- while it serves --------------------------------------------------------------------------------------------------

    async def _hold(self, life: _Life) -> Failure:
        """Serve until something ends this life: process, bridge, drain, changed references, changed address."""
        loop = asyncio.get_running_loop()
        leave: float | None = None  # when a bridge that is shutting down is left, even if there is no other
        while True:
            patience = SILENCE if leave is None else max(0.0, leave - loop.time())
            woken = await first((life.watch.news, self._retry), life.ends, patience)
            for end in life.ends:
                if end.done():
                    return end.result()
            self._processes.evict()
            if not woken:
                return draining(self._server.name) if leave is not None else silent(self._server.name, SILENCE)
            if life.watch.news.is_set():
                life.watch.news.clear()
                if (ended := self._on_news(life.watch.control, life.references)) is not None:
                    return ended
                if life.watch.control.draining and leave is None:
                    leave = loop.time() + _DRAIN_PATIENCE
            if self._retry.is_set():
                self._retry.clear()
                if self._transport.moved:
                    self._processes.forsake("its server has moved", place=self._transport.place)
                    return Failure(self._server.name, Reason.MOVED, "it has another address now")

    def _on_news(self, control: Control, references: str) -> Failure | None:
        """What the bridge says of itself. Returns: why the life ends, if it does."""
        if control.draining and self._transport.elsewhere:
            self._processes.forsake("its bridge is shutting down", place=self._transport.place)
            return draining(self._server.name)
        if control.references != references:
            failure = _references_changed(self._server.name)
            self._processes.forsake(failure.message)
            return failure
        self._note(self.snapshot.running(control.processes, control.memory.limit, control.memory.process))
        return None

    def _on_offer(self, offer: Offer) -> None:
        self._note(self.snapshot.relisted(offer))

    def _on_waiting(self, words: str) -> None:
        if not self._serving:
            self._note(self.snapshot.starting(words))

    def _on_heartbeat(self, answers: bool) -> None:
        words = f"no answer for {heartbeat.DEADLINE:g} s: it is busy, or hangs"
        failure = Failure(self._server.name, Reason.UNRESPONSIVE, words)
        self._note(self.snapshot.responsive() if answers else self.snapshot.unresponsive(failure))

    def _on_start_refused(self, failure: Failure) -> None:
        self._note(self.snapshot.degraded(failure, self._failed_starts))

    # --- bookkeeping ------------------------------------------------------------------------------------------------------

    def _note(self, snapshot: Snapshot) -> None:
        if snapshot != self.snapshot:
            self.snapshot = snapshot
            if snapshot.state == "Restarting":
                self._settled.clear()
            else:
                self._settled.set()
            self._on_change()


def _references_changed(server: str) -> Failure:
    return Failure(server, Reason.REFERENCES_CHANGED, "a Secret or ConfigMap that it uses has changed")


def _isolation(server: Server, profile: Profile) -> Isolation:
    if server.isolation != "Auto":
        return server.isolation
    return "Shared" if profile.era == "modern" else "Session"
