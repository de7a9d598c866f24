"""What is visible to clients: the merged lists of all servers, with those of a caller's own processes that have changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..catalog.merge import Merging, build
from ..catalog.model import Catalog, Offer
from ..catalog.tool_rules import shaped, unpinned
from ..config import Config, Server
from ..protocol import jsonrpc, request_meta, versions
from ..protocol.versions import Era
from ..upstream.backend import Backend
from ..upstream.connection import Connection
from ..upstream.snapshot import Caller
from .given_resources import GivenResources


@dataclass(frozen=True, slots=True)
class _Shaped:
    """What a server's offer has become by its configuration."""

    offer: Offer
    server: Server
    result: Offer


@dataclass(frozen=True, slots=True)
class _Source:
    """What a server offers to one caller: its lists for all clients, or those of the caller's own process."""

    offer: Offer
    own: bool
    server: Server

    @property
    def offered(self) -> Offer:
        """Without hints how long own lists may be kept: no cache may give them to another client."""
        return Offer(self.offer.items) if self.own else self.offer


@dataclass(slots=True)
class _OwnCatalog:
    """The catalog for the key of processes whose lists have changed."""

    connections: set[Connection] = field(default_factory=set)
    made_of: tuple[Merging, list[_Source]] | None = None
    catalog: Catalog | None = None
    compared_at: int = -1  # the number of the change that it was compared with last


