"""Environments of their own, with packages from PyPI: one a lock file, which is in tests/python unless it is said."""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

from . import tools
from .locks import exclusive
from .paths import CACHE, ROOT
from .progress import Step

SOURCES = ROOT / "tests" / "python"
USED = (
    "servers",
    "legacy",
    "old",
    "fastmcp",
    "scanners",
    "ingress",
    "registries",
)  # by the tests; the others by the benchmarks alone


def python(name: str, lock: Path | None = None) -> Path:
    """The Python with everything of `tests/python/<name>.txt`, or of `lock`, installed only once. Raises: CannotRunError."""
    lock = lock or SOURCES / f"{name}.txt"
    mark = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = CACHE / "python" / f"{name}-{mark}"
    program = folder / "bin" / "python"
    with exclusive(f"python-{name}"):
        if not (folder / "complete").exists():
            with Step(f"installing the packages of {lock.relative_to(ROOT)} from PyPI, once"):
                shutil.rmtree(folder, ignore_errors=True)
                uv = str(Path(sys.executable).with_name("uv"))
                tools.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
                install = [uv, "pip", "install", "--quiet", "--require-hashes", "--compile-bytecode"]
                tools.run([*install, "--python", str(program), "-r", str(lock)])
                (folder / "complete").touch()
    return program


def program(name: str, script: str) -> Path:
    """A script that came with a package. Raises: CannotRunError."""
    return python(name).with_name(script)
