"""Which connections are served: how many there are, in all and for each peer address."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any, Final

from .limits import Limits

_IPV6_NETWORK: Final = 64  # bits: one client has a whole network of IPv6 addresses


class Guard:
    """Counts connections. One for all connections of a port."""

    def __init__(self, limits: Limits, *, on_refused: Callable[[str], None]) -> None:
        self._limits = limits
        self._on_refused = on_refused  # with the reason
        self._by_address: dict[str, int] = {}
        self.connections = 0

    def admit(self, address: str) -> str:
        """Count a connection. Returns: why it is not served, empty if it is. Each admitted one must be released."""
        limits, count = self._limits, self._by_address.get(address, 0)
        reason = ""
        if self.connections >= limits.connections:
            reason = f"{limits.connections} connections are open (--max-connections)"
            self._on_refused("total")
        elif limits.connections_per_address and count >= limits.connections_per_address:
            maximum = limits.connections_per_address
            reason = f"{maximum} connections from this address are open (--max-connections-per-address)"
            self._on_refused("address")
        else:
            self.connections += 1
            self._by_address[address] = count + 1
        return reason

    def release(self, address: str) -> None:
        """An admitted connection is closed."""
        self.connections -= 1
        count = self._by_address.pop(address) - 1
        if count:
            self._by_address[address] = count


def peer_address(peername: Any) -> str:
    """The address of a peer, by which it is counted: an IPv4 address or an IPv6 network. Empty if there is none."""
    host = str(peername[0]) if isinstance(peername, tuple) and peername else ""
    if ":" not in host:
        return host
    address = ipaddress.IPv6Address(host.partition("%")[0])
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, _IPV6_NETWORK), strict=False))