class VisibleCatalog:
    """Holds the configured servers, and the catalogs that are made of what they offer."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.backends: dict[str, Backend] = {}
        self.given = GivenResources()
        self._merged_by = self._merging()
        self._shaped: dict[str, _Shaped] = {}  # by server: what the catalog is made of
        self.catalog = build([], self._merged_by)
        self._changes = 0  # of the servers, or of processes that serve one key
        self._own: dict[str, _OwnCatalog] = {}  # by the key of processes whose lists have changed

    def rebuild(self) -> list[str]:
        """Make a new catalog if what is offered has changed. Returns: the capabilities whose lists have changed."""
        self._changes += 1
        shaped = {name: self._offered(name, backend) for name, backend in self.backends.items()}
        merging = self._merging()
        same = list(shaped) == list(self._shaped) and all(shaped[name] is self._shaped[name] for name in shaped)
        if same and merging == self._merged_by:
            return []
        self._shaped, self._merged_by = shaped, merging
        merged = build([entry.result for entry in shaped.values()], merging, before=self.catalog)
        if merged == self.catalog:
            return []
        changed = merged.changed_since(self.catalog)
        self.catalog = merged
        return changed

    def own_changed(self, connection: Connection) -> None:
        """The lists of a process that serves one key have changed; they are visible to it as long as the process lives."""
        if connection.closed.done():
            return
        self._changes += 1
        own = self._own.setdefault(connection.key, _OwnCatalog())
        if connection not in own.connections:
            own.connections.add(connection)
            connection.closed.add_done_callback(lambda lost: self._own_closed(connection))

    def _own_closed(self, connection: Connection) -> None:
        self._changes += 1
        own = self._own.get(connection.key)
        if own is not None:
            own.connections.discard(connection)
            if not own.connections:
                del self._own[connection.key]

    def forget(self, key: str) -> None:
        """A session is over: its processes are released."""
        self._own.pop(key, None)
        for backend in self.backends.values():
            backend.end_session(key)

    def holds(self, key: str) -> bool:
        """Whether something is kept for a session."""
        return key in self._own

    def of(self, caller: Caller) -> Catalog:
        """What a caller is offered: the lists for all clients, but those of its own processes where these have changed."""
        if not self._own:
            return self.catalog
        own = self._own.get(caller.key) or self._own.get(caller.identity)
        if own is None:
            return self.catalog
        if own.compared_at != self._changes:
            own.compared_at = self._changes
            self._update(own, caller)
        return own.catalog or self.catalog

    def _update(self, own: _OwnCatalog, caller: Caller) -> None:
        """Make a caller's own catalog again if what it is made of has changed."""
        made_of = self._merging(), [_source(caller, backend) for backend in self.backends.values()]
        if made_of != own.made_of:
            own.made_of = made_of
            offers = [_by_rules(source.offered, source.server) for source in made_of[1]]
            own.catalog = build(offers, made_of[0], before=self.catalog)

    def _merging(self) -> Merging:
        return Merging(
            naming=self.config.tool_names,
            gateway=self.config.gateway,
            servers=frozenset(server.name for server in self.config.servers),
            absent=frozenset(name for name, backend in self.backends.items() if not backend.snapshot.available),
        )

    def _offered(self, name: str, backend: Backend) -> _Shaped:
        """A server's offer by its configuration: the same object as long as both are."""
        offer, server = backend.snapshot.offer, backend.server
        earlier = self._shaped.get(name)
        if earlier is not None and earlier.offer is offer and earlier.server is server:
            return earlier
        return _Shaped(offer, server, _by_rules(offer, server))

    def owner(self, uri: str, caller: Caller) -> Backend | None:
        """The server that a caller reads a URI from: the one that lists it, that gave it to the caller in a result, whose
        template makes it, or that is the only one with resources, or with such resources (decision 0013)."""
        catalog = self.of(caller)
        name = catalog.lister(uri) or self.given.server_of(caller.key, uri) or catalog.maker(uri)
        if name is not None:
            return self.backends.get(name)
        having = [backend for backend in self.backends.values() if "resources" in backend.capabilities]
        if len(having) == 1:
            return having[0] if having[0].snapshot.available else None
        return self.backends.get(catalog.only_user_of_scheme(uri) or "")

    def own_connections(self, caller: Caller, capability: str | None = None) -> list[Connection]:
        """The connections to a caller's own processes, of those servers that have a capability."""
        having = [b for b in self.backends.values() if capability is None or capability in b.capabilities]
        return [process.connection for backend in having if (process := backend.own_process(caller)) is not None]

    def initialized(self, version: str) -> bytes:
        """The result of `initialize`."""
        return jsonrpc.dump(
            {
                "protocolVersion": version,
                "capabilities": self._capabilities("legacy"),
                "serverInfo": request_meta.server_info(self.config.gateway),
                **self._instructions(),
            }
        )

    def discovered(self) -> bytes:
        """The result of `server/discover`."""
        return jsonrpc.dump(
            {
                "resultType": "complete",
                "supportedVersions": list(versions.MODERN_VERSIONS),
                "capabilities": self._capabilities("modern"),
                "ttlMs": 0,
                "cacheScope": "private",
                **self._instructions(),
                "_meta": {request_meta.SERVER_INFO_KEY: request_meta.server_info(self.config.gateway)},
            }
        )

    def _capabilities(self, era: Era) -> dict[str, dict[str, Any]]:
        """What works now: tools always, the rest as soon as a server has it."""
        declared = {name for backend in self.backends.values() for name in backend.capabilities}
        listed = ["tools", *(name for name in ("prompts", "resources") if name in declared)]
        plain = ["completions", *(["logging"] if era == "legacy" else [])]
        offered: dict[str, dict[str, Any]] = {name: {"listChanged": True} for name in listed}
        if "resources.subscribe" in declared and "resources" in offered:
            offered["resources"]["subscribe"] = True
        extensions: dict[str, Any] = {}
        for backend in self.backends.values():
            extensions = {**backend.extensions, **extensions}
        return offered | {name: {} for name in plain if name in declared} | ({"extensions": extensions} if extensions else {})

    def _instructions(self) -> dict[str, str]:
        """What the servers say of their use, each under its name where there are several."""
        texts = {backend.server.name: backend.instructions for backend in self.backends.values() if backend.instructions}
        if not texts:
            return {}
        alone = len(self.backends) == 1
        return {"instructions": "\n\n".join(text if alone else f"{name}: {text}" for name, text in texts.items())}


def _by_rules(offer: Offer, server: Server) -> Offer:
    """What is left of a server's offer by its configuration; a pin is compared with what the server itself offers."""
    return shaped(unpinned(offer, server.pin), server.tools)


def _source(caller: Caller, backend: Backend) -> _Source:
    process = backend.own_process(caller)
    if process is None or process.offer is None:
        return _Source(backend.snapshot.offer, False, backend.server)
    return _Source(process.offer, True, backend.server)
