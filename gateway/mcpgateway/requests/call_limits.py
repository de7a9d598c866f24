"""How many calls may be in flight at once, so that one client or one server does not take the room of the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

MAX_PRINCIPAL: Final = 1000  # calls of one principal
MAX_SERVER: Final = 2000  # calls to one server

Scope = Literal["principal", "server"]


class TooManyCallsError(Exception):
    """A principal or a server has as many calls in flight as it may have."""

    def __init__(self, scope: Scope, name: str, limit: int) -> None:
        super().__init__(f"{scope} {name!r} has {limit} calls in flight, the most that one may have: try again later")
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
        on_refused: Callable[[Scope], None] = lambda scope: None,
    ) -> None:
        self._principal, self._server = principal, server
        self._on_refused = on_refused
        self._principals: dict[str, int] = {}
        self._servers: dict[str, int] = {}

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
        for counts, key in ((self._principals, principal), (self._servers, server)):
            count = counts[key]
            if count == 1:
                del counts[key]
            else:
                counts[key] = count - 1
