"""Libraries from Maven Central. Maven has no lock file: their hashes are kept beside its pom.xml, and checked."""

from __future__ import annotations

import hashlib
from pathlib import Path

from . import tools
from .paths import ROOT

_PACKAGES = {"javac": "default-jdk-headless", "mvn": "maven"}
_QUICK = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")  # one compiler and one collector of garbage are enough for some seconds


def install() -> None:
    """Install Debian's Maven and compiler where they are missing. Raises: CannotRunError."""
    tools.debian_packages(_PACKAGES)


def fetch(pom: Path, libraries: Path, *goals: str) -> None:
    """Reach some goals of a project, and copy what it needs when it runs into a folder. Raises: CannotRunError."""
    copied = ["dependency:copy-dependencies", f"-DoutputDirectory={libraries}", "-DincludeScope=runtime"]
    tools.run(["mvn", "--batch-mode", "--quiet", "--file", str(pom), *goals, *copied])


def sums(libraries: Path) -> str:
    """The hashes of a folder's files, as sha256sum prints them."""
    files = sorted(libraries.iterdir())
    return "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files)


def verify(libraries: Path, locked: Path) -> None:
    """Compare a folder with the hashes in a file. Raises: CannotRunError."""
    if (content := sums(libraries)) != locked.read_text():
        raise tools.CannotRunError(f"what came from Maven is not what {locked.relative_to(ROOT)} says:\n{content}")


def program(*places: object, name: str) -> list[str]:
    """The command that runs a class of some folders and jars. Raises: CannotRunError."""
    return [tools.java(), *_QUICK, "-cp", ":".join(map(str, places)), name]
