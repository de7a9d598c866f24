"""The images that servers come in: without shell, libc or /proc, with either libc, for any user, on a read-only root."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.bridge.conftest import ATTACH, DIRECT
from tests.support import tools
from tests.support.bridges import Bridge, bridge, until
from tests.support.paths import ROOT

USER = 1234567  # no line of /etc/passwd knows it
SERVER = ROOT / "tests" / "bench" / "server.go"
ECHO_C = r"""
#include <stdio.h>
int main(void) { char line[4096]; while (fgets(line, sizeof line, stdin)) { fputs(line, stdout); fflush(stdout); } }
"""
# As a container's runtime does it: an own mount namespace with a read-only root, an own pid namespace, then another user.
ENTER = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec chroot --userspec={user}:{user} "$0" "$@"'


def scratch(root: Path) -> str:
    """Nothing but a single static program."""
    tools.run_go(["build", "-o", str(root / "server"), str(SERVER)], root)
    return "/server"


def musl(root: Path) -> str:
    """A dynamic program of musl, as in Alpine images."""
    _compile("musl-gcc", root)
    loader = next(Path("/usr/lib").glob("*-linux-musl/libc.so"))
    machine = loader.parent.name.split("-")[0]
    _place(loader, root, f"/lib/ld-musl-{machine}.so.1")
    return "/echo"


def glibc(root: Path) -> str:
    """A dynamic program of glibc, as in Debian images."""
    _compile("gcc", root)
    listed = subprocess.run(["ldd", root / "echo"], check=True, capture_output=True, text=True).stdout
    for word in listed.split():
        if word.startswith("/"):
            _place(Path(word), root, word)
    return "/echo"


def _compile(compiler: str, root: Path) -> None:
    subprocess.run([compiler, "-x", "c", "-o", root / "echo", "-"], input=ECHO_C, text=True, check=True)


def _place(source: Path, root: Path, target: str) -> None:
    (root / target[1:]).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, root / target[1:])


@pytest.fixture(params=[scratch, musl, glibc], ids=lambda image: image.__name__)
def image(request: pytest.FixtureRequest, bridge_program: Path, tmp_path: Path) -> tuple[Path, str]:
    """A root folder with the bridge in it, and the server's program."""
    make: Callable[[Path], str] = request.param
    if os.geteuid() != 0:
        tools.cannot_run("bridge in images", tools.CannotRunError("mounting and chroot need root"))
    tools.require("bridge in images", tools.COMPILERS)
    root = tmp_path / "root"
    (root / "mcp-bridge").mkdir(parents=True)
    subprocess.run([bridge_program, "install", root / "mcp-bridge" / "mcp-bridge"], check=True)
    command = make(root)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    return root, command


@pytest.fixture
def inside(image: tuple[Path, str], tmp_path: Path) -> Iterator[Callable[..., Bridge]]:
    root, command = image
    wrapper = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", ENTER.format(user=USER), str(root))
    with ExitStack() as stack:
        yield lambda *flags: stack.enter_context(
            bridge(Path("/mcp-bridge/mcp-bridge"), tmp_path, command, flags=flags, wrapper=wrapper)
        )


@pytest.mark.parametrize("greeting", [None, DIRECT, ATTACH], ids=["raw", "direct", "attach"])
def test_a_server_of_any_image_runs_for_any_user(inside: Callable[..., Bridge], greeting: dict[str, str] | None) -> None:
    running = inside()
    with running.connect(greeting) as client:
        if greeting is not None:
            client.control()
        client.send(b'{"jsonrpc":"2.0","id":1,"method":"server/discover"}')
        assert b'"jsonrpc":"2.0"' in client.line()
        (bridge_pid,) = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text().split()
        status = Path(f"/proc/{bridge_pid}/status").read_text()
        assert f"Uid:\t{USER}\t{USER}" in status
        assert status.split("NSpid:")[1].split("\n")[0].split()[-1] == "1"


def test_two_bridges_share_a_pods_addresses(inside: Callable[..., Bridge]) -> None:
    for running in (inside(), inside("--warm=1")):
        until("readiness", lambda running=running: running.get("/readyz") == (200, "ok\n"))
