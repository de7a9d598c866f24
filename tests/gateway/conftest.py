"""A gateway in front of two small servers, one of each era."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mcpgateway import config as gateway_config
from tests.support.bridges import ECHO, Bridge, bridge
from tests.support.gateways import Gateway, configuration, gateway


@dataclass
class World:
    gateway: Gateway
    modern: Bridge
    legacy: Bridge
    servers: tuple[gateway_config.Server, ...]


def server(name: str, running: Bridge, **more: object) -> gateway_config.Server:
    return gateway_config.Server(name=name, addresses=(f"127.0.0.1:{running.port}",), **more)  # type: ignore[arg-type]


class Lab:
    """Makes bridges and gateways that end with the test."""

    def __init__(self, program: Path, folder: Path, stack: ExitStack) -> None:
        self.program, self.folder, self.stack = program, folder, stack

    def bridge(self, *command: str, flags: tuple[str, ...] = (), port: int | None = None) -> Bridge:
        return self.stack.enter_context(
            bridge(self.program, self.folder, *(command or (*ECHO, "modern")), flags=flags, port=port)
        )

    def gateway(self, *servers: gateway_config.Server, **more: Any) -> Gateway:
        return self.stack.enter_context(gateway(self.folder, configuration(*servers, folder=self.folder, **more)))


@pytest.fixture
def lab(bridge_program: Path, tmp_path: Path) -> Iterator[Lab]:
    with ExitStack() as stack:
        yield Lab(bridge_program, tmp_path, stack)


@pytest.fixture(scope="module")
def world(bridge_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Shared by a module: tests must leave it as it was."""
    folder = tmp_path_factory.mktemp("world")
    with bridge(bridge_program, folder, *ECHO, "modern") as modern, bridge(bridge_program, folder, *ECHO, "legacy") as legacy:
        servers = (server("new", modern, call_timeout=60.0), server("old", legacy, call_timeout=60.0))
        with gateway(folder, configuration(*servers, folder=folder)) as running:
            running.await_ready()
            yield World(running, modern, legacy, servers)
