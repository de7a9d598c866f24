"""How many calls may be in flight at once, so that one client or one server does not take the room of the others.

A call that waits for its client's answer (elicitation, sampling, roots) takes minutes and no work: it counts apart, and not to
its server. When the client has answered it is in flight again, whatever the bounds: only new calls are refused.
"""

from __future__ import annotations

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
        self._principals: dict[str, int] = {}
        self._servers: dict[str, int] = {}
        self._waits: dict[str, int] = {}  # by principal

    def enter(self, principal: str, server: str) -> None:
        """A call begins. Raises: TooManyCallsError."""
        mine = self._principals.get(principal, 0)
        its = self._servers.get(server, 0)
        if mine >= self._principal:
            self._on_refused("principal")
            raise TooManyCallsError("principal", principal, self._principal)
        if its >= self._server:
            self._on_refused("server")
            raise TooManyCallsError("server", server, self._server)
        self._principals[principal] = mine + 1
        self._servers[server] = its + 1

    def leave(self, principal: str, server: str) -> None:
        """A call is over."""
        _less(self._principals, principal)
        _less(self._servers, server)

    def begin_wait(self, principal: str, server: str) -> None:
        """A call in flight waits for its client from now on. Raises: TooManyCallsError."""
        waits = self._waits.get(principal, 0)
        if waits >= self._waiting:
            self._on_refused("waiting")
            raise TooManyCallsError("waiting", principal, self._waiting)
        self._waits[principal] = waits + 1
        self.leave(principal, server)

    def end_wait(self, principal: str, server: str) -> None:
        """A call that has waited for its client is in flight again."""
        _less(self._waits, principal)
        self._principals[principal] = self._principals.get(principal, 0) + 1
        self._servers[server] = self._servers.get(server, 0) + 1


def _less(counts: dict[str, int], key: str) -> None:
    count = counts[key]
    if count == 1:
        del counts[key]
    else:
        counts[key] = count - 1
