"""The fixture server, directly and behind the gateway."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from mcpgateway import config as gateway_config
from tests.conformance.direct import baseline, direct  # noqa: F401 - fixtures
from tests.support.bridges import bridge
from tests.support.gateways import configuration, gateway
from tests.support.local_runs import up
from tests.support.locks import free_port
from tests.support.remotes import FIXTURE


@contextlib.contextmanager
def _behind(program: Path, folder: Path, *flags: str) -> Iterator[str]:
    # Warm, because the suite waits only 0.6 s for a first event, and Python takes longer to start.
    with (
        bridge(program, folder, sys.executable, str(FIXTURE), *flags, flags=("--warm=2",)) as running,
        _alone(folder, gateway_config.Server(name="fixture", addresses=(f"127.0.0.1:{running.port}",))) as url,
    ):
        yield url


@contextlib.contextmanager
def _alone(folder: Path, server: gateway_config.Server) -> Iterator[str]:
    """A gateway that takes nothing from a server's names, and asks for no token."""
    auth, names = gateway_config.Auth(allow_unauthenticated=True), gateway_config.ToolNames(prefix="Never")
    with gateway(folder, configuration(server, folder=folder, auth=auth, tool_names=names)) as ours:
        ours.await_ready()
        yield ours.url


@contextlib.contextmanager
def _up(folder: Path) -> Iterator[str]:
    resource = {
        "apiVersion": "mcpgateway.dev/v1alpha1",
        "kind": "MCPGateway",
        "metadata": {"name": "conformance"},
        "spec": {
            "auth": {"allowUnauthenticated": True},
            "toolNames": {"prefix": "Never"},
            "servers": [{"name": "fixture", "image": "unused", "command": [sys.executable, str(FIXTURE)]}],
        },
    }
    file, port = folder / "gateway.yaml", free_port()
    file.write_text(yaml.safe_dump(resource))
    with up(str(file), f"--port={port}", state=folder) as running:
        running.connected()
        yield f"http://127.0.0.1:{port}/mcp"


@pytest.fixture(scope="module", params=["modern", "legacy", "remote", "mcpgw up"])
def behind(
    request: pytest.FixtureRequest,
    bridge_program: Path,
    direct: str,  # noqa: F811 - the fixture that is imported above
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, str]]:
    """The URL of a gateway in front of the fixture alone, under its own names; and what the parameter says: how it was made."""
    folder = tmp_path_factory.mktemp("conformance")
    ways = {
        "modern": lambda: _behind(bridge_program, folder),
        "legacy": lambda: _behind(bridge_program, folder, "--legacy"),
        "remote": lambda: _alone(folder, gateway_config.Server(name="fixture", url=direct)),
        "mcpgw up": lambda: _up(folder),
    }
    with ways[request.param]() as url:
        yield url, request.param
