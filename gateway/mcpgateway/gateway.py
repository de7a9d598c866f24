"""The life cycle: start, reload, drain.

The gateway starts with no server reachable, and a broken configuration keeps the last good one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import structlog
import uvicorn

from . import __version__
from .access.audit import Audit
from .access.keyring import KeyRing
from .catalog.model import Catalog
from .config import Binding, Config, ConfigError, Reading, read_binding, read_config
from .edge.connection import connection_class
from .edge.internal import Report, ServerStatus, StatusBoard, failed_status, internal_app, last_words, named_hidden, server_status
from .edge.limits import DEFAULT_LIMITS, Limits
from .edge.routes import client_routes
from .edge.shared import Edge
from .protocol.errors import internal, invalid_entry
from .requests.router import Router
from .runtime.memory_guard import INTERVAL, MemoryGuard, cgroup_reading
from .runtime.metrics import Metrics
from .upstream.backend import Backend
from .upstream.backends import Backends
from .upstream.bridge.proof import BridgeKeys
from .upstream.reports import Reports

log = structlog.get_logger()

_LOOK_INTERVAL = 0.25  # seconds between looks at the mounted files: four stat calls
_IDLE_INTERVAL = 5.0  # seconds between checks for sessions that are not used any more
_DRAIN_TIMEOUT = 25


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says."""

    config: Path
    binding: Path | None = None
    keys: Path | None = None
    bridge_keys: Path | None = None
    listen: tuple[str, int] = ("127.0.0.1", 8811)
    internal: tuple[str, int] = ("127.0.0.1", 8812)
    drain_delay: float = 0.0  # seconds that a draining gateway still takes new clients: endpoints change slowly
    limits: Limits = DEFAULT_LIMITS


