"""Public servers, asked directly and through the gateway: the answers are the same, whatever becomes of the processes.

`make test` takes a third of them, by its seed; `make servers` takes all of them at full size, and writes docs/servers.md.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import random
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client.streamable_http import streamable_http_client

from tests.gateway.conftest import server
from tests.support import npm, tools
from tests.support.bridges import Bridge, bridge, until
from tests.support.gateways import TOKEN, Gateway, configuration, gateway
from tests.support.waiting import PATIENCE

from . import installed
from .compare import answer_differences, ask, differences, list_differences, through
from .conftest import chosen, is_whole, tried
from .corpus import CORPUS, NOWHERE, PublicServer
from .direct import LISTS, Launch, Observed, by_sdk, filled, observe, parameters

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(1800)]
AT_ONCE = 24
ROUNDS = 10
START_TIMEOUT = 120.0  # seconds, the default of the resource
LATE = 12  # seconds before a slow program starts: the gateway asks in the other era as well after 10
BATCH = 8  # slow programs that start at the same time
SLOW_SAMPLE = 4
SESSIONS = 10


@dataclass
class World:
    """A gateway in front of all servers of this run."""

    folder: Path
    gateway: Gateway
    bridges: dict[str, Bridge]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the servers find: a file, a repository, the address of a cluster that does not answer."""
    folder = tmp_path_factory.mktemp("public")
    (folder / "hello.txt").write_text("grüße\n")
    cluster = {"name": "a", "cluster": {"server": NOWHERE}}
    context = {"name": "a", "context": {"cluster": "a", "user": "a"}}
    kubeconfig = {"apiVersion": "v1", "kind": "Config", "current-context": "a", "contexts": [context], "clusters": [cluster]}
    (folder / "kubeconfig").write_text(json.dumps({**kubeconfig, "users": [{"name": "a", "user": {}}]}))
    tools.require("real servers", {"git": "git"})
    git = ["git", "-C", str(folder), "-c", "user.name=T", "-c", "user.email=t@example.com"]
    for arguments in (["init", "--quiet"], ["add", "hello.txt"], ["commit", "--quiet", "-m", "Say hello"]):
        subprocess.run([*git, *arguments], check=True)
    return folder


def launch(public: PublicServer, folder: Path) -> Launch:
    """A server's command and environment, with Node and its own home."""
    environment = {name: filled([value], folder)[0] for name, value in public.environment.items()}
    path = npm.environment()["PATH"]
    home = folder / "homes" / public.name
    home.mkdir(parents=True, exist_ok=True)
    return Launch(filled(installed.command(public), folder), {"PATH": path, "HOME": str(home), **environment}, folder)


def arguments(public: PublicServer, folder: Path) -> dict[str, Any]:
    filled_in: dict[str, Any] = json.loads(json.dumps(dict(public.call)).replace("{folder}", str(folder)))
    return filled_in


@functools.cache
def directly(public: PublicServer, folder: Path) -> Observed:
    """What the server offers without a gateway."""
    return observe(launch(public, folder), public.tool, arguments(public, folder))


def behind_bridge(
    public: PublicServer, program: Path, shared: Path, logs: Path, *before: str
) -> contextlib.AbstractContextManager[Bridge]:
    wanted = launch(public, shared)
    flags = tuple(f"--env={name}={value}" for name, value in wanted.environment.items())
    return bridge(program, logs, "env", f"--chdir={shared}", *before, *wanted.command, flags=flags)


@contextlib.contextmanager
def world_of(
    servers: Sequence[PublicServer],
    program: Path,
    shared: Path,
    folder: Path,
    *before: str,
    start_timeout: float = 2 * PATIENCE,
) -> Iterator[World]:
    """A gateway in front of these servers, all started at the same time; each command comes after `before`."""
    with contextlib.ExitStack() as stack:
        bridges = {one.name: stack.enter_context(behind_bridge(one, program, shared, folder, *before)) for one in servers}
        each = (server(name, running, start_timeout=start_timeout) for name, running in bridges.items())
        config = configuration(*each, folder=folder)
        yield World(folder, stack.enter_context(gateway(folder, config)), bridges)


