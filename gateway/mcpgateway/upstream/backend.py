"""One configured server: watches its bridge, discovers what it offers, and lends connections to calls.

A backend heals by itself for ever: nothing that a server does ends its supervision, only its removal from the configuration.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from msgspec import Raw, UnsetType

from ..catalog.model import KINDS
from ..config import Server
from ..protocol.errors import Failure, Reason, UpstreamError, draining, silent
from ..protocol.versions import Era
from ..runtime.background import Background, first
from . import discovery, heartbeat
from .bridge.connection import Control
from .connection import Connection, closed_on_failure
from .keyed_processes import KeyedProcesses
from .shared_pool import SharedPool
from .snapshot import Caller, Peer, Snapshot, State
from .subscription import Subscription
from .transport import Transport, Watch

_SILENCE = 35.0  # seconds without a line from a watched bridge, which sends one every 10
_DRAIN_PATIENCE = 5.0  # seconds that a bridge which is shutting down is still used while there is no other
_RESTART_PATIENCE = 20.0  # seconds that a call waits for a server that is being restarted
LIST_CHANGED = frozenset(f"notifications/{kind.capability}/list_changed" for kind in KINDS.values())
_BACKOFF = (0.1, 5.0)  # seconds: first and longest

OnEvent = Callable[[], None]


class Backend:
    """Supervises one server. `on_change` is called after every change of `snapshot`, `on_invalid` for each invalid message."""

    def __init__(
        self, server: Server, reach: Transport, *, gateway: str, on_change: OnEvent, on_invalid: OnEvent, peer: Peer
    ) -> None:
        self.server = server
        self.snapshot = Snapshot()
        self._reach = reach
        self._gateway = gateway
        self._on_change, self._on_invalid = on_change, on_invalid
        self._peer = peer
        self.subscription = Subscription(gateway=gateway)  # of the shared connection
        self._pool = SharedPool()  # of a shared server
        self._processes = KeyedProcesses(server.name, limit=server.max_processes, idle_timeout=server.idle_timeout)
        self._calls = itertools.count(1)
        self._relisting = Background()
        self._usable = asyncio.Event()  # Ready, and for a shared server connected
        self._settled = asyncio.Event()  # not in the middle of a restart
        self._settled.set()
        self._retry = asyncio.Event()
        self._relist = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"backend {server.name}")

    # --- what the router uses ---------------------------------------------------------------------------------------------

    @property
    def era(self) -> Era:
        """The era that the server speaks; meaningful once it was ready."""
        return self.snapshot.profile.era if self.snapshot.profile else "legacy"

    @property
    def instructions(self) -> str:
        """What the server says of its use."""
        return self.snapshot.profile.instructions if self.snapshot.profile else ""

    @property
    def extensions(self) -> Mapping[str, Raw]:
        """The extensions that the server offers, with their settings."""
        return self.snapshot.profile.extensions if self.snapshot.profile else {}

    @property
    def capabilities(self) -> frozenset[str]:
        """What the server says that it has; empty as long as it is not known."""
        return self.snapshot.profile.capabilities if self.snapshot.profile else frozenset()

    @property
    def known(self) -> bool:
        """Whether it is known what it offers, or that it cannot say: not while it may be about to start."""
        return not self.snapshot.coming or (self.snapshot.state == "Failed" and bool(self.server.url))

    @property
    def in_flight(self) -> int:
        """Calls that wait for an answer."""
        return self._pool.in_flight + self._processes.in_flight

    def ready_connection(self, caller: Caller) -> Connection | None:
        """A connection that is there now: the fast path."""
        if not self._connected() or self.snapshot.isolation == "Call":
            return None
        return self._pool.pick() if self.snapshot.isolation == "Shared" else self._processes.find(self._key(caller))

    async def connection(self, caller: Caller) -> Connection:
        """A connection for a caller, waiting while the server restarts. Raises: UpstreamError."""
        if not self._connected():
            await self._await_usable()
        if self.snapshot.isolation == "Shared":
            if (shared := self._pool.pick()) is None:
                raise UpstreamError(self._away())
            return shared
        key = self._key(caller)
        return await self._processes.get(key, partial(self._open, key, caller))

    def release(self, connection: Connection) -> None:
        """A call is over: its process ends if it was its own."""
        if self.snapshot.isolation == "Call" and connection.key:
            self._processes.end(connection.key)

    def _key(self, caller: Caller) -> str:
        if self.snapshot.isolation == "Call":
            return f"call-{next(self._calls)}"
        return caller.identity if self.snapshot.isolation == "Principal" else caller.key

    def own_connection(self, caller: Caller) -> Connection | None:
        """The connection to a process that serves this caller and not everybody, if there is one now."""
        return None if self.snapshot.isolation in ("Shared", "Call") else self._processes.find(self._key(caller))

    def subscription_of(self, connection: Connection) -> Subscription:
        """What the server behind a connection has been asked to tell of."""
        return connection.subscription or self.subscription

    def update(self, server: Server, addresses: Sequence[str]) -> None:
        """Take a changed configuration; the connection stays if its address does."""
        self.server = server
        self._reach.update(server, addresses)
        self._processes.limit, self._processes.idle_timeout = server.max_processes, server.idle_timeout
        self._spread()
        self._retry.set()

    def end_session(self, key: str) -> None:
        """A client ended its session: release its process."""
        if self.snapshot.isolation == "Session":
            self._processes.end(key)

    async def close(self, *, forsaken: bool = True) -> None:
        """Stop supervising and close everything; processes end, unless another gateway is to find them."""
        self._task.cancel()
        await asyncio.wait([self._task])
        if forsaken:
            self._processes.end_all()
        else:
            self._processes.leave_all()
        self._pool.close()
        await self._reach.close()

    # --- processes of their own -------------------------------------------------------------------------------------------

    async def _open(self, key: str, caller: Caller) -> Connection:
        """Start a key's process, or find the one that its bridge still holds. Raises: UpstreamError."""
        assert self.snapshot.profile is not None  # noqa: S101 - usable means discovered
        profile = self.snapshot.profile
        connection = await self._reach.own(key, lasting=self.snapshot.isolation != "Call")
        connection.key = key
        connection.on_invalid = self._on_invalid
        connection.on_request = partial(self._peer.asks, connection)
        connection.on_notification = partial(self._on_own_notification, connection)
        connection.subscription = Subscription(gateway=self._gateway)
        if profile.era == "legacy" and not connection.introduced:
            with closed_on_failure(connection):
                profile = await discovery.initialize(connection, gateway=self._gateway, capabilities=caller.capabilities)
            if self.snapshot.isolation != "Call":
                connection.remember(profile.version)
            level = self._peer.level(caller.key)
            if level is not None and "logging" in profile.capabilities:
                connection.set_level(level)
        connection.subscription.attach(connection, profile)
        connection.closed.add_done_callback(lambda lost: self._own_lost(lost.result()))
        return connection

    def _on_own_notification(self, connection: Connection, method: str, params: Raw | UnsetType) -> None:
        if method in LIST_CHANGED:
            self._relisting.start(self._relist_own(connection, method, params))
            return
        if method == "notifications/resources/updated" and connection.subscription is not None:
            connection.subscription.updated(params)
        self._peer.says(connection, method, params)

    async def _relist_own(self, connection: Connection, method: str, params: Raw | UnsetType) -> None:
        """From here on this process's clients get its own lists; they are told once these are known."""
        assert self.snapshot.profile is not None  # noqa: S101 - a process of somebody's own comes after discovery
        try:
            connection.offer = await discovery.list_all(connection, self.snapshot.profile, gateway=self._gateway)
        except UpstreamError:
            return  # the next call says what is wrong with it
        self._peer.says(connection, method, params)

    def _own_lost(self, error: Failure) -> None:
        if error.reason == Reason.EXITED and (error.exit is None or error.exit.code != 0):
            self._note(replace(self.snapshot, restarts=self.snapshot.restarts + 1, last_error=error))

    # --- supervision ------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        delay = _BACKOFF[0]
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                await self._serve()
            except UpstreamError as error:
                self._lost(error.failure)
            if loop.time() - began > 2 * _BACKOFF[1]:
                delay = _BACKOFF[0]  # it had been well for a while
            self._retry.clear()
            try:
                async with asyncio.timeout(delay * random.uniform(0.7, 1.3)):  # noqa: S311 - jitter, not a secret
                    await self._retry.wait()
            except TimeoutError:
                delay = min(delay * 2, _BACKOFF[1])

    async def _serve(self) -> None:
        """One life of a bridge, from the first connection to its end; always ends in UpstreamError."""
        watch = await self._reach.watch()
        try:
            await self._await_references(watch)
            connection = await self._discover()
            self._spread()
            feeling = asyncio.ensure_future(self._feel(connection))
            try:
                await self._hold(watch, connection, feeling)
            finally:
                feeling.cancel()
                self._usable.clear()
                self.subscription.detach()
                self._pool.retire()
        finally:
            watch.close()

    async def _await_references(self, watch: Watch) -> None:
        while watch.control.missing:
            missing = ", ".join(watch.control.missing)
            error = Failure(self.server.name, Reason.MISSING_REFERENCE, f"not there: {missing}")
            self._note(replace(self.snapshot, state="Failed", last_error=error))
            await self._news(watch)

    def _spread(self) -> None:
        """Use all places of a shared server, with so many processes at each."""
        if self._usable.is_set() and self.snapshot.isolation == "Shared":
            self._pool.spread(self.server.pool * self._reach.places - 1, self._open_spare, self._own_lost)

    async def _shared(self, number: int = 0) -> Connection:
        connection = await self._reach.shared(number)
        connection.on_invalid = self._on_invalid
        return connection

    async def _discover(self) -> Connection:
        connection = await self._shared()
        with closed_on_failure(connection):
            profile = await discovery.probe(connection, gateway=self._gateway)
            offer = await discovery.list_all(connection, profile, gateway=self._gateway)
        isolation = self.server.isolation
        if isolation == "Auto":
            isolation = "Shared" if profile.era == "modern" else "Session"
        if isolation == "Shared":
            self._pool.add(connection)
            connection.on_notification = partial(self._on_notification, connection)
            self.subscription.attach(connection, profile)
        else:  # listing needs no process from here on: the catalog has the list
            connection.close()
        lasting = self.snapshot.lasting_error
        known = replace(self.snapshot, state="Ready", profile=profile, isolation=isolation, offer=offer, last_error=lasting)
        self._usable.set()
        self._note(known)
        return connection

    def _on_notification(self, connection: Connection, method: str, params: Raw | UnsetType) -> None:
        """What a shared connection says: it is for everybody, or for those who have subscribed."""
        if method in LIST_CHANGED:
            self._relist.set()
        elif method == "notifications/resources/updated":
            self.subscription.updated(params)
        else:
            self._peer.says(connection, method, params)

    async def _open_spare(self, number: int) -> Connection:
        connection = await self._shared(number)
        if self.era == "legacy":
            with closed_on_failure(connection):
                await discovery.initialize(connection, gateway=self._gateway)
        connection.on_notification = partial(self._on_notification, connection)
        return connection

    async def _feel(self, connection: Connection) -> Failure:
        """Whether the processes that everybody shares still answer; a remote server's own people look after it."""
        profile = self.snapshot.profile
        if profile is None or self.snapshot.isolation != "Shared" or self.server.url:
            never: asyncio.Future[Failure] = asyncio.get_running_loop().create_future()
            return await never
        return await heartbeat.watch_answers(connection, profile, gateway=self._gateway, on_change=self._on_pulse)

    def _on_pulse(self, answers: bool) -> None:
        error = Failure(self.server.name, Reason.UNRESPONSIVE, f"no answer for {heartbeat.DEADLINE:g} s: it is busy, or hangs")
        state: State = "Ready" if answers else "Unresponsive"
        self._note(replace(self.snapshot, state=state, last_error=self.snapshot.lasting_error if answers else error))

    async def _hold(self, watch: Watch, connection: Connection, feeling: asyncio.Future[Failure]) -> None:
        """Serve until something ends this life: process, bridge, drain, changed references, changed address."""
        references = watch.control.references
        loop = asyncio.get_running_loop()
        leave: float | None = None  # when a bridge that is shutting down is left, even if there is no other
        self._relist.clear()
        self._retry.clear()
        while True:
            patience = _SILENCE if leave is None else max(0.0, leave - loop.time())
            shared = [connection.closed] if self.snapshot.isolation == "Shared" else []
            ends = [watch.closed, *shared, feeling]
            woken = await first((watch.news, self._relist, self._retry), ends, patience)
            for end in ends:
                if end.done():
                    raise UpstreamError(end.result())
            self._processes.evict()
            if not woken:
                raise UpstreamError(draining(self.server.name) if leave is not None else silent(self.server.name, _SILENCE))
            if watch.news.is_set():
                watch.news.clear()
                self._on_news(watch.control, references)
                if watch.control.draining and leave is None:
                    leave = loop.time() + _DRAIN_PATIENCE
            if self._retry.is_set():
                self._retry.clear()
                if self._reach.moved:
                    raise UpstreamError(Failure(self.server.name, Reason.MOVED, "it has another address now"))
            if self._relist.is_set():
                self._relist.clear()
                await self._refresh(connection)

    def _on_news(self, control: Control, references: str) -> None:
        if control.draining and self._reach.elsewhere:
            raise UpstreamError(draining(self.server.name))
        if control.references != references:
            self._processes.end_all()
            raise UpstreamError(
                Failure(self.server.name, Reason.REFERENCES_CHANGED, "a Secret or ConfigMap that it uses has changed")
            )
        if control.processes != self.snapshot.processes:
            self._note(replace(self.snapshot, processes=control.processes))

    async def _refresh(self, connection: Connection) -> None:
        assert self.snapshot.profile is not None  # noqa: S101 - held means discovered
        offer = await discovery.list_all(connection, self.snapshot.profile, gateway=self._gateway)
        self._note(replace(self.snapshot, offer=offer))

    async def _news(self, watch: Watch) -> None:
        watch.news.clear()
        await first([watch.news], [watch.closed], _SILENCE)
        if watch.closed.done():
            raise UpstreamError(watch.closed.result())
        if not watch.news.is_set():
            raise UpstreamError(silent(self.server.name, _SILENCE))

    # --- bookkeeping ------------------------------------------------------------------------------------------------------

    def _lost(self, error: Failure) -> None:
        """A server that was well is restarted at once, and its tools stay listed for that moment; else it is away."""
        was_well = self.snapshot.state in ("Ready", "Unresponsive")
        self._reach.missed(error)
        restarts = self.snapshot.restarts + (error.reason == Reason.EXITED)
        self._note(
            replace(
                self.snapshot,
                state="Restarting" if was_well else "Failed",
                restarts=restarts,
                last_error=error,
                processes=0 if error.reason == Reason.UNREACHABLE else self.snapshot.processes,
            )
        )

    def _note(self, snapshot: Snapshot) -> None:
        if snapshot != self.snapshot:
            self.snapshot = snapshot
            if snapshot.state == "Restarting":
                self._settled.clear()
            else:
                self._settled.set()
            self._on_change()

    def _connected(self) -> bool:
        """Whether a call can go out now. A process may have died in this very moment, before its supervisor woke up."""
        if self._usable.is_set() and self._pool.lost:
            self._usable.clear()
            self._settled.clear()
        return self._usable.is_set()

    async def _await_usable(self) -> None:
        try:
            async with asyncio.timeout(_RESTART_PATIENCE):
                await self._settled.wait()
        except TimeoutError:
            raise UpstreamError(self._away()) from None
        if not self._usable.is_set():
            raise UpstreamError(self._away())

    def _away(self) -> Failure:
        return self.snapshot.last_error or Failure(self.server.name, Reason.CONNECTING, "it has not answered yet")
