"""The bridge itself: start, health, drain, exit codes, other commands."""

from __future__ import annotations

import contextlib
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.bridge.conftest import ATTACH, CAT, DIRECT, WATCH, Start
from tests.support.bridges import Connection, until
from tests.support.locks import free_port
from tests.support.waiting import PATIENCE


def test_sigterm_ends_processes_and_exits_with_0(start: Start) -> None:
    running = start(*CAT)
    with running.connect(DIRECT) as client:
        client.control()
        client.send(b"{}")
        client.line()
        assert running.stop() == 0
        assert client.control()["exit"]["code"] == 0


def test_while_a_watch_is_open_the_gateway_decides_when_processes_end(start: Start) -> None:
    running = start(*CAT)
    with running.connect(WATCH) as watch, running.connect(DIRECT) as client:
        client.control()
        client.send(b'{"before":1}')
        client.line()
        running.process.terminate()
        until("the news", lambda: watch.control()["draining"])
        client.send(b'{"during":1}')
        assert client.line() == b'{"during":1}'
        with running.connect(DIRECT) as late:
            assert late.control()["error"] == "draining"
        client.socket.shutdown(1)
        assert client.control()["exit"]["code"] == 0
        assert running.process.wait(timeout=PATIENCE) == 0


def test_sessions_can_be_attached_and_released_while_the_bridge_drains(start: Start) -> None:
    running = start(*CAT)
    with running.connect(WATCH) as watch:
        with running.connect(ATTACH) as client:
            epoch = client.control()["epoch"]
        running.process.terminate()
        until("the news", lambda: watch.control().get("deadline", 0) > 0)
        with running.connect({"mode": "attach", "session": "new"}) as late:
            assert late.control()["error"] == "draining"
        with running.connect(ATTACH) as client:
            assert client.control()["epoch"] == epoch
            client.send(b'{"still":"there"}')
            assert client.line() == b'{"still":"there"}'
            client.send(b'MCP-BRIDGE/1 {"end":true}')
            assert client.control()["exit"]["ended"] == "released"
        assert running.process.wait(timeout=PATIENCE) == 0


@pytest.mark.parametrize("greeting", [DIRECT, ATTACH], ids=["direct", "attach"])
def test_draining_has_a_deadline(start: Start, greeting: dict[str, str]) -> None:
    running = start(*CAT, flags=("--drain-timeout=300ms",))
    with running.connect(WATCH) as watch, running.connect(greeting) as client:
        watch.control(), client.control()
        assert running.stop() == 0
        assert client.control()["exit"]["ended"] == "drain"


def test_an_address_in_use_is_an_error_with_exit_code_1(bridge_program: Path, start: Start) -> None:
    running = start(*CAT)
    done = subprocess.run(
        [bridge_program, "serve", "--allow-unauthenticated", f"--listen=127.0.0.1:{running.port}", "--", "cat"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{running.port}" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["serve"], "no command"),
        (["serve", "--max-processes=0", "--", "cat"], "--max-processes is 0: it must be at least 1"),
        (["serve", "--grace=-1s", "--", "cat"], "--grace is -1s"),
        (["serve", "--env=NOVALUE", "--", "cat"], "use NAME=VALUE or NAME=@FILE"),
        (["serve", "--what", "--", "cat"], "flag provided but not defined: -what"),
        (["install"], "exactly 1 PATH is required"),
        (["probe"], "exactly 1 ADDR is required"),
        ([], "usage:"),
    ],
)
def test_wrong_usage_is_exit_code_2_with_the_reason(bridge_program: Path, arguments: list[str], message: str) -> None:
    done = subprocess.run([bridge_program, *arguments], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2
    assert message in done.stderr


def test_install_copies_itself(bridge_program: Path, tmp_path: Path) -> None:
    target = tmp_path / "mcp-bridge"
    subprocess.run([bridge_program, "install", target], check=True)
    assert target.read_bytes() == bridge_program.read_bytes()
    assert stat.S_IMODE(target.stat().st_mode) == 0o555
    assert [p.name for p in tmp_path.iterdir()] == ["mcp-bridge"]
    done = subprocess.run([bridge_program, "install", "/no/such/folder/x"], capture_output=True, text=True, check=False)
    assert (done.returncode, "no such file or directory" in done.stderr) == (1, True)


def test_probe_and_version(bridge_program: Path, start: Start) -> None:
    running = start(*CAT)
    assert subprocess.run([bridge_program, "probe", f"127.0.0.1:{running.health}"], check=False).returncode == 0
    assert subprocess.run([bridge_program, "probe", f"127.0.0.1:{free_port()}"], check=False, capture_output=True).returncode == 1
    assert subprocess.run([bridge_program, "version"], check=True, capture_output=True, text=True).stdout.startswith(
        "mcp-bridge "
    )


def test_with_await_answer_it_is_ready_once_a_watcher_says_so_whatever_else_it_says(start: Start) -> None:
    running = start(*CAT, flags=("--await-answer",))
    assert running.get("/readyz") == (503, "the server has not answered a gateway yet\n")
    with running.connect(WATCH) as watch:
        first = watch.control()
        assert (first["ready"], first["awaited"]) == (False, True)
        for noise in (b"", b"{}", b'{"answered":true}', b"MCP-BRIDGE/1 []", b'MCP-BRIDGE/1 {"answered":"yes"}', b"\xff" * 4000):
            watch.send(noise)
        watch.send(b'MCP-BRIDGE/1 {"answered":true,"more":1}')
        assert watch.control()["ready"] is True
    assert running.get("/readyz")[0] == 200
    with running.connect(WATCH) as watch:
        assert "awaited" not in watch.control()
        watch.send(b"x" * 5000)
        with contextlib.suppress(ConnectionResetError):
            assert watch.line() == b"", "a line that is too long ends the watch"


def test_health_port(start: Start) -> None:
    running = start(*CAT)
    assert running.get("/healthz") == (200, "ok\n")
    assert running.get("/readyz") == (200, "ok\n")
    assert "mcp_bridge_processes 0" in running.get("/metrics")[1]
    assert running.get("/nothing")[0] == 404


def test_compatible_with_the_original(bridge_program: Path, tmp_path: Path) -> None:
    """`docker-mcp-bridge COMMAND ARGS…` serves on :4444 and starts at accept; run apart from others, since the port is fixed."""
    link = tmp_path / "docker-mcp-bridge"
    shutil.copy(bridge_program, link)
    with subprocess.Popen([link, "sh", "-c", "echo started; cat"], stderr=subprocess.DEVNULL) as process:
        from tests.support.bridges import Connection

        def connect() -> Connection | None:
            try:
                return Connection(4444)
            except OSError:
                return None

        with until("the port", connect) as client:
            assert client.line() == b"started"
            client.send(b"{}")
            assert client.line() == b"{}"
        process.terminate()
        assert process.wait(timeout=PATIENCE) == 0
