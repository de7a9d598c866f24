"""Packages with an exact version, by the registries' ordinary clients: mirrors and credentials of this machine
apply.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from dataclasses import replace

from ..importing.model import Package
from .bad_input import BadInputError
from .toolchain import run, search_path

_TIMEOUT = 60.0  # seconds for one package
_AT_ONCE = 4  # packages that are looked up at the same time


class Versions:
    """Looks packages up, some at a time."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def resolved(self, package: Package) -> Package:
        """A package with an exact version; as it was, if it cannot be looked up."""
        if package.version:
            return package
        try:
            async with self._turns, asyncio.timeout(_TIMEOUT):
                return await (_npm(package) if package.registry == "npm" else _pypi(package))
        except (BadInputError, TimeoutError, ValueError, LookupError, TypeError):
            return package


async def _npm(package: Package) -> Package:
    path = await search_path("npm", lambda text: None)
    npm = shutil.which("npm", path=path) or "npm"
    version = json.loads(await run([npm, "view", "--json", "--loglevel=error", f"{package.name}@latest", "version"], PATH=path))
    return replace(package, version=str(version[-1] if isinstance(version, list) else version))


async def _pypi(package: Package) -> Package:
    uv = shutil.which("uv", path=await search_path("pypi", lambda text: None)) or "uv"
    output = await run([uv, "pip", "compile", "-q", "--no-deps", "--no-header", "--no-annotate", "-"], stdin=package.name)
    match = re.search(r"==(\S+)", output)
    return replace(package, version=match[1]) if match else package
