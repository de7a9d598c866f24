"""A client on the official Java SDK, from Maven Central, compiled once into the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from pathlib import Path

from . import tools
from .locks import exclusive
from .paths import CACHE, ROOT
from .progress import Step

_SOURCES = ROOT / "tests" / "java"
_FILES = ("pom.xml", "jars.sha256", "Client.java")
_PACKAGES = {"javac": "default-jdk-headless", "mvn": "maven"}


def client() -> list[str]:
    """The command that runs the client. Raises: CannotRunError."""
    mark = hashlib.sha256(b"".join((_SOURCES / name).read_bytes() for name in _FILES)).hexdigest()[:12]
    folder = CACHE / "java" / mark
    with exclusive("java"):
        if not (folder / "complete").exists():
            tools.debian_packages(_PACKAGES)
            with Step("compiling a client on the Java SDK, once"):
                _build(folder)
    # one compiler and one collector of garbage are enough for some seconds
    return ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{folder}{os.pathsep}{folder}/jars/*", "Client"]


def version() -> str:
    """The SDK's version."""
    found = re.search(r"  mcp-core-(.+)\.jar", (_SOURCES / "jars.sha256").read_text())
    assert found
    return found[1]


def _build(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _fetch(folder / "jars")
    _verify(folder / "jars")
    tools.run(["javac", "-cp", f"{folder}/jars/*", "-d", str(folder), str(_SOURCES / "Client.java")])
    (folder / "complete").touch()


def _fetch(jars: Path) -> None:
    maven = ["mvn", "--batch-mode", "--quiet", "--file", str(_SOURCES / "pom.xml")]
    tools.run([*maven, "dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={jars}"])


def _verify(jars: Path) -> None:
    """Maven 3 has no lock file. Raises: CannotRunError."""
    if (found := _sums(jars)) != (_SOURCES / "jars.sha256").read_text():
        raise tools.CannotRunError(
            f"Maven's jars are not those of tests/java/jars.sha256 (python -m tests.support.java):\n{found}"
        )


def _sums(jars: Path) -> str:
    return "".join(f"{hashlib.sha256(jar.read_bytes()).hexdigest()}  {jar.name}\n" for jar in sorted(jars.iterdir()))


def lock() -> None:
    """Write the sums of what Maven resolves."""
    jars = CACHE / "java" / "lock"
    shutil.rmtree(jars, ignore_errors=True)
    _fetch(jars)
    (_SOURCES / "jars.sha256").write_text(_sums(jars))


if __name__ == "__main__":
    lock()
