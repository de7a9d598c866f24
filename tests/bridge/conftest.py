"""Bridges for a test, as built and with Go's race detector."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from tests.support import tools
from tests.support.bridges import Bridge, bridge
from tests.support.memory_groups import MemoryGroup, made

CAT = ("cat",)
DIRECT = {"mode": "direct"}
ATTACH = {"mode": "attach", "session": "s"}
WATCH = {"mode": "watch"}
PID_1 = (
    "unshare",
    *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]),
    "--pid",
    "--fork",
    "--mount-proc",
    "--kill-child",
)


class Start(Protocol):
    def __call__(self, *command: str, flags: tuple[str, ...] = (), wrapper: tuple[str, ...] = ()) -> Bridge: ...


@pytest.fixture(scope="session", params=["built", "race"])
def program(request: pytest.FixtureRequest, bridge_program: Path) -> Path:
    """The bridge: every behaviour is tested twice."""
    if request.param == "built":
        return bridge_program
    tools.require("bridge with the race detector", tools.COMPILERS)
    return tools.race_bridge()


@pytest.fixture
def start(program: Path, tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:

        def run(*command: str, flags: tuple[str, ...] = (), wrapper: tuple[str, ...] = ()) -> Bridge:
            return stack.enter_context(bridge(program, tmp_path, *command, flags=flags, wrapper=wrapper))

        yield run


@pytest.fixture
def started(bridge_program: Path, tmp_path: Path) -> Iterator[Start]:
    """As `start`, without the race detector: for sizes, limits and long runs."""
    with ExitStack() as stack:

        def run(*command: str, flags: tuple[str, ...] = (), wrapper: tuple[str, ...] = ()) -> Bridge:
            return stack.enter_context(bridge(bridge_program, tmp_path, *command, flags=flags, wrapper=wrapper))

        yield run


@pytest.fixture
def memory_group() -> Iterator[MemoryGroup]:
    with made() as group:
        yield group
