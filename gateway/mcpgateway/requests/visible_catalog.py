"""What clients are offered: the lists of all servers merged, and of a caller's own processes those that have changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
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

_MAX_OWN = 10_000


@dataclass(frozen=True, slots=True)
class _Shaped:
    """What a server's offer has become by its configuration."""

    offer: Offer
    server: Server
    result: Offer


class VisibleCatalog:
    """Holds the configured servers, and the catalogs that are made of what they offer."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.backends: dict[str, Backend] = {}
        self._merged_by = self._merging()
        self._shaped: dict[str, _Shaped] = {}  # by server: what the catalog is made of
        self.catalog = build([], self._merged_by)
        self._own: dict[str, Catalog | None] = {}  # by the key of a process that says that its lists change; None: stale

    def rebuild(self) -> list[str]:
        """Make a new catalog if what is offered has changed. Returns: the capabilities whose lists have changed."""
        shaped = {name: self._offered(name, backend) for name, backend in self.backends.items()}
        merging = self._merging()
        same = list(shaped) == list(self._shaped) and all(shaped[name] is self._shaped[name] for name in shaped)
        if same and merging == self._merged_by:
            return []
        self._shaped, self._merged_by = shaped, merging
        fresh = build([entry.result for entry in shaped.values()], merging, before=self.catalog)
        self._own = dict.fromkeys(self._own)  # stale: made again when they are asked for
        if fresh == self.catalog:
            return []
        changed = fresh.changed_since(self.catalog)
        self.catalog = fresh
        return changed

    def own_changed(self, key: str) -> None:
        """The lists of a process that is not everybody's have changed."""
        self._own[key] = None
        if len(self._own) > _MAX_OWN:
            del self._own[next(iter(self._own))]

    def forget(self, key: str) -> None:
        """A session has ended."""
        self._own.pop(key, None)

    def of(self, caller: Caller) -> Catalog:
        """What a caller is offered: everybody's lists, but of processes of its own that have said so those."""
        if not self._own:
            return self.catalog
        key = caller.key if caller.key in self._own else caller.identity
        if key not in self._own:
            return self.catalog
        known = self._own[key]
        if known is None:
            known = self._own[key] = self._merged(partial(_own_offer, caller))
        return known

    def _merged(self, offer: Callable[[Backend], Offer]) -> Catalog:
        """The catalog of all servers, of each of which `offer` says what it offers."""
        offers = [_by_rules(offer(backend), backend.server) for backend in self.backends.values()]
        return build(offers, self._merging(), before=self.catalog)

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
        """Who may know a URI. One that nobody lists may come from a link: then the only server with resources has it."""
        name = self.of(caller).owner(uri)
        if name is not None:
            return self.backends[name]
        having = [backend for backend in self.backends.values() if "resources" in backend.capabilities]
        return having[0] if len(having) == 1 and having[0].snapshot.available else None

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
        known = {name for backend in self.backends.values() for name in backend.capabilities}
        offered = ["tools", *(name for name in ("prompts", "resources") if name in known)]
        plain = ["completions", *(["logging"] if era == "legacy" else [])]
        found: dict[str, dict[str, Any]] = {name: {"listChanged": True} for name in offered}
        if "resources.subscribe" in known:
            found["resources"]["subscribe"] = True
        extensions: dict[str, Any] = {}
        for backend in self.backends.values():
            extensions = {**backend.extensions, **extensions}
        return found | {name: {} for name in plain if name in known} | ({"extensions": extensions} if extensions else {})

    def _instructions(self) -> dict[str, str]:
        """What the servers say of their use, each under its name where there are several."""
        said = {backend.server.name: backend.instructions for backend in self.backends.values() if backend.instructions}
        if not said:
            return {}
        alone = len(self.backends) == 1
        return {"instructions": "\n\n".join(words if alone else f"{name}: {words}" for name, words in said.items())}


def _by_rules(offer: Offer, server: Server) -> Offer:
    """What is left of a server's offer by its configuration; approval is about its own words."""
    return shaped(unpinned(offer, server.pin), server.tools)


def _own_offer(caller: Caller, backend: Backend) -> Offer:
    """What a caller's own process offers, if it has said that its lists change; nobody else may keep those."""
    process = backend.own_process(caller)
    return backend.snapshot.offer if process is None or process.offer is None else Offer(process.offer.items)
