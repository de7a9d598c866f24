"""Packages with an exact version and their command, by the registries' ordinary clients: mirrors and credentials of this machine
apply.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
from dataclasses import replace

from ..importing.model import Package
from .bad_input import BadInputError
from .install import npm_program, run

_TIMEOUT = 60.0  # seconds for one package
_AT_ONCE = 4  # packages that are looked up at the same time


class Versions:
    """Looks packages up, some at a time."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def resolved(self, package: Package) -> Package:
        """A package with an exact version and its command; as it was, if it cannot be looked up."""
        if package.registry == "pypi" and package.version:
            return package
        try:
            async with self._turns, asyncio.timeout(_TIMEOUT):
                return await (_npm(package) if package.registry == "npm" else _pypi(package))
        except (BadInputError, TimeoutError, ValueError, LookupError, TypeError):
            return package


async def _npm(package: Package) -> Package:
    npm, path = await npm_program(lambda text: None)
    spec = f"{package.name}@{package.version or 'latest'}"
    facts = json.loads(await run([npm, "view", "--json", "--loglevel=error", spec, "version", "bin"], package.name, PATH=path))
    facts = facts[-1] if isinstance(facts, list) else facts
    if not isinstance(facts, dict):  # a package without commands: npm prints the version alone
        return replace(package, version=str(facts))
    return replace(package, version=str(facts["version"]), program=package.program or _program(package, facts.get("bin")))


def _program(package: Package, programs: object) -> str:
    """The command that npx runs: the only one, else the one that is named as the package. Source: npm-exec(1)."""
    names = [name for name in programs if isinstance(name, str)] if isinstance(programs, dict) else []
    return names[0] if len(names) == 1 else ""


async def _pypi(package: Package) -> Package:
    uv, name = shutil.which("uv"), package.name
    if uv is not None:
        output = await run([uv, "pip", "compile", "-q", "--no-deps", "--no-header", "--no-annotate", "-"], name, stdin=name)
        match = re.search(r"==(\S+)", output)
        return replace(package, version=match[1]) if match else package
    command = [sys.executable, "-m", "pip", "install", "-q", "--dry-run", "--no-deps", "--ignore-installed", "--report=-", name]
    return replace(package, version=str(json.loads(await run(command, name))["install"][0]["metadata"]["version"]))