class _Server(uvicorn.Server):
    """Two servers run in one loop, so neither may take the signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass
class Gateway:
    """Everything that lives as long as the process."""

    settings: Settings
    reading: Reading  # of the configuration in force
    binding: Binding
    config_error: str = ""
    listening: bool = False
    entrusted: bool = False  # it has reached all servers that it has to, once
    draining: bool = False

    def __post_init__(self) -> None:
        self.metrics = Metrics()
        self.audit = Audit(sys.stdout.fileno(), on_dropped=self.metrics.audit_dropped.inc)
        self.board = StatusBoard(secrets.token_hex(4))
        self.bridge_keys = BridgeKeys(self.settings.bridge_keys)
        self.router = Router(
            config=self.config,
            keys=KeyRing.load(self.settings.keys),
            metrics=self.metrics,
        )
        self.metrics.sessions.set_function(lambda: self.router.admission.sessions.count)
        self.metrics.calls_in_flight.set_function(
            lambda: sum(backend.in_flight for backend in self.router.visible.backends.values())
        )
        self.memory = MemoryGuard(cgroup_reading)
        self.edge = Edge(self.router, self.settings.limits, client_routes(self.router, self.memory))
        self.metrics.connections.set_function(lambda: self.edge.guard.connections)
        self.backends = Backends(
            keys=self.bridge_keys, peer=self.router.server_messages, reports=self._reports, on_change=self.changed
        )
        self._publish_soon = False

    # --- configuration ----------------------------------------------------------------------------------------------------

    def reload(self) -> None:
        """Read the mounted files again; they are compared by content, because a kubelet replaces them as links.

        This is a boundary: whatever the files contain, the last good configuration stays in force.
        """
        with self._boundary("tokens"):
            self.router.admission.reload()
        in_force = self.reading
        try:
            reading = read_config(self.settings.config)
            self.config_error = ""
            if reading.digest != in_force.digest:
                self.configure(reading)
                log.info("configuration applied", digest=reading.digest, servers=len(reading.config.servers))
        except ConfigError as error:
            self._refuse(str(error))
        except Exception as error:
            self.router.boundaries.report("configuration", error)
            self._refuse(f"{self.settings.config}: the gateway failed on it: {type(error).__name__}; its log has the traceback")
            with self._boundary("configuration"):
                self.configure(in_force)
        self.publish()

    def _refuse(self, message: str) -> None:
        if self.config_error != message:
            self.config_error = message
            self.metrics.reload_failures.inc()
            log.error("configuration refused, the last good one stays", error=message)

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self.reading.config

    def configure(self, reading: Reading) -> None:
        """Put a configuration in force: the one place from which everything that depends on it gets it."""
        self.reading, config = reading, reading.config
        for server, words in reading.invalid.items():
            log.error("a server's entry in the configuration cannot be used", server=server, error=words)
        self.router.admission.configure(config)
        self.router.admission.audit = self.audit if config.audit == "Metadata" else None
        self.router.visible.config = config
        self.backends.configure(config, self.binding)
        self.router.visible.backends = dict(self.backends.current)
        self.changed()

    @property
    def ready(self) -> bool:
        """Whether new clients should come here. What a gateway of an earlier version serves, it serves until this one can."""
        return self.listening and self.entrusted and not self.draining

    def _take_over(self) -> None:
        """Become ready once the awaited servers have answered; from then on they may fail, and this gateway says so."""
        backends = self.router.visible.backends
        awaited = [backends[name] for name in self.config.awaited if name in backends]
        self.entrusted = self.entrusted or all(backend.snapshot.available for backend in awaited)

    # --- boundaries -------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _boundary(self, name: str) -> Iterator[None]:
        """Around what must not end anything but itself: an exception is logged and counted."""
        try:
            yield
        except Exception as error:
            self.router.boundaries.report(name, error)

    def _reports(self, server: str) -> Reports:
        return Reports(
            invalid=self.metrics.upstream_invalid_messages.labels(server).inc,
            internal_error=lambda boundary, error: self.router.boundaries.report(boundary, error, server=server),
        )

    # --- status -----------------------------------------------------------------------------------------------------------

    def changed(self) -> None:
        """Something about a server has changed; many changes of one moment make one rebuild."""
        if not self._publish_soon:
            self._publish_soon = True
            asyncio.get_running_loop().call_soon(self._on_change)

    def _on_change(self) -> None:
        self._publish_soon = False
        self.router.visible.backends = dict(self.backends.current)
        with self._boundary("catalog"):
            self.router.rebuild()
        if all(backend.decided for backend in self.router.backends.values()):
            self.router.startup.end()
        else:
            self.router.startup.advance()
        self.publish()

    def publish(self) -> None:
        """Bring `/status` up to date."""
        self._take_over()
        catalog = self.router.visible.catalog
        self.board.publish(
            Report(
                config=self.reading.digest,
                ready=self.ready,
                draining=self.draining,
                tool_count=len(catalog.tools),
                servers=(
                    *(self._row(backend, catalog) for backend in self.router.backends.values()),
                    *(failed_status(invalid_entry(server, words)) for server, words in self.reading.invalid.items()),
                ),
                missing_tokens=self.router.admission.tokens.missing,
                missing_keys=not all(_filled(folder) for folder in (self.settings.keys, self.settings.bridge_keys)),
                hidden_tools=named_hidden(catalog.listings["tools"].hidden),
                config_error=self.config_error,
            )
        )

    def _detail(self, server: str) -> dict[str, Any] | None:
        backend = self.router.backends.get(server)
        return None if backend is None else last_words(backend.snapshot.last_error)

    def _row(self, backend: Backend, catalog: Catalog) -> ServerStatus:
        """A server's row. This is a boundary: a row that cannot be made is that server's failure, and the others stay."""
        try:
            return server_status(backend, catalog, self.backends.arrival(backend.server.name))
        except Exception as error:
            self.router.boundaries.report("status", error, server=backend.server.name)
            return failed_status(internal(backend.server.name, error))

    # --- life -------------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain; a second signal ends at once."""
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        clients = self._server(self.settings.listen, _no_application, http=connection_class(self.edge))
        internal = self._server(
            self.settings.internal, internal_app(self.board, self, self.metrics.render, self._detail), http="httptools"
        )

        def on_signal() -> None:
            if stop.is_set():
                clients.force_exit = True
            stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal)
        self.configure(self.reading)
        loop.call_later(self.config.startup_timeout, self.router.startup.end)
        async with asyncio.TaskGroup() as group:
            periodic = [
                group.create_task(self._watch_files()),
                group.create_task(self._end_idle_sessions()),
                group.create_task(self._watch_memory()),
            ]
            serving = group.create_task(clients.serve())
            probing = group.create_task(internal.serve())
            self.listening = True
            self.publish()
            log.info(
                "gateway started",
                version=__version__,
                listen=":".join(map(str, self.settings.listen)),
                servers=len(self.config.servers),
            )
            await stop.wait()
            await self._drain(clients, serving)
            for task in periodic:
                task.cancel()
            internal.should_exit = True
            await probing
        await self._close()
        log.info("gateway stopped")

    def _server(
        self, address: tuple[str, int], app: Callable[..., Any], *, http: type[asyncio.BufferedProtocol] | Literal["httptools"]
    ) -> _Server:
        host, port = address
        return _Server(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                loop="none",
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                timeout_keep_alive=75,
                backlog=1024,
                timeout_graceful_shutdown=_DRAIN_TIMEOUT,
                http=cast("Any", http),  # typed for asyncio.Protocol alone; the server only passes it to the loop
                interface="asgi3",
                proxy_headers=False,
            )
        )

    async def _drain(self, clients: _Server, serving: asyncio.Task[None]) -> None:
        """Readiness goes first, so that new clients go elsewhere; then streams end, then calls in flight finish."""
        self.draining = True
        self.publish()
        await asyncio.sleep(self.settings.drain_delay)
        self.router.streams.finish()
        self.router.listeners.close()
        clients.should_exit = True
        await serving

    async def _watch_files(self) -> None:
        paths = [self.settings.config, *([self.settings.binding] if self.settings.binding else [])]
        seen: object = None
        while True:
            tokens = [Path(token.file) for token in self.config.auth.tokens]
            keys = [_filled(folder) for folder in (self.settings.keys, self.settings.bridge_keys)]
            now = [*(_mark(path) for path in (*paths, *tokens)), *keys]
            if now != seen:
                seen = now
                self.reload()
            await asyncio.sleep(_LOOK_INTERVAL)

    async def _watch_memory(self) -> None:
        while True:
            with self._boundary("memory"):
                if self.memory.check():
                    self.metrics.memory_shedding.set(self.memory.shedding)
                    log.warning("memory is short: new requests are refused" if self.memory.shedding else "memory is free again")
            await asyncio.sleep(INTERVAL)

    async def _end_idle_sessions(self) -> None:
        while True:
            await asyncio.sleep(min(_IDLE_INTERVAL, max(0.25, self.config.session_idle_timeout / 4)))
            with self._boundary("idle sessions"):
                self.router.session_state.end_idle()

    async def _close(self) -> None:
        """Sessions go on elsewhere: a gateway that takes over finds their processes at the bridges."""
        await self.backends.close()
        await asyncio.to_thread(self.audit.close)


async def _no_application(scope: object, receive: object, send: object) -> None:
    """Connections of port 8811 call no ASGI application, but uvicorn's configuration requires one."""


def _mark(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except (OSError, ValueError):  # a path with a NUL is no path
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def _filled(folder: Path | None) -> bool:
    """Whether a folder of keys has one; a kubelet empties the folder of a deleted Secret. No folder needs none."""
    if folder is None:
        return True
    try:
        return any(not entry.name.startswith(".") for entry in os.scandir(folder))
    except OSError:
        return False


async def start(settings: Settings) -> Gateway:
    """Read the configuration and make a gateway. Raises: ConfigError, when there is no good one to begin with."""
    binding = read_binding(settings.binding) if settings.binding else Binding()
    return Gateway(settings=settings, reading=read_config(settings.config), binding=binding)
