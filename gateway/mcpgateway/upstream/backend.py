"""One configured server: watches its bridge, discovers what it offers, and lends connections to calls.

A backend heals by itself for ever: nothing that a server does ends its supervision, only its removal from the configuration.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, Protocol

from msgspec import Raw, UnsetType

from ..catalog import KINDS, Item
from ..config import Server
from ..era import Era
from . import handshake
from .connection import Connection, Control, connect
from .errors import Exit, UpstreamError
from .handshake import Profile

State = Literal["Connecting", "Ready", "Restarting", "Failed"]

_SILENCE = 35.0  # seconds without a line from a watched bridge, which sends one every 10
_DRAIN_PATIENCE = 5.0  # seconds that a bridge which is shutting down is still used while there is no other
_RESTART_PATIENCE = 20.0  # seconds that a call waits for a server that is being restarted
_MISSES = 2  # at known addresses before the fallback's turn
_SESSION_IDLE = 30 * 60.0
_MAX_SESSIONS = 1000
_PASSING = frozenset({"Unreachable", "NoAddress", "Moved", "Draining", "ReferencesChanged", "MissingReference"})
_LIST_CHANGED = frozenset(f"notifications/{kind.capability}/list_changed" for kind in KINDS.values())
_BACKOFF = (0.1, 5.0)  # seconds: first and longest


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known about a server now."""

    state: State = "Connecting"
    profile: Profile | None = None
    shared: bool = True
    items: tuple[Item, ...] = ()  # what it offers: the last known state, also while the server is away
    processes: int = 0
    restarts: int = 0
    last_error: UpstreamError | None = None

    @property
    def available(self) -> bool:
        """Whether its tools are offered: also during the moment that a restart takes."""
        return self.state in ("Ready", "Restarting")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request is for, as far as servers may tell: a session, or a principal without one."""

    key: str
    capabilities: bytes = b"{}"  # what the client can be asked, a JSON object


class Peer(Protocol):
    """Who listens to what a session's own process says by itself."""

    def asks(self, key: str, connection: Connection, method: str, id: bytes, params: Raw | UnsetType) -> None:
        """It asks the client something."""

    def says(self, key: str, connection: Connection, method: str, params: Raw | UnsetType) -> None:
        """It tells the client something."""

    def level(self, key: str) -> bytes | None:
        """The params of the session's last logging/setLevel."""


@dataclass(slots=True)
class _Link:
    """A session's own connection, or the attempt to open it."""

    opening: asyncio.Task[Connection]
    used: float = field(default=0.0)


class _Watch:
    """The latest line of a watched bridge."""

    def __init__(self) -> None:
        self.control = Control()
        self.news = asyncio.Event()

    def receive(self, control: Control) -> None:
        self.control = control
        self.news.set()


