"""`mcpgw up`: an MCPGateway without a cluster, with the same bridges and the same gateway, on loopback."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcpgateway import config as gateway_config

from ..api.packages import CREDENTIAL_KEYS
from ..api.servers import Server
from ..render.gateway_config import gateway_auth, hot_config, pin_of, server_config
from . import local
from .bad_input import BadInputError
from .children import bridge_program
from .client import call_tool
from .documents import Documents, Gateway, read
from .install import PackageSource
from .local_gateway import LocalGateway, require_port
from .local_servers import LocalServers, Prepared, RunningBridge
from .run_folder import run_folder
from .show import Screen, settled
from .target.runs import Run, recorded

_CHECK_INTERVAL = 0.5  # seconds between checks of the files
_APPLY_PATIENCE = 10.0  # seconds until a running gateway has taken a configuration


@dataclass(frozen=True)
class Options:
    """The command line."""

    files: tuple[Path, ...]
    port: int = 8811
    calls: tuple[str, ...] = ()
    json: bool = False


class Local:
    """One gateway on this machine, made equal to the files."""

    def __init__(self, options: Options, name: str, folder: Path, screen: Screen) -> None:
        self._name, self._folder, self._screen, self._files = name, folder, screen, options.files
        self._state = local.state_folder(name)
        self._problems: dict[str, list[str]] = {}  # of servers that cannot run, by name
        self.servers = LocalServers(folder=folder, state=self._state, screen=screen)
        self.gateway = LocalGateway(port=options.port, folder=folder, state=self._state, screen=screen)
        self.tokens: dict[str, str] = {}

    async def begin(self, documents: Documents) -> None:
        """Start all servers that can run; the others are named. Raises: BadInputError, if none can run."""
        gateway = only_gateway(documents)
        prepared = await self.servers.prepare(gateway, self._package_source(documents, gateway))
        problems = self._found_problems(documents, gateway, prepared)
        if problems and len(problems) == len(gateway.spec.enabled):
            raise BadInputError(*_words(problems))
        for name, messages in problems.items():
            for message in messages:
                self._screen.say(name, f"cannot run: {message}")
        await self._commit(documents, gateway, prepared, problems)

    async def change(self, documents: Documents) -> None:
        """Apply an edit, whole or not at all. Raises: BadInputError, if a server that it adds or changes cannot run."""
        gateway = only_gateway(documents)
        if gateway.name != self._name:
            raise BadInputError(f"metadata.name is {gateway.name!r} now: it stays {self._name!r} until `mcpgw up` is restarted")
        prepared = await self.servers.prepare(gateway, self._package_source(documents, gateway))
        problems = self._found_problems(documents, gateway, prepared)
        if added := {name: messages for name, messages in problems.items() if messages != self._problems.get(name)}:
            raise BadInputError(*_words(added))
        surplus, digest = await self._commit(documents, gateway, prepared, problems)
        await self.gateway.applied(digest, patience=_APPLY_PATIENCE)
        self.servers.replace(surplus)

    def _package_source(self, documents: Documents, gateway: Gateway) -> PackageSource:
        """The registries of the resource, with the files of their credentials."""
        folder, packages = self._folder / "packages", gateway.spec.packages
        if packages.credentials is not None:
            local.write_values(documents, "secrets", packages.credentials.name, CREDENTIAL_KEYS, folder / "credentials")
        bundle = packages.ca_bundle
        if bundle is not None:
            local.write_values(documents, "configmaps", bundle.name, (bundle.key,), folder / "ca")
        return PackageSource(packages, folder / "credentials", folder / "ca" / (bundle.key if bundle is not None else ""))

    def _found_problems(self, documents: Documents, gateway: Gateway, prepared: dict[str, Prepared]) -> dict[str, list[str]]:
        """Why servers cannot run: a program that is not there, values that are missing."""
        missing = local.missing_values(documents, gateway)
        problems = {}
        for server in gateway.spec.enabled:
            program = [prepared[server.name].problem] if server.hosted and prepared[server.name].problem else []
            if messages := [*program, *missing.get(server.name, ())]:
                problems[server.name] = messages
        return problems

    async def _commit(
        self, documents: Documents, gateway: Gateway, prepared: dict[str, Prepared], problems: dict[str, list[str]]
    ) -> tuple[list[RunningBridge], str]:
        """Start what is new, then put the configuration in force. Returns: the bridges that are not needed, and the digest."""
        self.tokens = local.write_tokens(documents, gateway, self._state)
        local.write_references(documents, gateway, self._folder / "refs")
        surplus = await self.servers.start(prepared)
        content = gateway_config.encode(self._configuration(gateway))
        local.private_file(self.gateway.config, content.encode(), keep=False)
        self._problems = problems
        return surplus, gateway_config.digest(content)

    def _configuration(self, gateway: Gateway) -> gateway_config.Config:
        return hot_config(
            gateway.spec,
            gateway=gateway.name,
            servers=[self._server_config(gateway, server) for server in gateway.spec.enabled],
            auth=gateway_auth(gateway.spec, file=lambda kind, name, key: str(local.token_file(self._state, name, key))),
        )

    def _server_config(self, gateway: Gateway, server: Server) -> gateway_config.Server:
        return server_config(
            server,
            limits=gateway.spec.limits,
            remotes=gateway.spec.remotes,
            file=lambda kind, name, key: str(self._folder / "refs" / kind / name / key),
            addresses=(self.servers.address(server.name),) if server.hosted else (),
            pin=pin_of(gateway.spec, gateway.pins, server.name),
        )

    async def follow_status(self, ready: asyncio.Event) -> None:
        """Show changes of the servers; `ready` is set when each server has started or failed."""
        async for report in self.gateway.reports():
            self._screen.servers(report["servers"])
            if report["servers"] and all(settled(row) for row in report["servers"]):
                ready.set()

    @property
    def run(self) -> Run:
        """How other commands find it."""
        files = tuple(str(file.resolve()) for file in self._files)
        url, internal = self.gateway.url, self.gateway.internal_url
        return Run(gateway=self._name, url=url, internal=internal, logs=str(self._folder), files=files)

    async def stop(self) -> None:
        """Stop the gateway, so that it releases the servers, and then the bridges."""
        await self.gateway.stop()
        await self.servers.stop()


def only_gateway(documents: Documents) -> Gateway:
    """The gateway of the files. Raises: BadInputError, if there are several."""
    if len(documents.gateways) > 1:
        names = ", ".join(gateway.name for gateway in documents.gateways)
        raise BadInputError(f"{len(documents.gateways)} MCPGateways in the files ({names}): `mcpgw up` runs one")
    return documents.gateways[0]


def _words(problems: dict[str, list[str]]) -> list[str]:
    return [message for messages in problems.values() for message in messages]


def require_linux(platform: str) -> None:
    """Refuse platforms that the bridge does not run on; `platform` as in `sys.platform`. Raises: BadInputError."""
    if platform != "linux":
        raise BadInputError(
            f"`mcpgw up` runs on Linux only, and this is {platform}: use a Linux machine, a container or WSL, or a cluster"
        )


async def up(options: Options) -> None:
    """Run until SIGINT, SIGTERM or SIGHUP. Raises: BadInputError."""
    require_linux(sys.platform)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
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
    marks = [_mark(file) for file in options.files]
    documents = read(options.files, images=False)
    gateway = only_gateway(documents)
    calls = [_parse_call(text) for text in options.calls]
    require_port(options.port)
    bridge_program()
    screen = Screen(json=options.json)
    with ExitStack() as stack:
        folder = stack.enter_context(run_folder(gateway.name))
        screen.say("mcpgw", f"logs are in {folder} until the end")
        ours = Local(options, gateway.name, folder, screen)
        stack.enter_context(recorded(ours.run))
        try:
            await ours.begin(documents)
            async with asyncio.TaskGroup() as group:
                ready = asyncio.Event()
                group.create_task(ours.gateway.keep())
                group.create_task(ours.follow_status(ready))
                group.create_task(_greet(ours, calls, screen, ready, gateway=gateway.name, logs=folder))
                group.create_task(_follow_files(options, ours, screen, marks))
        except* BadInputError as errors:
            raise errors.exceptions[0] from None
        finally:
            screen.say("mcpgw", "stopping")
            await asyncio.shield(asyncio.ensure_future(ours.stop()))


async def _greet(
    ours: Local, calls: list[tuple[str, Any]], screen: Screen, ready: asyncio.Event, *, gateway: str, logs: Path
) -> None:
    await ready.wait()
    token = next(iter(ours.tokens.values()), None)
    results = []
    for name, arguments in calls:
        answer = await call_tool(ours.gateway.url, token=token, name=name, arguments=arguments)
        screen.called(name, answer)
        results.append({"name": name, "result": answer})
    screen.connect(gateway=gateway, url=ours.gateway.url, token=token, calls=results, logs=str(logs))


def _parse_call(text: str) -> tuple[str, Any]:
    name, _, arguments = text.partition("=")
    try:
        return name, json.loads(arguments or "{}")
    except ValueError:
        raise BadInputError(
            f'--call is {text!r}: want NAME=JSON, for example \'time_get_current_time={{"timezone":"UTC"}}\''
        ) from None


async def _follow_files(options: Options, ours: Local, screen: Screen, seen: list[tuple[int, int, int]]) -> None:
    """Reload when the files change; errors are shown, and the previous configuration stays in use."""
    while True:
        await asyncio.sleep(_CHECK_INTERVAL)
        now = [_mark(file) for file in options.files]
        if now == seen:
            continue
        seen = now
        try:
            await ours.change(read(options.files, images=False))
            screen.say("mcpgw", "reloaded: the files have changed")
        except BadInputError as error:
            for message in error.messages:
                screen.say("mcpgw", f"not reloaded, the previous configuration stays in use: {message}")


def _mark(file: Path) -> tuple[int, int, int]:
    try:
        stat = file.stat()
    except OSError:
        return (0, 0, 0)
    return stat.st_ino, stat.st_mtime_ns, stat.st_size
