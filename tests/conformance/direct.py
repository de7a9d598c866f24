"""The fixture server by itself: what a gateway in front of it must not take away."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.conformance.suite import RUNS, Report, run
from tests.support.bridges import free_port, until
from tests.support.processes import end

FIXTURE = Path(__file__).with_name("fixture.py")


@pytest.fixture(scope="session")
def direct() -> Iterator[str]:
    """The fixture's own URL."""
    port = free_port()
    process = subprocess.Popen([sys.executable, str(FIXTURE), f"--http={port}"], stdin=subprocess.DEVNULL)

    def answers() -> bool:
        try:
            return httpx2.get(f"http://127.0.0.1:{port}/mcp").status_code > 0
        except httpx2.TransportError:
            return False

    try:
        until("the fixture", answers)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        end(process)


@pytest.fixture(scope="session")
def baseline(direct: str) -> dict[str, Report]:
    """What the fixture itself passes: what the gateway must not take away."""
    return {name: run(direct, *flags) for name, flags in RUNS.items()}
