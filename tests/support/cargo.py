"""A server on the official Rust SDK, from crates.io, built once into the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from . import tools
from .locks import exclusive
from .paths import CACHE, ROOT
from .progress import Step

_SOURCES = ROOT / "tests" / "rust"
_FILES = ("Cargo.toml", "Cargo.lock", "src/main.rs")


def rmcp_server() -> Path:
    """The server's program. Raises: CannotRunError."""
    cargo = shutil.which("cargo")
    mark = hashlib.sha256(b"".join((_SOURCES / name).read_bytes() for name in _FILES)).hexdigest()[:12]
    folder = CACHE / "rust" / mark
    program = folder / "rmcp-server"
    with exclusive("rust"):
        if not program.exists():
            if cargo is None:
                raise tools.CannotRunError("no cargo: the tests' server on the Rust SDK cannot be built")
            with Step("building a server on the Rust SDK, about five minutes, once"):
                command = [cargo, "build", "--quiet", "--release", "--locked", "--target-dir", str(folder / "target")]
                done = subprocess.run(command, cwd=_SOURCES, env=os.environ, capture_output=True, text=True, check=False)
                if done.returncode != 0:
                    raise tools.CannotRunError(f"cargo build failed: {done.stderr[-1000:]}")
                shutil.copy(folder / "target" / "release" / "rmcp-server", program)
                shutil.rmtree(folder / "target")
    return program
