"""Shared by all levels."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support import tools
from tests.support.paths import BUILD

os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")


@pytest.fixture
def anyio_backend() -> str:
    """asyncio is what everything runs on."""
    return "asyncio"


@pytest.fixture(scope="session")
def bridge_program() -> Path:
    """The built bridge."""
    program = BUILD / "mcp-bridge"
    return program if program.exists() else tools.bridge()
