"""One configured server, as requests see it: what it is, and connections to it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from msgspec import Raw

from ..config import Isolation, Server
from ..protocol.errors import Failure, Reason, UpstreamError, internal
from ..protocol.versions import Era
from .connection import Connection
from .keyed_processes import KeyedProcesses
from .lost_state import LostState
from .own_process import OwnProcess, introduce
from .reports import Reports
from .snapshot import Caller, Discovered, Peer, Snapshot
from .subscription import Subscription
from .supervisor import Supervisor
from .transport import Transport


class Backend:
    """Lends connections to calls. `on_change` is called after every change of `snapshot`."""

    def __init__(
        self,
        server: Server,
        transport: Transport,
        *,
        gateway: str,
        peer: Peer,
        on_change: Callable[[], object],
        reports: Reports,
    ) -> None:
        self.server = server
        self._transport, self._gateway, self._peer, self._reports = transport, gateway, peer, reports
        self._processes = KeyedProcesses(
            server.name,
            limit=server.most_processes,
            idle_timeout=server.idle_timeout,
            stateless=_may_be_replaced(server),
            listens=peer.listens,
        )
        self._supervisor = Supervisor(
            server, transport, self._processes, gateway=gateway, peer=peer, reports=reports, on_change=on_change
        )
        self._pool = self._supervisor.pool
        self._calls = itertools.count(1)
        self._inherited: tuple[Isolation, LostState] | None = None  # what callers have lost with an earlier backend

    # --- what it is -------------------------------------------------------------------------------------------------------

    @property
    def snapshot(self) -> Snapshot:
        """What is known of it now."""
        return self._supervisor.snapshot

    @property
    def era(self) -> Era:
        """The era that the server speaks; legacy before its first answer."""
        discovered = self._supervisor.snapshot.discovered
        return "legacy" if discovered is None else discovered.profile.era

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
        """What the server says that it has; empty before its first answer."""
        return self.snapshot.profile.capabilities if self.snapshot.profile else frozenset()

    @property
    def decided(self) -> bool:
        """Whether it is clear what it offers, or that it cannot answer: not while it may be about to start."""
        return not self.snapshot.arriving or (self.snapshot.state == "Failed" and bool(self.server.url))

    @property
    def in_flight(self) -> int:
        """Calls that wait for an answer."""
        return self._pool.in_flight + self._processes.in_flight

    # --- connections for calls --------------------------------------------------------------------------------------------

    def ready_connection(self, caller: Caller) -> Connection | None:
        """A connection that is there now: the fast path."""
        isolation = self._supervisor.snapshot.isolation
        if not self._supervisor.usable or isolation == "Call" or self._inherited is not None:
            return None
        if isolation == "Shared":
            return self._pool.pick()
        process = self._processes.find(self._key(caller))
        return None if process is None or process.loss is not None else process.connection

    async def connection(self, caller: Caller) -> Connection:
        """A connection for a caller, waiting while the server restarts. Raises: UpstreamError, also to tell it of a loss."""
        discovered = await self._supervisor.await_usable()
        self._tell_inherited(caller)
        if discovered.isolation != "Shared":
            process = await self._own(discovered, caller)
            loss, process.loss = process.loss, None
            if loss is not None:
                raise UpstreamError(loss)
            return process.connection
        shared = self._pool.pick()
        if shared is None:
            raise UpstreamError(self._supervisor.absence)
        return shared

    def inherit(self, earlier: Backend) -> None:
        """Take over from a backend at another place: what its callers lose with it, each of them is told once."""
        earlier.forsake()
        lost = earlier._processes.lost
        if lost:
            self._inherited = earlier.snapshot.isolation, lost
            asyncio.get_running_loop().call_later(earlier.server.idle_timeout, self._forget_inherited)

    def _forget_inherited(self) -> None:
        self._inherited = None

    def _tell_inherited(self, caller: Caller) -> None:
        """Raises: UpstreamError, once for each caller that has lost something."""
        if self._inherited is None:
            return
        isolation, lost = self._inherited
        loss = lost.take(_key(caller, isolation))
        if not lost:
            self._inherited = None
        if loss is not None:
            raise UpstreamError(loss)

    async def _own(self, discovered: Discovered, caller: Caller) -> OwnProcess:
        key = self._key(caller)
        try:
            opened = partial(self._open, key, discovered, caller)
            return await self._processes.get(key, opened, lasting=discovered.isolation != "Call")
        except asyncio.CancelledError:
            if discovered.isolation == "Call":  # no other caller will come for it
                self._processes.end(key)
            raise

    def release(self, connection: Connection) -> None:
        """A call is over: its process ends if it was its own."""
        if connection.key and self.snapshot.isolation == "Call":
            self._processes.end(connection.key)

    def _key(self, caller: Caller) -> str:
        if self.snapshot.isolation == "Call":
            return f"call-{next(self._calls)}"
        return _key(caller, self.snapshot.isolation)

    async def _open(self, key: str, discovered: Discovered, caller: Caller) -> OwnProcess:
        """Start a key's process, or find the one that its bridge still holds. Raises: UpstreamError."""
        try:
            process = await self._introduced(key, discovered, caller)
        except UpstreamError as error:
            self._supervisor.start_failed(error.failure)
            raise
        except Exception as error:
            self._reports.internal_error("own process", error)
            raise UpstreamError(internal(self.server.name, error)) from error
        self._supervisor.start_succeeded()
        return process

    async def _introduced(self, key: str, discovered: Discovered, caller: Caller) -> OwnProcess:
        lasting = discovered.isolation != "Call"
        connection = await self._transport.own(key, lasting=lasting)
        connection.key = key
        connection.capabilities = caller.capabilities
        connection.reports = self._reports
        process = await introduce(
            connection,
            discovered.profile,
            caller=caller,
            lasting=lasting,
            start_timeout=self.server.start_timeout,
            gateway=self._gateway,
            peer=self._peer,
            reports=self._reports,
        )
        connection.closed.add_done_callback(lambda closed: self._on_own_closed(connection, closed.result()))
        return process

    def _on_own_closed(self, connection: Connection, failure: Failure) -> None:
        if failure.reason == Reason.EXITED and not connection.answered:  # of the modern era, which has no handshake
            self._supervisor.start_failed(failure)
        else:
            self._supervisor.own_process_lost(failure)

    # --- processes and subscriptions --------------------------------------------------------------------------------------

    def own_process(self, caller: Caller) -> OwnProcess | None:
        """The process that serves this caller and not everybody, if there is one now."""
        return None if self.snapshot.isolation in ("Shared", "Call") else self._processes.find(self._key(caller))

    @property
    def subscription(self) -> Subscription:
        """What the shared processes have been asked to tell of."""
        return self._pool.subscription

    async def subscription_for(self, caller: Caller) -> Subscription:
        """What the process that serves this caller has been asked to tell of; it is started if needed. Raises: UpstreamError."""
        discovered = await self._supervisor.await_usable()
        return self.subscription if discovered.isolation == "Shared" else (await self._own(discovered, caller)).subscription

    def end_session(self, key: str) -> None:
        """A client ended its session: release its process."""
        if self.snapshot.isolation == "Session":
            self._processes.end(key)

    # --- configuration ----------------------------------------------------------------------------------------------------

    def update(self, server: Server, addresses: Sequence[str]) -> None:
        """Take a changed configuration; the connection stays if its address does."""
        self.server = server
        self._transport.update(server, addresses)
        self._processes.limit, self._processes.idle_timeout = server.most_processes, server.idle_timeout
        self._processes.stateless = _may_be_replaced(server)
        self._supervisor.update(server)

    def forsake(self) -> None:
        """End the processes of callers, each once its calls in flight have their answers."""
        self._processes.forsake("its server was removed or replaced")

    async def close(self, *, forsaken: bool = True) -> None:
        """Stop supervising and close everything; processes end, unless another gateway is to find them."""
        if forsaken:
            self.forsake()
        else:
            self._processes.leave_all()
        await self._supervisor.stop()
        await self._transport.close(patience=self.server.call_timeout if forsaken else 0)


def _key(caller: Caller, isolation: Isolation) -> str:
    return caller.identity if isolation == "Principal" else caller.key


def _may_be_replaced(server: Server) -> bool:
    """Whether a caller needs no word of a lost process. The sessions at a remote server are that server's own matter."""
    return server.stateless or bool(server.url)
