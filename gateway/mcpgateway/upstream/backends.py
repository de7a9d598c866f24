"""The configured servers, made equal to each configuration; the ones that stay keep their connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from ..config import Binding, Config, Server, addresses_of
from ..runtime.background import Background
from .backend import Backend
from .bridge.proof import BridgeKeys
from .bridge.transport import BridgeTransport
from .reports import Reports
from .snapshot import Peer
from .transport import Transport


class Backends:
    """One backend for each server of the configuration in force.

    Args:
        keys: With which the gateway proves itself to bridges.
        peer: Who hears what servers send by themselves.
        reports: What a server, by its name, reports incidents to.
        on_change: Called after every change of what is known of a server.
    """

    def __init__(
        self, *, keys: BridgeKeys, peer: Peer, reports: Callable[[str], Reports], on_change: Callable[[], object]
    ) -> None:
        self._keys = keys
        self._peer, self._reports, self._on_change = peer, reports, on_change
        self._backends: dict[str, Backend] = {}
        self._closing = Background()

    def configure(self, config: Config, binding: Binding) -> Mapping[str, Backend]:
        """Take a configuration. Returns: its backends, by name, in its order."""
        wanted = {server.name: server for server in config.servers}
        if binding.mode == "Sidecar":  # a server of a newer pod template is not ours to serve
            wanted = {name: server for name, server in wanted.items() if server.url or name in binding.addresses}
        for name in [name for name in self._backends if name not in wanted]:
            self._retire(name)
        for name, server in wanted.items():
            addresses = addresses_of(server, binding)
            backend = self._backends.get(name)
            if backend is not None and _same_place(backend.server, server):
                backend.update(server, addresses)
                continue
            if backend is not None:
                self._retire(name)
            self._backends[name] = Backend(
                server,
                _transport(server, addresses, gateway=config.gateway, keys=self._keys),
                gateway=config.gateway,
                peer=self._peer,
                on_change=self._on_change,
                reports=self._reports(name),
            )
        self._backends = {name: self._backends[name] for name in wanted}
        return dict(self._backends)

    def _retire(self, name: str) -> None:
        self._closing.start(self._backends.pop(name).close())

    async def close(self) -> None:
        """Stop all of them; their processes stay at the bridges for a gateway that takes over."""
        leaving = [backend.close(forsaken=False) for backend in self._backends.values()]
        await asyncio.gather(*leaving, *self._closing)


def _transport(server: Server, addresses: tuple[str, ...], *, gateway: str, keys: BridgeKeys) -> Transport:
    if not server.url:
        return BridgeTransport(server, addresses, gateway=gateway, keys=keys)
    from .http.transport import HttpTransport  # here, because its HTTP client is 10 MiB that most gateways never need

    return HttpTransport(server)


def _same_place(current: Server, server: Server) -> bool:
    """Whether a changed server can keep its connections."""
    return (current.isolation, current.url, current.headers) == (server.isolation, server.url, server.headers)
