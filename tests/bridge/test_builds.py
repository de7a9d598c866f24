"""The binary: static, small, hardened, the same each time, for both architectures; and Go's own tests."""

from __future__ import annotations

import os
import platform
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from tests.bridge.conftest import CAT, DIRECT
from tests.conftest import Scale
from tests.support import tools
from tests.support.bridges import bridge
from tests.support.paths import ROOT

SOURCES = ROOT / "gateway" / "bridge"
QEMU = {"arm64": "qemu-aarch64-static"}
LOAD, INTERPRETER, STACK = 1, 3, 0x6474E551
EXECUTABLE, WRITABLE = 1, 2


def build(architecture: str, folder: Path, sources: Path = SOURCES, **env: str) -> Path:
    """A bridge as `make bridge` builds it."""
    program = folder / f"mcp-bridge-{architecture}"
    command = ["make", "-s", f"BRIDGE_SOURCES={sources}", f"BRIDGE={program}", str(program)]
    subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, "GOARCH": architecture, **env})
    return program


@pytest.fixture(scope="module", params=["amd64", "arm64"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    return request.param, build(request.param, tmp_path_factory.mktemp("built"))


def segments(program: Path) -> list[tuple[int, int]]:
    """Type and flags of the program headers. Source: the System V ABI, ELF-64."""
    data = program.read_bytes()
    offset, size, count = (
        *struct.unpack_from("<Q", data, 32),
        *struct.unpack_from("<H", data, 54),
        *struct.unpack_from("<H", data, 56),
    )
    return [struct.unpack_from("<II", data, offset + size * number) for number in range(count)]


def test_it_is_static_stripped_small_and_hardened(built: tuple[str, Path]) -> None:
    _, program = built
    data, headers = program.read_bytes(), segments(program)
    assert len(data) <= 8 << 20
    assert INTERPRETER not in [kind for kind, _ in headers]
    assert b".symtab" not in data
    assert b".debug_info" not in data
    assert str(ROOT).encode() not in data
    assert [flags & EXECUTABLE for kind, flags in headers if kind == STACK] == [0]
    assert not [flags for kind, flags in headers if kind == LOAD and flags & EXECUTABLE and flags & WRITABLE]


def test_two_builds_give_the_same_bytes(built: tuple[str, Path], tmp_path: Path) -> None:
    """From another folder and without Go's cache."""
    architecture, program = built
    elsewhere = tmp_path / "elsewhere" / "bridge"
    shutil.copytree(SOURCES, elsewhere)
    again = build(architecture, tmp_path, elsewhere, GOCACHE=str(tmp_path / "cache"))
    assert again.read_bytes() == program.read_bytes()


def test_each_architecture_runs(built: tuple[str, Path], tmp_path: Path) -> None:
    architecture, program = built
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine())
    wrapper: tuple[str, ...] = ()
    if architecture != machine:
        tools.require(f"bridge for {architecture}", tools.COMPILERS)
        wrapper = (QEMU[architecture],)
    version = subprocess.run([*wrapper, program, "version"], check=True, capture_output=True, text=True).stdout
    assert version.startswith("mcp-bridge 0.1.0 (")
    assert "unknown" not in version
    with bridge(program, tmp_path, *CAT, wrapper=wrapper) as running, running.connect(DIRECT) as client:
        client.control()
        client.send(b"{}")
        assert client.line() == b"{}"
        client.socket.shutdown(1)
        assert client.control()["exit"]["code"] == 0


def test_the_go_tests_pass_with_the_race_detector() -> None:
    tools.require("Go's race detector", tools.COMPILERS)
    try:
        tools.run_go(["test", "-race", "-count=1", "-timeout=5m", "./..."], SOURCES, CGO_ENABLED="1")
    except tools.CannotRunError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.mark.parametrize("target", ["FuzzGreeting", "FuzzProof", "FuzzVisible", "FuzzLines", "FuzzReplayBuffer", "FuzzExpand"])
def test_fuzzing_meets_no_failure(target: str, scale: Scale) -> None:
    inputs = scale(50_000, 5_000_000)
    command = [tools.go(), "test", f"-fuzz=^{target}$", f"-fuzztime={inputs}x", "-run=^$", "."]
    done = subprocess.run(command, cwd=SOURCES, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
