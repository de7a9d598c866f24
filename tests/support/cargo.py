"""A server and a client on the official Rust SDK, from crates.io, built once into the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from . import tools
from .locks import exclusive
from .paths import CACHE, ROOT
from .progress import Step

_SOURCES = ROOT / "tests" / "rust"
_FILES = ("Cargo.toml", "Cargo.lock", "src/main.rs", "src/bin/rmcp-client.rs")
_PROGRAMS = ("rmcp-server", "rmcp-client")


def rmcp_server() -> Path:
    """The server's program. Raises: CannotRunError."""
    return _programs() / "rmcp-server"


def rmcp_client() -> Path:
    """The client's program. Raises: CannotRunError."""
    return _programs() / "rmcp-client"


def client_version() -> str:
    """The version of the client's SDK."""
    versions = re.findall(r'name = "rmcp"\nversion = "(.+)"', (_SOURCES / "Cargo.lock").read_text())
    return str(versions[-1])  # Cargo sorts them


def _programs() -> Path:
    mark = hashlib.sha256(b"".join((_SOURCES / name).read_bytes() for name in _FILES)).hexdigest()[:12]
    folder = CACHE / "rust" / mark
    with exclusive("rust"):
        if not all((folder / name).exists() for name in _PROGRAMS):
            cargo = _find_cargo()
            with Step("building a server and a client on the Rust SDK, some minutes, once"):
                build = folder / "build"
                shutil.copytree(_SOURCES, build, dirs_exist_ok=True)
                _complete_lock(cargo, build)
                _cargo(cargo, build, "build", "--quiet", "--locked")
                for name in _PROGRAMS:
                    shutil.copy(build / "target" / "debug" / name, folder)
                shutil.rmtree(build)
    return folder


def _find_cargo() -> str:
    """A cargo on PATH or where rustup puts it; else Debian's recent one, `cargo-web`. Raises: CannotRunError."""
    path = os.pathsep.join((os.environ.get("PATH", ""), str(Path.home() / ".cargo" / "bin")))
    cargo = shutil.which("cargo", path=path)
    if cargo is None:
        tools.debian_packages({"cargo": "cargo-web"})
        cargo = shutil.which("cargo")
    if cargo is None:
        raise tools.CannotRunError("no cargo: the tests' server on the Rust SDK cannot be built")
    return cargo


def _complete_lock(cargo: str, build: Path) -> None:
    """Cargo's lock file with the registry that cargo itself uses: ours has versions and checksums, and no addresses."""
    lock = build / "Cargo.lock"
    ours = lock.read_text()
    lock.unlink()
    _cargo(cargo, build, "generate-lockfile", "--quiet")
    registry = next(line for line in lock.read_text().splitlines() if line.startswith("source = "))
    lock.write_text(ours.replace("\nchecksum = ", f"\n{registry}\nchecksum = "))


def _cargo(cargo: str, folder: Path, *arguments: str) -> None:
    done = subprocess.run([cargo, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise tools.CannotRunError(f"cargo {arguments[0]} failed: {done.stderr[-1000:]}")
