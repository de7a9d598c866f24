"""What is known of a server, who a request to it is for, and who listens to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from msgspec import Raw, UnsetType

from ..catalog.model import Offer
from ..config import Isolation
from ..protocol.errors import Failure, Reason
from .connection import Connection
from .discovery import Profile

# Where a pod has just started, or is being replaced.
_COMING = frozenset({Reason.UNREACHABLE, Reason.NO_ADDRESS, Reason.MOVED, Reason.DRAINING})
_PASSING = _COMING | {Reason.REFERENCES_CHANGED, Reason.MISSING_REFERENCE, Reason.UNRESPONSIVE}

State = Literal["Connecting", "Ready", "Unresponsive", "Restarting", "Failed"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known about a server now."""

    state: State = "Connecting"
    profile: Profile | None = None
    isolation: Isolation = "Shared"
    offer: Offer = field(default_factory=Offer)  # the last known one, also while the server is away
    processes: int = 0
    restarts: int = 0
    last_error: Failure | None = None

    @property
    def available(self) -> bool:
        """Whether its tools are offered: also during the moment that a restart takes, and while it may be just busy."""
        return self.state in ("Ready", "Unresponsive", "Restarting")

    @property
    def coming(self) -> bool:
        """Whether nothing has been heard of it, and it may be about to start."""
        if self.state == "Failed":
            return self.last_error is not None and self.last_error.reason in _COMING
        return self.state == "Connecting"

    @property
    def lasting_error(self) -> Failure | None:
        """What is still worth knowing once a server answers: not that it took a moment to come."""
        return None if self.last_error is None or self.last_error.reason in _PASSING else self.last_error


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

    def level(self, key: str) -> bytes | None:
        """The params of the session's last logging/setLevel."""
