"""A client on the official Java SDK, from Maven Central, compiled once into the user's cache folder."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

from . import maven, tools
from .locks import exclusive
from .paths import CACHE, ROOT
from .progress import Step

_SOURCES = ROOT / "tests" / "java"
_FILES = ("pom.xml", "jars.sha256", "Client.java")
_SUMS = _SOURCES / "jars.sha256"


def client() -> list[str]:
    """The command that runs the client. Raises: CannotRunError."""
    mark = hashlib.sha256(b"".join((_SOURCES / name).read_bytes() for name in _FILES)).hexdigest()[:12]
    folder = CACHE / "java" / mark
    with exclusive("java"):
        if not (folder / "complete").exists():
            maven.install()
            with Step("compiling a client on the Java SDK, once"):
                _build(folder)
    return maven.program(folder, folder / "jars" / "*", name="Client")


def version() -> str:
    """The SDK's version."""
    found = re.search(r"  mcp-core-(.+)\.jar", _SUMS.read_text())
    assert found
    return found[1]


def _build(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    maven.fetch(_SOURCES / "pom.xml", folder / "jars")
    maven.verify(folder / "jars", _SUMS)
    tools.run(["javac", "-cp", f"{folder}/jars/*", "-d", str(folder), str(_SOURCES / "Client.java")])
    (folder / "complete").touch()


def lock() -> None:
    """Write the sums of what Maven resolves."""
    jars = CACHE / "java" / "lock"
    shutil.rmtree(jars, ignore_errors=True)
    maven.fetch(_SOURCES / "pom.xml", jars)
    _SUMS.write_text(maven.sums(jars))


if __name__ == "__main__":
    lock()
