"""Shared by all levels."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support import tools
from tests.support.paths import BUILD

pytest_plugins = ["tests.support.levels"]
LONG = (
    "tests/servers/",
    "tests/conformance/",
    "tests/cli/",
    "tests/bridge/test_builds.py",
    "tests/api/test_faults.py",
    "tests/api/test_operator.py",
)

os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run the long experiments at their full size")
    parser.addoption("--every-server", action="store_true", help="try everything with every public server of tests/servers")


class Scale:
    """How often a long experiment repeats: a sample in `make test`, all of it in `make soak`."""

    def __init__(self, *, full: bool) -> None:
        self._full = full

    def __call__(self, sample: int, full: int) -> int:
        return full if self._full else sample


@pytest.fixture
def scale(request: pytest.FixtureRequest) -> Scale:
    """The size of this run's long experiments; the tests that ask for it are what `make soak` runs."""
    return Scale(full=request.config.getoption("--soak"))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long files first, so that no worker is left with one at the end; `--soak` selects the tests that have a full size."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))
    if config.getoption("--soak"):
        items[:] = [item for item in items if "scale" in getattr(item, "fixturenames", ())]


@pytest.fixture
def anyio_backend() -> str:
    """asyncio is what everything runs on."""
    return "asyncio"


@pytest.fixture(scope="session")
def bridge_program() -> Path:
    """The built bridge."""
    program = BUILD / "mcp-bridge"
    return program if program.exists() else tools.bridge()
