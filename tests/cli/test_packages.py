"""`mcp-bridge package` against registries of the tests' own: a password, an authority, what fails, and the network cut."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcpgateway_operator.cli.children import bridge_program
from mcpgateway_operator.cli.toolchain import search_path
from tests.support.registries import Registries, registries

TIME = ("--pypi=mcp-server-time", "--version=2026.10.19")
MEMORY = ("--npm=@modelcontextprotocol/server-memory", "--version=2026.8.31")
WHEELS = ("mcp-server-time==2026.10.19", "tzdata==2026.6")


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registries]:
    with registries(tmp_path_factory.mktemp("registries"), *WHEELS) as running:
        yield running


def install(folder: Path, *flags: str) -> tuple[int, str]:
    """Install. Returns: the exit code, and the line for the kubelet."""
    path = asyncio.run(search_path("npm" if flags[0].startswith("--npm") else "pypi", print))
    environment = {**os.environ, "PATH": path, "UV_PYTHON": sys.executable}
    with tempfile.NamedTemporaryFile("r") as result:
        command = [bridge_program(), "package", *flags, f"--result={result.name}", str(folder)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, result.read()


def through(mirror: Registries, *package: str) -> tuple[str, ...]:
    url = mirror.npm if package[0].startswith("--npm") else mirror.pypi
    return (*package, f"--registry={url}", f"--ca={mirror.folder / 'ca.crt'}")


def with_password(mirror: Registries, *package: str) -> tuple[str, ...]:
    return (*through(mirror, *package), f"--credentials={mirror.folder / 'credentials'}")


@pytest.mark.parametrize("package", [TIME, MEMORY], ids=["pypi", "npm"])
def test_a_package_is_installed_once_and_the_same_from_the_mirror(
    mirror: Registries, tmp_path: Path, package: tuple[str, ...]
) -> None:
    folder = tmp_path / "a" / "package"
    code, integrity = install(folder, *with_password(mirror, *package))
    assert (code, integrity[:7]) == (0, "sha256:")
    if package is MEMORY:  # the public registry has the same; PyPI has wheels that this mirror has not
        assert install(tmp_path / "b" / "package", *package) == (0, integrity)
    record = json.loads((folder / "installed.json").read_text())
    assert record["integrity"] == integrity
    assert os.access(record["command"], os.X_OK)
    nowhere = (*package, "--registry=http://127.0.0.1:9/")
    assert install(folder, *nowhere) == (0, integrity)
    assert install(folder, *nowhere, f"--integrity={integrity}") == (0, integrity)
    code, line = install(folder, *nowhere, "--integrity=sha256:00")
    assert (code, line.partition(":")[0]) == (1, "PackageChanged")
    assert not [path for path in folder.rglob("*") if path.name in ("npmrc", "netrc", ".work")]


@pytest.mark.parametrize(
    ("package", "flags", "reason"),
    [
        (TIME, (), "RegistryDenied"),
        (MEMORY, (), "RegistryDenied"),
        (("--pypi=mcp-server-time", "--version=1999.1.1"), ("password",), "VersionNotFound"),
        (("--npm=@modelcontextprotocol/server-memory", "--version=1999.1.1"), ("password",), "VersionNotFound"),
        (("--pypi=mcpgw-no-such-package", "--version=1"), ("password",), "PackageNotFound"),
        (("--npm=mcpgw-no-such-package", "--version=1.0.0"), ("password",), "PackageNotFound"),
        ((*TIME, "--python=3.99"), ("password",), "RuntimeNotSupported"),
        ((*TIME, "--with=tzdata<2026"), ("password",), "RequirementsConflict"),
        ((*TIME, "--bin=no-such-program"), ("password",), "ProgramNotFound"),
        (("--npm=@modelcontextprotocol/client", "--version=2.4.0"), ("password",), "ProgramNotFound"),
    ],
)
def test_a_failure_names_its_cause(
    mirror: Registries, tmp_path: Path, package: tuple[str, ...], flags: tuple[str, ...], reason: str
) -> None:
    folder = tmp_path / "a" / "package"
    code, line = install(folder, *(with_password(mirror, *package) if flags else through(mirror, *package)))
    assert (code, line.partition(":")[0]) == (1, reason), line
    assert "p4ss" not in line
    assert not (folder / "installed.json").exists()


@pytest.mark.parametrize("package", [TIME, MEMORY], ids=["pypi", "npm"])
def test_an_authority_that_is_not_known_is_not_trusted(mirror: Registries, tmp_path: Path, package: tuple[str, ...]) -> None:
    flags = [flag for flag in with_password(mirror, *package) if not flag.startswith("--ca=")]
    code, line = install(tmp_path / "a" / "package", *flags)
    assert (code, line.partition(":")[0]) == (1, "RegistryNotTrusted"), line


@pytest.mark.parametrize("package", [TIME, MEMORY], ids=["pypi", "npm"])
def test_a_registry_that_is_away_is_unreachable(tmp_path: Path, package: tuple[str, ...]) -> None:
    code, line = install(tmp_path / "a" / "package", *package, "--registry=http://127.0.0.1:9/")
    assert (code, line.partition(":")[0]) == (1, "RegistryUnreachable"), line


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
def test_a_full_disk_is_said(mirror: Registries, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(small)], check=True)
    try:
        code, line = install(small / "package", *with_password(mirror, *TIME))
        assert (code, line.partition(":")[0]) == (1, "DiskFull"), line
    finally:
        subprocess.run(["umount", str(small)], check=True)
