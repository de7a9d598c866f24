"""Which MCPGateway has which name. Pure.

The names of gateways and servers join: server `api-x` of `web` and server `x` of `web-api` both want `web-api-x`, and a gateway
called `web-peers` wants the name of a Service of `web`. A *place* is such a name with all objects that go by it. Each place
is one gateway's: the one that has objects there, else the older one. Names that cannot join are not places (`render.naming`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..render import naming
from .child_state import Key


@dataclass(frozen=True, slots=True)
class Claimant:
    """A gateway that wants a place. The order is that of age."""

    created: str  # RFC 3339
    name: str

    def older(self, other: Claimant) -> bool:
        """Whether it has the place if no gateway has objects there yet; of the same second the first name."""
        return (self.created, self.name) < (other.created, other.name)


class Places:
    """The places that all gateways want, from watch events. `wake` asks for a pass over a gateway whose place has become free."""

    def __init__(self, wake: Callable[[Key], None]) -> None:
        self._wake = wake
        self._wanted: dict[Key, frozenset[str]] = {}
        self._claimants: dict[tuple[str, str], dict[str, Claimant]] = {}  # by namespace and place, then by gateway

    def put(self, body: Mapping[str, Any]) -> None:
        """A gateway exists, or has changed."""
        metadata = body["metadata"]
        key = metadata["namespace"], metadata["name"]
        wanted = naming.places(metadata["name"], _servers(body), sidecar=(body.get("spec") or {}).get("mode") == "Sidecar")
        given_up = self._wanted.get(key, frozenset()) - wanted
        self._wanted[key] = wanted
        claimant = Claimant(metadata.get("creationTimestamp", ""), metadata["name"])
        for place in wanted:
            self._claimants.setdefault((key[0], place), {})[key[1]] = claimant
        self._release(key, given_up)

    def drop(self, key: Key) -> None:
        """A gateway is deleted."""
        self._release(key, self._wanted.pop(key, frozenset()))

    def rivals(self, key: Key, place: str) -> list[Claimant]:
        """The other gateways that want a place of this one, the oldest first."""
        others = self._claimants.get((key[0], place), {})
        rivals = (claimant for name, claimant in others.items() if name != key[1])
        return sorted(rivals, key=lambda claimant: (claimant.created, claimant.name))

    def _release(self, key: Key, places: Iterable[str]) -> None:
        for place in places:
            claimants = self._claimants[key[0], place]
            del claimants[key[1]]
            for name in claimants:
                self._wake((key[0], name))
            if not claimants:
                del self._claimants[key[0], place]


def _servers(body: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """Name, and whether it keeps a claim, of each server in a container; a stored resource may have any shape."""
    servers = (body.get("spec") or {}).get("servers")
    return [
        (str(server.get("name", "")), any("size" in kept for kept in server.get("storage") or ()))
        for server in (servers if isinstance(servers, list) else ())
        if "url" not in server and server.get("state") != "Disabled"
    ]
