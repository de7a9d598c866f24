"""How many calls may be in flight at once, so that one client or one server does not take the room of the others.

A call that waits for its client's answer (elicitation, sampling, roots) takes minutes and no work: it counts apart, and not to
its server. When the client has answered it is in flight again, whatever the bounds: only new calls are refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Final, Literal

MAX_PRINCIPAL: Final = 1000  # calls of one principal
MAX_SERVER: Final = 2000  # calls to one server
MAX_WAITING: Final = 500  # calls of one principal that wait for an answer of its clients

Scope = Literal["principal", "server", "waiting"]


class TooManyCallsError(Exception):
    """A principal or a server has as many calls in flight, or that wait for a client, as it may have."""

    def __init__(self, scope: Scope, name: str, limit: int) -> None:
        who, what = ("principal", "that wait for an answer of its clients") if scope == "waiting" else (scope, "in flight")
        super().__init__(f"{who} {name!r} has {limit} calls {what}, the most that one may have: try again later")
        self.scope: Scope = scope
        self.limit = limit

    def data(self) -> dict[str, object]:
        """The `data` member of the JSON-RPC error."""
        return {"reason": "TooManyCalls", "scope": self.scope, "limit": self.limit}


class CallLimits:
    """Counts the calls in flight by principal and by server."""

    def __init__(
        self,
        *,
        principal: int = MAX_PRINCIPAL,
        server: int = MAX_SERVER,
        waiting: int = MAX_WAITING,
        on_refused: Callable[[Scope], None] = lambda scope: None,
    ) -> None:
        self._principal, self._server, self._waiting = principal, server, waiting
        self._on_refused = on_refused
        # What is configured bounds the names, so they may stay at 0.
        self._principals: defaultdict[str, int] = defaultdict(int)
        self._servers: defaultdict[str, int] = defaultdict(int)
        self._waits: defaultdict[str, int] = defaultdict(int)  # by principal

    def enter(self, principal: str, server: str) -> None:
        """A call begins. Raises: TooManyCallsError."""
        principals, servers = self._principals, self._servers
        mine, its = principals[principal], servers[server]
        if mine >= self._principal:
            self._on_refused("principal")
            raise TooManyCallsError("principal", principal, self._principal)
        if its >= self._server:
            self._on_refused("server")
            raise TooManyCallsError("server", server, self._server)
        principals[principal] = mine + 1
        servers[server] = its + 1

    def leave(self, principal: str, server: str) -> None:
        """A call is over."""
        self._principals[principal] -= 1
        self._servers[server] -= 1

    def begin_wait(self, principal: str, server: str) -> None:
        """A call in flight waits for its client from now on. Raises: TooManyCallsError."""
        if self._waits[principal] >= self._waiting:
            self._on_refused("waiting")
            raise TooManyCallsError("waiting", principal, self._waiting)
        self._waits[principal] += 1
        self.leave(principal, server)

    def end_wait(self, principal: str, server: str) -> None:
        """A call that has waited for its client is in flight again."""
        self._waits[principal] -= 1
        self._principals[principal] += 1
        self._servers[server] += 1
