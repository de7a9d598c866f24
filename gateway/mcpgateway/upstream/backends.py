"""The configured servers, made equal to each configuration; the ones that stay keep their connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

from ..config import Binding, Config, Server, addresses_of
from ..protocol.errors import Failure
from ..runtime.background import Background
from .arrivals import Arrivals
from .backend import Backend
from .bridge.proof import BridgeKeys
from .bridge.transport import BridgeTransport
from .reports import Reports
from .snapshot import Peer
from .transport import Transport


class Backends:
    """One backend for each server of the configuration in force.

    A server that is at another place after a change is served from the previous one until the new one has answered.

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
        self._gateway = ""
        self._backends: dict[str, Backend] = {}
        self._successors: dict[str, Backend] = {}  # of servers that are served from their previous place
        self._arrivals: dict[str, Arrivals] = {}
        self._closing = Background()

    @property
    def current(self) -> Mapping[str, Backend]:
        """The backends that serve, by name, in the order of the configuration."""
        return dict(self._backends)

    def configure(self, config: Config, binding: Binding) -> None:
        """Take a configuration."""
        self._gateway = config.gateway
        wanted = {server.name: server for server in config.servers}
        if binding.mode == "Sidecar":  # a server of a newer pod template is not ours to serve
            wanted = {name: server for name, server in wanted.items() if server.url or name in binding.addresses}
        for name in [name for name in self._backends if name not in wanted]:
            self._remove(name)
        for server in wanted.values():
            self._take(server, addresses_of(server, binding))
        self._backends = {name: self._backends[name] for name in wanted}

    def arrival(self, name: str) -> Failure | None:
        """Why a new version of a server does not serve yet; None if there is none."""
        successor = self._successors.get(name)
        if successor is not None:
            return successor.snapshot.absence(name)
        return self._arrivals[name].failure if name in self._arrivals else None

    async def close(self) -> None:
        """Stop all of them; their processes stay at the bridges for a gateway that takes over."""
        every = (*self._backends.values(), *self._successors.values())
        leaving = [backend.close(forsaken=False) for backend in every]
        arrivals = [arrivals.close() for arrivals in self._arrivals.values()]
        await asyncio.gather(*leaving, *arrivals, *self._closing)

    def _take(self, server: Server, addresses: tuple[str, ...]) -> None:
        name = server.name
        backend, successor = self._backends.get(name), self._successors.get(name)
        self._expect(server)
        if backend is not None and _same_place(backend.server, server):
            self._retire(self._successors.pop(name, None))
            backend.update(server, addresses)
        elif successor is not None and _same_place(successor.server, server):
            successor.update(server, addresses)
        else:
            self._retire(self._successors.pop(name, None))
            self._replace(server, addresses)

    def _replace(self, server: Server, addresses: tuple[str, ...]) -> None:
        """Begin to serve a server from another place: at once where nothing is served, else when it has answered."""
        serving = self._backends.get(server.name)
        if serving is not None and serving.snapshot.available:
            self._successors[server.name] = self._backend(server, addresses, partial(self._on_successor, server.name))
            return
        self._retire(serving)
        self._backends[server.name] = self._backend(server, addresses, self._on_change)

    def _backend(self, server: Server, addresses: tuple[str, ...], on_change: Callable[[], object]) -> Backend:
        return Backend(
            server,
            _transport(server, addresses, gateway=self._gateway, keys=self._keys),
            gateway=self._gateway,
            peer=self._peer,
            on_change=on_change,
            reports=self._reports(server.name),
        )

    def _on_successor(self, name: str) -> None:
        """A successor that serves is an ordinary backend, whose changes come here, too."""
        successor = self._successors.get(name)
        serving = self._backends.get(name)
        if successor is not None and (successor.snapshot.available or serving is None or not serving.snapshot.available):
            self._backends[name] = self._successors.pop(name)
            if serving is not None:
                successor.inherit(serving)
                self._closing.start(serving.close())
        self._on_change()

    def _expect(self, server: Server) -> None:
        """Ask the bridges that are to take over from those that serve."""
        if server.arriving and server.name not in self._arrivals:
            self._arrivals[server.name] = Arrivals(
                server, gateway=self._gateway, keys=self._keys, reports=self._reports(server.name), on_change=self._on_change
            )
        if server.name in self._arrivals:
            self._arrivals[server.name].update(server)

    def _remove(self, name: str) -> None:
        self._retire(self._backends.pop(name))
        self._retire(self._successors.pop(name, None))
        if name in self._arrivals:
            self._closing.start(self._arrivals.pop(name).close())

    def _retire(self, backend: Backend | None) -> None:
        if backend is not None:
            self._closing.start(backend.close())


def _transport(server: Server, addresses: tuple[str, ...], *, gateway: str, keys: BridgeKeys) -> Transport:
    if not server.url:
        return BridgeTransport(server, addresses, gateway=gateway, keys=keys)
    from .http.transport import HttpTransport  # here, because its HTTP client is 10 MiB that most gateways never need

    return HttpTransport(server)


def _same_place(current: Server, server: Server) -> bool:
    """Whether a changed server can keep its connections."""
    return _place(current) == _place(server)


def _place(server: Server) -> tuple[object, ...]:
    return server.isolation, server.url, server.headers, server.ca_file, server.proxy
