"""`mcpgw up`: an MCPGateway without a cluster, with the same bridges and the same gateway, on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from mcpgateway import config as gateway_config

from ..api.servers import Server
from ..render.bridge_flags import bridge_access, bridge_environment, bridge_processes
from ..render.gateway_config import gateway_auth, hot_config, pin_of, server_config
from . import local
from .bad_input import BadInputError
from .children import Child, bridge_program, server_environment
from .client import call_tool
from .documents import Documents, Gateway, read
from .install import search_path
from .show import Screen

_CHECK_INTERVAL = 0.5  # seconds between checks of the files


@dataclass(frozen=True)
class Options:
    """The command line."""

    files: tuple[Path, ...]
    port: int = 8811
    calls: tuple[str, ...] = ()
    json: bool = False


@dataclass
class _Running:
    """A running bridge, and the server and source that it was started from."""

    server: Server
    source: str | None
    port: int
    child: Child


class Local:
    """One gateway on this machine."""

    def __init__(self, options: Options, gateway: Gateway, folder: Path, screen: Screen) -> None:
        self._options, self._gateway, self._folder, self._screen = options, gateway, folder, screen
        self._state = local.state_folder(gateway.name)
        self._bridges: dict[str, _Running] = {}
        self._process: Child | None = None
        self._internal = _free_port()
        self.tokens: dict[str, str] = {}

    @property
    def url(self) -> str:
        """URL for clients."""
        return f"http://127.0.0.1:{self._options.port}/mcp"

    async def apply(self, documents: Documents, gateway: Gateway) -> None:
        """Start, restart and stop bridges, and write the configuration; unchanged bridges keep running. Raises: BadInputError."""
        self._gateway = gateway
        self.tokens = local.write_tokens(documents, gateway, self._state)
        local.write_references(documents, gateway, self._folder / "refs")
        wanted = {server.name: server for server in gateway.spec.enabled if server.hosted}
        for name, running in list(self._bridges.items()):
            if running.child.ended or _differs(running, wanted.get(name), gateway.installs.get(name)):
                await self._bridges.pop(name).child.stop()
        starts = [self._start_bridge(server) for name, server in wanted.items() if name not in self._bridges]
        await asyncio.gather(*starts)
        self._write_config()

    async def start_gateway(self) -> None:
        """Start the gateway's process. Raises: BadInputError when the port is taken."""
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self._options.port))
            except OSError:
                raise BadInputError(f"port {self._options.port} is in use: choose another with --port") from None
        command = [
            sys.executable,
            "-m",
            "mcpgateway",
            f"--config={self._folder}/config.json",
            f"--keys={self._state}/keys",
            f"--bridge-keys={local.private_keys(self._state)}",
            f"--listen=127.0.0.1:{self._options.port}",
            f"--internal=127.0.0.1:{self._internal}",
            "--log=text",
        ]
        self._process = await Child.start(command, log=self._folder / "gateway.log", env=os.environ)

    async def follow_status(self, ready: asyncio.Event) -> None:
        """Show changes of the servers; `ready` is set when each server is ready or has failed."""
        version = ""
        async with aiohttp.ClientSession() as session:
            while True:
                parameters = {"after": version, "wait": "30s"}
                try:
                    async with session.get(f"http://127.0.0.1:{self._internal}/status", params=parameters) as answer:
                        report = await answer.json()
                except aiohttp.ClientError:
                    if self._process is not None and self._process.ended:
                        raise BadInputError(f"the gateway has ended:\n{_tail(self._folder / 'gateway.log')}") from None
                    await asyncio.sleep(0.1)
                    continue
                version = report["version"]
                self._screen.servers(report["servers"])
                if report["servers"] and all(row["state"] in ("Ready", "Failed") for row in report["servers"]):
                    ready.set()

    async def stop(self) -> None:
        """Stop the gateway, so that it releases the servers, and then the bridges."""
        if self._process is not None:
            await self._process.stop()
        await asyncio.gather(*(running.child.stop() for running in self._bridges.values()))

    async def _start_bridge(self, server: Server) -> None:
        source = self._gateway.installs.get(server.name)
        for storage in server.storage:
            self._screen.say(
                server.name, f"storage {storage.mount_path} is not mounted: the program uses this machine's own folder"
            )
        path = await search_path(server.name, server.command[0], source, lambda text: self._screen.say(server.name, text))
        port = _free_port()
        flags = [
            *bridge_access(server.name, str(local.public_keys(self._state))),
            *(flag for flag in bridge_environment(server) if not flag.startswith("--refs=")),
            *bridge_processes(server),
        ]
        command = [bridge_program(), "serve", f"--listen=127.0.0.1:{port}", f"--refs={self._folder}/refs", *flags]
        command += ["--", *server.command, *server.args]
        log = self._folder / f"{server.name}.log"
        child = await Child.start(command, log=log, env=server_environment(path))
        self._bridges[server.name] = _Running(server=server, source=source, port=port, child=child)

    def _addresses(self, server: Server) -> tuple[str, ...]:
        return (f"127.0.0.1:{self._bridges[server.name].port}",) if server.hosted else ()

    def _reference(self, kind: str, name: str, key: str) -> str:
        return str(self._folder / "refs" / kind / name / key)

    def _server_config(self, server: Server) -> gateway_config.Server:
        spec = self._gateway.spec
        pin = pin_of(spec, self._gateway.pins, server.name)
        return server_config(server, limits=spec.limits, file=self._reference, addresses=self._addresses(server), pin=pin)

    def _write_config(self) -> None:
        spec = self._gateway.spec
        config = hot_config(
            spec,
            gateway=self._gateway.name,
            servers=[self._server_config(server) for server in spec.enabled],
            auth=gateway_auth(spec, file=lambda kind, name, key: str(local.token_file(self._state, name, key))),
        )
        local.private_file(self._folder / "config.json", gateway_config.encode(config).encode(), keep=False)


