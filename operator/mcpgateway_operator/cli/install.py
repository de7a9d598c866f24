"""Packages of servers on this machine: installed by the bridge, as in a cluster, each version once into the user's cache folder.

Without a package, a server's command is found on PATH.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from ..api.packages import Package, Packages
from ..api.servers import Server
from ..render.packages import folder, integrity_flags, package_flags, registry_flags
from .bad_input import BadInputError
from .children import bridge_program
from .local import CACHE, user_path
from .toolchain import Say, client_environment, search_path

ROOT = CACHE / "packages"


@dataclass(frozen=True)
class PackageSource:
    """Where packages come from, with the files of what the resource refers to."""

    packages: Packages
    credentials: Path  # folder
    ca: Path  # file


async def program_path(server: Server, source: PackageSource, approved: str, say: Say) -> str:
    """The PATH of a server, whose package is installed then. `approved`: its digests, comma-separated. Raises: BadInputError."""
    if server.package is None:
        return _own_path(server)
    try:
        path = await search_path(server.package.registry, say)
        await _install(server.package, _flags(server.package, source, approved), path, say)
    except BadInputError as error:
        raise BadInputError(f"server {server.name!r}: {error}") from None
    return path


def _own_path(server: Server) -> str:
    command = server.command[0]
    if "/" not in command and shutil.which(command, path=user_path()) is None:
        raise BadInputError(
            f"server {server.name!r}: command {command!r} is not on PATH: install it, or write package in place of command"
        )
    return user_path()


def _flags(package: Package, source: PackageSource, approved: str) -> list[str]:
    paths = {"credentials": str(source.credentials)} if source.packages.credentials is not None else {}
    paths |= {"ca": str(source.ca)} if source.packages.ca_bundle is not None else {}
    return [*package_flags(package), *registry_flags(source.packages, package, paths), *integrity_flags(approved)]


async def _install(package: Package, flags: list[str], path: str, say: Say) -> None:
    """Run the bridge's installer, which does nothing if the package is there; its lines are the progress."""
    process = await asyncio.create_subprocess_exec(
        bridge_program(),
        "package",
        *flags,
        folder(package, str(ROOT)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=client_environment(PATH=path, UV_PYTHON=os.environ.get("UV_PYTHON", sys.executable)),
    )
    try:
        errors = await _finished(process, say)
    except asyncio.CancelledError:
        process.terminate()
        raise
    if process.returncode != 0:
        raise BadInputError(errors.partition(": ")[2] or f"the installation of {package.name} ended with {process.returncode}")


async def _finished(process: asyncio.subprocess.Process, say: Say) -> str:
    """Wait for its end, and show its lines. Returns: what it wrote as REASON: MESSAGE."""
    if process.stdout is None or process.stderr is None:
        raise AssertionError("both are pipes")
    async for line in process.stdout:
        say(line.decode(errors="replace").strip())
    errors = await process.stderr.read()  # a line or two: no more than a pipe holds
    await process.wait()
    return errors.decode(errors="replace").strip()