@pytest.fixture(scope="module")
def world(
    request: pytest.FixtureRequest, bridge_program: Path, shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    with world_of(request.param, bridge_program, shared, tmp_path_factory.mktemp("corpus")) as running:
        rows = running.gateway.await_ready()["servers"]
        assert [row["name"] for row in rows if row.get("restarts")] == []
        yield running


@contextlib.contextmanager
def session(world: World) -> Iterator[dict[str, str]]:
    """The headers of a session, which ends with it."""
    headers = world.gateway.session()
    try:
        yield headers
    finally:
        httpx2.delete(world.gateway.url, headers={**headers, "Authorization": f"Bearer {TOKEN}"}, timeout=PATIENCE)


def call(world: World, public: PublicServer, shared: Path, headers: dict[str, str] | None) -> dict[str, Any]:
    name = f"{public.name}_{public.tool}"
    return ask(world.gateway, "tools/call", headers, name=name, arguments=arguments(public, shared))


def assert_the_same(world: World, public: PublicServer, shared: Path, headers: dict[str, str] | None) -> None:
    """The lists and the call are what the server itself answers."""
    own = directly(public, shared)
    seen = through(world.gateway, public.name, own.era, headers)
    assert list_differences(public.name, own, seen) == []
    if public.tool in {tool["name"] for tool in own.lists["tools"]}:
        assert answer_differences(own.answer, call(world, public, shared, headers)) == []


def test_the_server_behind_the_gateway_is_the_same(world: World, public: PublicServer, shared: Path) -> None:
    with tried("same", public.name) as found:
        own = directly(public, shared)
        row = world.gateway.server(public.name)
        found.update(era=own.era, isolation=row["isolation"], counts={kind: len(own.lists[kind]) for kind in LISTS})
        assert row["era"] == own.era
        with session(world) as headers:
            assert_the_same(world, public, shared, headers)
        if own.era == "modern":
            assert_the_same(world, public, shared, None)
        found["answer"] = _kind_of(own.answer)


def _kind_of(answer: dict[str, Any]) -> str:
    if "error" in answer:
        return "error"
    return "isError" if answer["result"].get("isError") else "result"


async def test_the_official_client_sees_the_same(world: World, public: PublicServer, shared: Path) -> None:
    with tried("sdk", public.name):
        legacy = directly(public, shared).era == "legacy"
        own = await by_sdk(parameters(launch(public, shared)), legacy=legacy)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx2.AsyncClient(headers=headers, timeout=PATIENCE) as http:
            seen = await by_sdk(streamable_http_client(world.gateway.url, http_client=http), legacy=legacy)
        for kind in ("tools", "prompts"):
            ours = [item for item in seen[kind] if item["name"].startswith(f"{public.name}_")]
            assert [_unnamed(item) for item in ours] == [_unnamed(item) for item in own[kind]]
        uris = {item["uri"] for item in own["resources"]}
        assert [item for item in seen["resources"] if item["uri"] in uris] == own["resources"]


def _unnamed(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != "name"}


def test_a_later_session_gets_what_the_first_one_gets(
    world: World, public: PublicServer, shared: Path, request: pytest.FixtureRequest
) -> None:
    count = SESSIONS if is_whole(request.config) else 2
    with tried("sessions", public.name), contextlib.ExitStack() as stack:
        sessions = [stack.enter_context(session(world)) for _ in range(count)]
        for headers in (sessions[0], sessions[-1]):
            assert_the_same(world, public, shared, headers)


def test_a_killed_server_comes_back(world: World, public: PublicServer, shared: Path) -> None:
    with tried("killed", public.name):
        own = directly(public, shared)
        with session(world) as headers:
            call(world, public, shared, headers)
            killed = world.bridges[public.name].children()
            for pid in killed:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

        def is_back() -> bool:
            row = world.gateway.server(public.name)
            if row["state"] != "Ready" or not set(killed).isdisjoint(world.bridges[public.name].children()):
                return False
            with session(world) as headers:
                return list_differences(public.name, own, through(world.gateway, public.name, own.era, headers)) == []

        until(f"{public.name} to be back", is_back)
        with session(world) as headers:
            assert_the_same(world, public, shared, headers)
        assert world.gateway.server(public.name)["era"] == own.era


def test_slowness_changes_nothing(
    bridge_program: Path, shared: Path, tmp_path: Path, draw: random.Random, request: pytest.FixtureRequest
) -> None:
    servers = chosen(request.config)
    if not is_whole(request.config):
        servers = draw.sample(servers, SLOW_SAMPLE)
    for start in range(0, len(servers), BATCH):
        batch = servers[start : start + BATCH]
        folder = tmp_path / str(start)
        folder.mkdir()
        with (
            tried("slow", *(public.name for public in batch)),
            world_of(batch, bridge_program, shared, folder, "sh", "-c", f'sleep {LATE}; exec "$@"', "sh") as slow,
        ):
            slow.gateway.await_ready()
            with session(slow) as headers:
                for public in batch:
                    own = directly(public, shared)
                    assert slow.gateway.server(public.name)["era"] == own.era, public.name
                    assert list_differences(public.name, own, through(slow.gateway, public.name, own.era, headers)) == []


@pytest.mark.every_server
def test_many_that_start_at_once_are_all_ready_in_their_own_era(
    bridge_program: Path, shared: Path, tmp_path: Path, draw: random.Random
) -> None:
    for number in range(ROUNDS):
        servers = draw.sample(CORPUS, AT_ONCE)
        folder = tmp_path / str(number)
        folder.mkdir()
        with tried("at once", f"round {number + 1}"):
            with world_of(servers, bridge_program, shared, folder, start_timeout=START_TIMEOUT) as running:
                running.gateway.await_ready()
                rows = {row["name"]: row for row in running.gateway.status()["servers"]}
            assert {name: row["era"] for name, row in rows.items()} == {one.name: directly(one, shared).era for one in servers}
            assert {name: row["restarts"] for name, row in rows.items() if row.get("restarts")} == {}


def test_a_difference_is_found() -> None:
    own: dict[str, list[dict[str, Any]]] = {kind: [] for kind in LISTS}
    own["tools"] = [{"name": "a", "inputSchema": {"type": "object", "x": 1}}]
    seen = {**own, "tools": [{"name": "s_a", "inputSchema": {"type": "object", "x": 1.0}}]}
    found = list_differences("s", Observed("legacy", own), Observed("legacy", seen))
    assert found == ["tools/a/inputSchema/x: 1 directly, 1.0 through the gateway"]
    assert list_differences("s", Observed("legacy", own), Observed("legacy", {**own, "tools": []})) != []
    assert list(differences("", {"a": None}, {})) == ["/a: None directly, nothing through the gateway"]