async def up(options: Options) -> None:
    """Run until SIGINT or SIGTERM. Raises: BadInputError."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    serving = asyncio.ensure_future(_serve(options))
    stopping = asyncio.ensure_future(stop.wait())
    done, _ = await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    for task in (serving, stopping):
        task.cancel()
    await asyncio.wait({serving, stopping})
    if serving in done or not serving.cancelled():
        serving.result()


async def _serve(options: Options) -> None:
    documents = read(options.files, images=False)
    if len(documents.gateways) > 1:
        raise BadInputError(f"{len(documents.gateways)} MCPGateways in the files: `mcpgw up` runs one")
    (gateway,) = documents.gateways
    screen = Screen(json=options.json)
    with _folder(gateway.name) as folder:
        ours = Local(options, gateway, folder, screen)
        try:
            await ours.apply(documents, gateway)
            await ours.start_gateway()
            async with asyncio.TaskGroup() as group:
                ready = asyncio.Event()
                group.create_task(ours.follow_status(ready))
                group.create_task(_greet(options, ours, gateway, screen, ready))
                group.create_task(_follow_files(options, ours, screen))
        except* BadInputError as errors:
            raise errors.exceptions[0] from None
        finally:
            screen.say("mcpgw", "stopping")
            await asyncio.shield(asyncio.ensure_future(ours.stop()))


async def _greet(options: Options, ours: Local, gateway: Gateway, screen: Screen, ready: asyncio.Event) -> None:
    await ready.wait()
    token = next(iter(ours.tokens.values()), None)
    results = []
    for wanted in options.calls:
        name, arguments = _parse_call(wanted)
        answer = await call_tool(ours.url, token=token, name=name, arguments=arguments)
        screen.called(name, answer)
        results.append({"name": name, "result": answer})
    screen.connect(gateway=gateway.name, url=ours.url, token=token, calls=results)


def _parse_call(text: str) -> tuple[str, Any]:
    name, _, arguments = text.partition("=")
    try:
        return name, json.loads(arguments or "{}")
    except ValueError:
        raise BadInputError(
            f'--call is {text!r}: want NAME=JSON, for example \'time_get_current_time={{"timezone":"UTC"}}\''
        ) from None


async def _follow_files(options: Options, ours: Local, screen: Screen) -> None:
    """Reload when the files change; an error is shown, and the previous configuration stays in use."""
    seen = [_mark(file) for file in options.files]
    while True:
        await asyncio.sleep(_CHECK_INTERVAL)
        now = [_mark(file) for file in options.files]
        if now == seen:
            continue
        seen = now
        try:
            documents = read(options.files, images=False)
            await ours.apply(documents, documents.gateways[0])
            screen.say("mcpgw", "reloaded: the files have changed")
        except BadInputError as error:
            screen.say("mcpgw", f"not reloaded, the previous configuration stays in use: {error}")


def _mark(file: Path) -> tuple[int, int]:
    try:
        stat = file.stat()
    except OSError:
        return (0, 0)
    return stat.st_mtime_ns, stat.st_size


def _differs(running: _Running, wanted: Server | None, source: str | None) -> bool:
    """Whether a bridge must be restarted; fields that only the gateway reads do not count."""
    if wanted is None:
        return True
    ours = {"command", "args", "env", "env_from"}
    return running.source != source or running.server.model_dump(include=ours) != wanted.model_dump(include=ours)


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-10:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def _folder(name: str) -> Iterator[Path]:
    """A private folder that is removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix=f"mcpgw-{name}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
