"""The bridges of `mcpgw up`, one for each enabled server with a command.

A changed server gets another bridge, and the one that it replaces ends once nothing runs behind it: an edit loses no call.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from ..api.quantities import seconds
from ..api.servers import Server
from ..render.bridge_flags import bridge_access, bridge_environment, bridge_package, bridge_processes
from . import local
from .bad_input import BadInputError
from .children import Child, bridge_program, free_port, server_environment
from .documents import Gateway
from .install import ROOT, PackageSource, program_path
from .show import Screen

_LISTEN_TIMEOUT = 20.0  # seconds until a bridge listens
_POLL = 0.1  # seconds between looks at a bridge
_QUIET_POLLS = 5  # in a row without a process, before a bridge that has been replaced is stopped
_RESTART_PAUSE = 1.0  # seconds
_PROCESSES = re.compile(r"^mcp_bridge_processes (\d+)$", re.MULTILINE)
_PROGRAM = frozenset(
    {"package", "command", "args", "env", "env_from", "warm", "max_processes"}
)  # what the bridge is started with


@dataclass(frozen=True)
class Prepared:
    """What a server is started from; `problem` says why it cannot be, and is empty if it can."""

    server: Server
    path: str  # PATH
    call_timeout: float  # seconds
    problem: str = ""

    def same_program(self, other: Prepared) -> bool:
        """Whether a bridge need not be replaced; fields that only the gateway reads do not count."""
        if (self.path, bool(self.problem)) != (other.path, bool(other.problem)):
            return False
        return self.server.model_dump(include=set(_PROGRAM)) == other.server.model_dump(include=set(_PROGRAM))


@dataclass
class RunningBridge:
    """A bridge, and what it was started from."""

    prepared: Prepared
    port: int
    health: int
    child: Child
    watch: asyncio.Task[None] | None = None

    async def stop(self) -> None:
        if self.watch is not None:
            self.watch.cancel()
        await self.child.stop()


class LocalServers:
    """The bridges in force, and those that are being replaced."""

    def __init__(self, *, folder: Path, state: Path, screen: Screen) -> None:
        self._folder, self._state, self._screen = folder, state, screen
        self._bridges: dict[str, RunningBridge] = {}
        self._replaced: dict[asyncio.Task[None], RunningBridge] = {}

    async def prepare(self, gateway: Gateway, source: PackageSource) -> dict[str, Prepared]:
        """Find or install the program of each server, at once; nothing that runs changes."""
        servers = [server for server in gateway.spec.enabled if server.hosted]
        prepared = await asyncio.gather(*(self._prepare(gateway, server, source) for server in servers))
        return {item.server.name: item for item in prepared}

    async def _prepare(self, gateway: Gateway, server: Server, source: PackageSource) -> Prepared:
        approved = gateway.integrities.get(server.name, "")
        timeout = seconds(server.call_timeout or gateway.spec.limits.call_timeout)
        try:
            path = await program_path(server, source, approved, lambda text: self._screen.say(server.name, text))
        except BadInputError as error:
            return Prepared(server, local.user_path(), timeout, problem=str(error))
        return Prepared(server, path, timeout)

    def fresh(self, prepared: Mapping[str, Prepared]) -> dict[str, Prepared]:
        """Those that are new, or need another bridge."""
        return {name: item for name, item in prepared.items() if not self._serves(item)}

    def _serves(self, item: Prepared) -> bool:
        bridge = self._bridges.get(item.server.name)
        return bridge is not None and bridge.prepared.same_program(item)

    async def start(self, prepared: Mapping[str, Prepared]) -> list[RunningBridge]:
        """Start what is new, beside what it replaces. Returns: the bridges that are not needed any more."""
        started = await asyncio.gather(*(self._start(item) for item in self.fresh(prepared).values()))
        fresh = {bridge.prepared.server.name: bridge for bridge in started}
        surplus = [bridge for name, bridge in self._bridges.items() if name in fresh or name not in prepared]
        kept = {name: bridge for name, bridge in self._bridges.items() if name in prepared}
        self._bridges = kept | fresh
        for name, item in prepared.items():
            self._bridges[name].prepared = item
        return surplus

    async def _start(self, item: Prepared) -> RunningBridge:
        for storage in item.server.storage:
            words = f"storage {storage.mount_path} is not mounted: the program uses this machine's own folder"
            self._screen.say(item.server.name, words)
        port, health = free_port(), free_port()
        bridge = RunningBridge(item, port, health, await self._spawn(item, port=port, health=health))
        bridge.watch = asyncio.create_task(self._keep(bridge))
        await _listening(bridge)
        return bridge

    async def _spawn(self, item: Prepared, *, port: int, health: int) -> Child:
        server = item.server
        flags = [
            *bridge_access(server.name, str(local.public_keys(self._state))),
            *(flag for flag in bridge_environment(server) if not flag.startswith("--refs=")),
            *bridge_processes(server),
            *bridge_package(server, str(ROOT)),
        ]
        listen = [f"--listen=127.0.0.1:{port}", f"--health=127.0.0.1:{health}", f"--refs={self._folder}/refs"]
        command = [bridge_program(), "serve", *listen, *flags, "--", *server.command, *server.args]
        return await Child.start(command, log=self.log(server.name), env=server_environment(item.path))

    async def _keep(self, bridge: RunningBridge) -> None:
        """Start it again whenever it ends, at the same address."""
        name = bridge.prepared.server.name
        while True:
            code = await bridge.child.wait()
            self._screen.say(name, f"its bridge has ended with exit code {code}: it is started again ({self.log(name)})")
            await asyncio.sleep(_RESTART_PAUSE)
            bridge.child = await self._spawn(bridge.prepared, port=bridge.port, health=bridge.health)

    def replace(self, surplus: list[RunningBridge]) -> None:
        """Stop bridges once nothing runs behind them, at the latest after the longest duration of a call."""
        for bridge in surplus:
            task = asyncio.create_task(_stop_when_quiet(bridge))
            self._replaced[task] = bridge
            task.add_done_callback(self._replaced.pop)

    async def stop(self) -> None:
        """Stop all of them, in parallel."""
        replaced, self._replaced = self._replaced, {}
        for task in replaced:
            task.cancel()
        await asyncio.gather(*(bridge.stop() for bridge in (*self._bridges.values(), *replaced.values())))

    def address(self, server: str) -> str:
        """Where a server's bridge listens."""
        return f"127.0.0.1:{self._bridges[server].port}"

    def log(self, server: str) -> Path:
        """The log of a server's bridge and program."""
        return self._folder / f"{server}.log"


async def _listening(bridge: RunningBridge) -> None:
    """Wait until it listens. A bridge that does not is started again in the background, and its server's status says so."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LISTEN_TIMEOUT), aiohttp.ClientSession() as session:
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"http://127.0.0.1:{bridge.health}/healthz"):
                        return
                await asyncio.sleep(_POLL)


async def _stop_when_quiet(bridge: RunningBridge) -> None:
    quiet, prepared = 0, bridge.prepared
    with contextlib.suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(prepared.call_timeout), aiohttp.ClientSession() as session:
            while quiet < _QUIET_POLLS:
                async with session.get(f"http://127.0.0.1:{bridge.health}/metrics") as answer:
                    processes = _PROCESSES.search(await answer.text())
                quiet = quiet + 1 if processes and int(processes[1]) <= prepared.server.warm else 0
                await asyncio.sleep(_POLL)
    await bridge.stop()