class Backend:
    """Supervises one server. `on_change` is called after every change of `snapshot`."""

    def __init__(
        self, server: Server, addresses: Sequence[str], *, gateway: str, on_change: Callable[[], None], peer: Peer
    ) -> None:
        self.server = server
        self.snapshot = Snapshot()
        self._addresses = tuple(addresses)
        self._gateway = gateway
        self._on_change = on_change
        self._peer = peer
        self._shared: Connection | None = None
        self._links: dict[str, _Link] = {}
        self._usable = asyncio.Event()  # Ready, and for a shared server connected
        self._settled = asyncio.Event()  # not in the middle of a restart
        self._settled.set()
        self._retry = asyncio.Event()
        self._relist = asyncio.Event()
        self._address = ""
        self._misses = 0  # attempts in a row that found no bridge
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"backend {server.name}")

    # --- what the router uses ---------------------------------------------------------------------------------------------

    @property
    def era(self) -> Era:
        """The era that the server speaks; meaningful once it was ready."""
        return self.snapshot.profile.era if self.snapshot.profile else "legacy"

    @property
    def capabilities(self) -> frozenset[str]:
        """What the server says that it has; empty as long as it is not known."""
        return self.snapshot.profile.capabilities if self.snapshot.profile else frozenset()

    def ready_connection(self) -> Connection | None:
        """The shared connection if there is one now: the fast path."""
        return self._shared if self._connected() and self.snapshot.shared else None

    async def connection(self, caller: Caller) -> Connection:
        """A connection for a caller, waiting while the server restarts. Raises: UpstreamError."""
        if not self._connected():
            await self._await_usable()
        if self.snapshot.shared:
            if self._shared is None:
                raise self._away()
            return self._shared
        return await self._session_connection(caller)

    def session_link(self, key: str) -> Connection | None:
        """The connection to a session's own process, if there is one now."""
        link = self._links.get(key)
        if link is None or not link.opening.done() or link.opening.cancelled() or link.opening.exception() is not None:
            return None
        return link.opening.result()

    def update(self, server: Server, addresses: Sequence[str]) -> None:
        """Take a changed configuration; the connection stays if its address does."""
        self.server = server
        self._addresses = tuple(addresses)
        self._retry.set()

    def end_session(self, key: str) -> None:
        """A client ended its session: release its process."""
        link = self._links.pop(key, None)
        if link is not None:
            self._release(link)

    async def close(self) -> None:
        """Stop supervising and close everything."""
        self._task.cancel()
        await asyncio.wait([self._task])
        for key in list(self._links):
            self.end_session(key)
        if self._shared is not None:
            self._shared.close()

    # --- sessions ---------------------------------------------------------------------------------------------------------

    async def _session_connection(self, caller: Caller) -> Connection:
        key = caller.key
        now = asyncio.get_running_loop().time()
        self._evict(now)
        link = self._links.get(key)
        if link is None:
            if len(self._links) >= _MAX_SESSIONS:
                raise UpstreamError(self.server.name, "Overloaded", f"{_MAX_SESSIONS} sessions are open")
            link = self._links[key] = _Link(asyncio.get_running_loop().create_task(self._open_session(caller)))
        link.used = now
        try:
            # shielded: the first caller may go away while others wait for the same process
            connection = await asyncio.shield(link.opening)
        except UpstreamError:
            self._links.pop(key, None)
            raise
        if connection.closed.done():
            self._links.pop(key, None)
            return await self._session_connection(caller)
        return connection

    async def _open_session(self, caller: Caller) -> Connection:
        assert self.snapshot.profile is not None  # noqa: S101 - usable means discovered
        key = caller.key
        greeting = {"mode": "attach", "session": f"{self._gateway}/{key}", "tag": key[:12]}
        connection = await connect(self.server.name, self._pick(), greeting)
        connection.on_request = partial(self._peer.asks, key, connection)
        connection.on_notification = partial(self._peer.says, key, connection)
        accepted = connection.accepted.result()
        if self.snapshot.profile.era == "legacy" and not (accepted.resumed and accepted.memo):
            try:
                profile = await handshake.initialize(connection, gateway=self._gateway, capabilities=caller.capabilities)
            except BaseException:
                connection.close()
                raise
            connection.control({"memo": profile.version})
            level = self._peer.level(key)
            if level is not None and "logging" in profile.capabilities:
                connection.send("logging/setLevel", level, lambda outcome, value: None)
        connection.closed.add_done_callback(lambda lost: self._session_lost(key, lost.result()))
        return connection

    def _session_lost(self, key: str, error: UpstreamError) -> None:
        link = self._links.get(key)
        if link is not None and link.opening.done():
            self._links.pop(key, None)
        if error.reason == "Exited" and not self._clean(error.exit):
            self._note(replace(self.snapshot, restarts=self.snapshot.restarts + 1, last_error=error))

    def _evict(self, now: float) -> None:
        for key in [key for key, link in self._links.items() if now - link.used > _SESSION_IDLE]:
            self.end_session(key)

    @staticmethod
    def _release(link: _Link) -> None:
        def end(task: asyncio.Task[Connection]) -> None:
            if not task.cancelled() and task.exception() is None:
                task.result().control({"end": True})
                task.result().retire()

        link.opening.add_done_callback(end)

    @staticmethod
    def _clean(exit: Exit | None) -> bool:
        return exit is not None and exit.code == 0

    # --- supervision ------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        delay = _BACKOFF[0]
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                await self._serve()
            except UpstreamError as error:
                self._lost(error)
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
        watch = _Watch()
        self._address = self._pick()
        watching = await connect(self.server.name, self._address, {"mode": "watch"}, on_control=watch.receive)
        try:
            await self._await_references(watching, watch)
            connection = await self._discover()
            try:
                await self._hold(watching, watch, connection)
            finally:
                self._usable.clear()
                self._shared = None
                connection.retire()
        finally:
            watching.close()

    def _pick(self) -> str:
        if not self._addresses:
            raise UpstreamError(self.server.name, "NoAddress", "no pod of it has an address yet")
        # The addresses may be old, when nobody is there to write new ones: then the name is tried in turn.
        if self.server.fallback and self._misses > _MISSES and self._misses % 2:
            return self.server.fallback
        return self._addresses[0]

    async def _await_references(self, watching: Connection, watch: _Watch) -> None:
        while watch.control.missing:
            missing = ", ".join(watch.control.missing)
            error = UpstreamError(self.server.name, "MissingReference", f"not there: {missing}")
            self._note(replace(self.snapshot, state="Failed", last_error=error))
            await self._news(watching, watch)

    async def _discover(self) -> Connection:
        greeting = {"mode": "direct", "tag": "shared"}
        connection = await connect(self.server.name, self._address, greeting)
        try:
            profile = await handshake.probe(connection, gateway=self._gateway)
            items = await handshake.list_all(connection, profile, gateway=self._gateway)
        except BaseException:
            connection.close()
            raise
        isolation = self.server.isolation
        shared = isolation == "Shared" or (isolation == "Auto" and profile.era == "modern")
        if shared:
            self._shared = connection
            connection.on_notification = self._on_notification
        else:  # listing needs no process from here on: the catalog has the list
            connection.close()
        known = replace(
            self.snapshot, state="Ready", profile=profile, shared=shared, items=items, last_error=self._lasting_error()
        )
        self._usable.set()
        self._note(known)
        return connection

    def _lasting_error(self) -> UpstreamError | None:
        """What is still worth knowing once a server answers: not that it took a moment to come."""
        error = self.snapshot.last_error
        return None if error is None or error.reason in _PASSING else error

    def _on_notification(self, method: str, params: Raw | UnsetType) -> None:
        if method in _LIST_CHANGED:
            self._relist.set()

    async def _hold(self, watching: Connection, watch: _Watch, connection: Connection) -> None:
        """Serve until something ends this life: process, bridge, drain, changed references, changed address."""
        references = watch.control.references
        loop = asyncio.get_running_loop()
        leave: float | None = None  # when a bridge that is shutting down is left, even if there is no other
        self._relist.clear()
        self._retry.clear()
        while True:
            patience = _SILENCE if leave is None else max(0.0, leave - loop.time())
            waits: set[asyncio.Future[Any]] = {
                asyncio.ensure_future(event.wait()) for event in (watch.news, self._relist, self._retry)
            }
            ends: set[asyncio.Future[Any]] = {watching.closed, *([connection.closed] if self.snapshot.shared else [])}
            try:
                done, _ = await asyncio.wait({*waits, *ends}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
            for end in ends:
                if end.done():
                    raise end.result()
            self._evict(loop.time())
            if not done:
                raise self._draining() if leave is not None else self._silent()
            if watch.news.is_set():
                watch.news.clear()
                self._on_news(watch.control, references)
                if watch.control.draining and leave is None:
                    leave = loop.time() + _DRAIN_PATIENCE
            if self._retry.is_set():
                self._retry.clear()
                if self._address not in self._addresses:
                    raise UpstreamError(self.server.name, "Moved", f"it is no longer at {self._address}")
            if self._relist.is_set():
                self._relist.clear()
                await self._refresh(connection)

    def _draining(self) -> UpstreamError:
        return UpstreamError(self.server.name, "Draining", "its bridge is shutting down")

    def _silent(self) -> UpstreamError:
        return UpstreamError(self.server.name, "Unreachable", f"its bridge has been silent for {_SILENCE:g} s")

    def _on_news(self, control: Control, references: str) -> None:
        if control.draining and any(address != self._address for address in self._addresses):
            raise self._draining()
        if control.references != references:
            for key in list(self._links):
                self.end_session(key)
            raise UpstreamError(self.server.name, "ReferencesChanged", "a Secret or ConfigMap that it uses has changed")
        if control.processes != self.snapshot.processes:
            self._note(replace(self.snapshot, processes=control.processes))

    async def _refresh(self, connection: Connection) -> None:
        assert self.snapshot.profile is not None  # noqa: S101 - held means discovered
        items = await handshake.list_all(connection, self.snapshot.profile, gateway=self._gateway)
        self._note(replace(self.snapshot, items=items))

    async def _news(self, watching: Connection, watch: _Watch) -> None:
        watch.news.clear()
        news: asyncio.Future[Any] = asyncio.ensure_future(watch.news.wait())
        closed: asyncio.Future[Any] = watching.closed
        try:
            await asyncio.wait({news, closed}, timeout=_SILENCE, return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
        if watching.closed.done():
            raise watching.closed.result()
        if not watch.news.is_set():
            raise self._silent()

    # --- bookkeeping ------------------------------------------------------------------------------------------------------

    def _lost(self, error: UpstreamError) -> None:
        """A server that was well is restarted at once, and its tools stay listed for that moment; else it is away."""
        was_well = self.snapshot.state == "Ready"
        self._misses = self._misses + 1 if error.reason == "Unreachable" else 0
        restarts = self.snapshot.restarts + (error.reason == "Exited")
        self._note(
            replace(
                self.snapshot,
                state="Restarting" if was_well else "Failed",
                restarts=restarts,
                last_error=error,
                processes=0 if error.reason == "Unreachable" else self.snapshot.processes,
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
        if self._usable.is_set() and self._shared is not None and self._shared.closed.done():
            self._usable.clear()
            self._settled.clear()
        return self._usable.is_set()

    async def _await_usable(self) -> None:
        try:
            async with asyncio.timeout(_RESTART_PATIENCE):
                await self._settled.wait()
        except TimeoutError:
            raise self._away() from None
        if not self._usable.is_set():
            raise self._away()

    def _away(self) -> UpstreamError:
        return self.snapshot.last_error or UpstreamError(self.server.name, "Connecting", "it has not answered yet")
