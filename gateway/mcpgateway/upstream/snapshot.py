"""What is known of one server at one moment, and how each event changes it: immutable values and pure transitions.

Connecting -> Ready <-> Unresponsive
Ready <-> Degraded                            new processes cannot be started; those that run are served
Ready, Unresponsive, Degraded -> Restarting -> Ready     its life has ended; the next one begins at once
Connecting, Restarting -> Failed -> Ready      the next life has not begun well
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol

from msgspec import Raw, UnsetType

from ..catalog.model import Offer
from ..config import Isolation
from ..protocol.errors import Failure, Reason
from .connection import Connection
from .handshake import Profile

# Where a pod has just started, or is being replaced.
_ARRIVING: Final = frozenset({Reason.UNREACHABLE, Reason.NO_ADDRESS, Reason.MOVED, Reason.DRAINING})
_TRANSIENT: Final = _ARRIVING | {Reason.REFERENCES_CHANGED, Reason.MISSING_REFERENCE, Reason.UNRESPONSIVE}
_NO_OFFER: Final = Offer()

GUARD_RATIO: Final = 0.9  # of its memory limit that a bridge lets processes use

State = Literal["Connecting", "Ready", "Unresponsive", "Degraded", "Restarting", "Failed"]


@dataclass(frozen=True, slots=True)
class Discovered:
    """What a server has answered to discovery, and how its processes are shared because of it."""

    profile: Profile
    isolation: Isolation  # never Auto
    offer: Offer


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known about a server now. `discovered` is the latest answer, also while the server is away."""

    state: State = "Connecting"
    discovered: Discovered | None = None
    processes: int = 0
    memory_limit: int = 0  # bytes, of one pod
    process_memory: int = 0  # bytes that one process takes, about; 0: not known
    room: int = 0  # processes that fit into the memory; 0: not known
    restarts: int = 0
    failed_starts: int = 0  # processes of callers that could not be started
    last_error: Failure | None = None
    waiting: str = ""  # for what its start waits, in words

    @property
    def profile(self) -> Profile | None:
        """What the server is; None before its first answer."""
        return None if self.discovered is None else self.discovered.profile

    @property
    def isolation(self) -> Isolation:
        """How its processes are shared; Shared before its first answer."""
        return "Shared" if self.discovered is None else self.discovered.isolation

    @property
    def offer(self) -> Offer:
        """What it offers; nothing before its first answer."""
        return _NO_OFFER if self.discovered is None else self.discovered.offer

    @property
    def available(self) -> bool:
        """Whether its tools are offered: also during the moment that a restart takes, and while some callers are served."""
        return self.state in ("Ready", "Unresponsive", "Degraded", "Restarting")

    @property
    def arriving(self) -> bool:
        """Whether the server has never answered and may be about to start."""
        if self.state == "Failed":
            return self.last_error is not None and self.last_error.reason in _ARRIVING
        return self.state == "Connecting"

    def absence(self, server: str) -> Failure:
        """Why it cannot be used now."""
        if self.last_error is None:
            return Failure(server, Reason.CONNECTING, self.waiting or "it has not answered yet")
        if self.waiting:
            return replace(self.last_error, message=f"{self.last_error.message}; now it starts again: {self.waiting}")
        return self.last_error

    # --- transitions ------------------------------------------------------------------------------------------------------

    def ready(self, discovered: Discovered) -> Snapshot:
        """Discovery has succeeded."""
        return replace(self, state="Ready", discovered=discovered, last_error=self._lasting_error, waiting="")

    def relisted(self, offer: Offer) -> Snapshot:
        """The server's lists have been read again."""
        return self if self.discovered is None else replace(self, discovered=replace(self.discovered, offer=offer))

    def starting(self, waiting: str) -> Snapshot:
        """Its start takes a while."""
        return replace(self, waiting=waiting)

    def blocked(self, failure: Failure) -> Snapshot:
        """It cannot be started yet."""
        return replace(self, state="Failed", last_error=failure, waiting="")

    def unresponsive(self, failure: Failure) -> Snapshot:
        """It is there, and does not answer."""
        return replace(self, state="Unresponsive", last_error=failure)

    def responsive(self) -> Snapshot:
        """It answers again."""
        return replace(self, state="Ready", last_error=self._lasting_error)

    def start_failed(self, failure: Failure, failed_starts: int) -> Snapshot:
        """A caller's process could not be started; so many could not in all."""
        return replace(self, failed_starts=failed_starts, last_error=failure)

    def degraded(self, failure: Failure, failed_starts: int) -> Snapshot:
        """No process can be started now; those that run still serve their callers."""
        state: State = "Degraded" if self.state == "Ready" else self.state
        return replace(self, state=state, failed_starts=failed_starts, last_error=failure)

    def restored(self) -> Snapshot:
        """A process has been started well."""
        return replace(self, state="Ready", last_error=self._lasting_error) if self.state == "Degraded" else self

    def running(self, processes: int, memory_limit: int, process_memory: int) -> Snapshot:
        """Its bridge has so many processes, and so much memory for them; 0 where that is not known."""
        room = int(GUARD_RATIO * memory_limit / process_memory) if process_memory else 0
        return replace(self, processes=processes, memory_limit=memory_limit, process_memory=process_memory, room=room)

    def lost(self, failure: Failure) -> Snapshot:
        """Its life has ended. A server that was ready is restarted at once, and its tools stay listed for that moment."""
        return replace(
            self,
            state="Restarting" if self.state in ("Ready", "Unresponsive", "Degraded") else "Failed",
            restarts=self.restarts + (failure.reason == Reason.EXITED),
            last_error=failure,
            waiting="",
            processes=0 if failure.reason == Reason.UNREACHABLE else self.processes,
        )

    def process_lost(self, failure: Failure) -> Snapshot:
        """One of several processes has ended; an orderly exit of a caller's own process is no restart."""
        if failure.reason != Reason.EXITED or (failure.exit is not None and failure.exit.code == 0):
            return self
        return replace(self, restarts=self.restarts + 1, last_error=failure)

    @property
    def _lasting_error(self) -> Failure | None:
        """The error that is still shown once a server answers: not that it took a moment to start."""
        return None if self.last_error is None or self.last_error.reason in _TRANSIENT else self.last_error


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request is for, as far as servers may tell."""

    key: str  # a session; a modern client has none, there it is the identity
    principal: str
    identity: str  # a principal, together with what its client can be asked: a process is told that once
    capabilities: bytes = b"{}"  # what the client can be asked, a JSON object


class Peer(Protocol):
    """Who listens to what servers say by themselves."""

    def asks(self, connection: Connection, method: str, id: bytes, params: Raw | UnsetType) -> None:
        """A server asks the client something; only over a connection that belongs to one key."""

    def says(self, connection: Connection, method: str, params: Raw | UnsetType) -> None:
        """A server tells something."""

    def listens(self, key: str) -> bool:
        """Whether a client of the key's process reads a stream now."""

    def level(self, key: str) -> bytes | None:
        """The params of the session's last logging/setLevel."""
