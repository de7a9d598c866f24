"""A process that serves one key alone: a session, an identity or a single call."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from msgspec import Raw, UnsetType

from ..catalog.model import KINDS, Offer
from ..protocol.errors import Failure, UpstreamError
from .connection import Connection, closed_on_failure
from .handshake import Handshake, Profile
from .lists import list_all
from .reports import Reports
from .snapshot import Caller, Peer
from .subscription import Subscription

LIST_CHANGED: Final = frozenset(f"notifications/{kind.capability}/list_changed" for kind in KINDS.values())
RELIST_INTERVAL: Final = 1.0  # seconds from one reading of a process's lists to the next: a storm of list_changed makes no more


class OwnProcess:
    """The connection to the process, what its clients are subscribed to, and its lists once it has said that they change."""

    def __init__(self, connection: Connection, profile: Profile, *, gateway: str, peer: Peer, reports: Reports) -> None:
        self.connection = connection
        self.subscription = Subscription(gateway=gateway)
        self.offer: Offer | None = None
        self.loss: Failure | None = None  # of an earlier process, which the caller is to be told
        self._introduction = connection.answered  # requests before the first one of a caller
        self._profile, self._gateway = profile, gateway
        self._peer, self._reports = peer, reports
        self._changed: dict[str, Raw | UnsetType] = {}  # the latest list_changed of each kind that is not passed on yet
        self._relisting: asyncio.Task[None] | None = None
        connection.on_request = partial(peer.asks, connection)
        connection.on_notification = self._on_notification
        self.subscription.attach(connection, profile)

    @property
    def closed(self) -> bool:
        """Whether its connection has ended."""
        return self.connection.closed.done()

    @property
    def has_served(self) -> bool:
        """Whether it has answered something to a caller, and so may keep something for it."""
        return self.connection.resumed or self.connection.answered > self._introduction

    def _on_notification(self, method: str, params: Raw | UnsetType) -> None:
        if method in LIST_CHANGED:
            self._changed[method] = params
            if self._relisting is None:
                self._relisting = asyncio.get_running_loop().create_task(self._relist())
            return
        if method == "notifications/resources/updated":
            self.subscription.updated(params)
        self._peer.says(self.connection, method, params)

    async def _relist(self) -> None:
        """From here on this process's clients get its own lists; they are told once these are read."""
        try:
            while self._changed and not self.closed:
                changed, self._changed = self._changed, {}
                self.offer = await list_all(self.connection, self._profile, gateway=self._gateway)
                for method, params in changed.items():
                    self._peer.says(self.connection, method, params)
                await asyncio.sleep(RELIST_INTERVAL)
        except UpstreamError:
            pass  # the next call's error names the cause
        except Exception as error:
            self._reports.internal_error("relist", error)
        finally:
            self._relisting = None


async def introduce(
    connection: Connection,
    profile: Profile,
    *,
    caller: Caller,
    lasting: bool,
    start_timeout: float,
    gateway: str,
    peer: Peer,
    reports: Reports,
) -> OwnProcess:
    """Shake hands with a caller's process, unless an earlier connection has. Raises: UpstreamError, with the connection closed.

    Args:
        profile: What the server was at discovery; a legacy process says it again for this caller's capabilities.
        lasting: Whether a later connection may find the process again.
        start_timeout: Seconds until the process has answered.
    """
    with closed_on_failure(connection):
        if profile.era == "legacy" and not connection.introduced:
            handshake = Handshake(connection, gateway=gateway, timeout=start_timeout, capabilities=caller.capabilities)
            profile = await handshake.initialize(profile.version)
            if lasting:
                connection.remember(profile.version)
            level = peer.level(caller.key)
            if level is not None and "logging" in profile.capabilities:
                connection.set_level(level)
        return OwnProcess(connection, profile, gateway=gateway, peer=peer, reports=reports)
