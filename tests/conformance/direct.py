"""The fixture server by itself: what a gateway in front of it must not take away."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.suite import RUNS, Report, run
from tests.support.remotes import fixture


@pytest.fixture(scope="session")
def direct() -> Iterator[str]:
    """The fixture's own URL."""
    with fixture() as url:
        yield url


@pytest.fixture(scope="session")
def baseline(direct: str) -> dict[str, Report]:
    """What the fixture itself passes: what the gateway must not take away."""
    return {name: run(direct, *flags) for name, flags in RUNS.items()}
