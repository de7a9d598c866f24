"""`mcpgw up` while its files change, and when parts of it are missing or end."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.bridges import ECHO, until
from tests.support.local_runs import Up, descendants, resource, up
from tests.support.locks import free_port
from tests.support.waiting import PATIENCE


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as report:
        yield report


def started(stack: ExitStack, folder: Path, wanted: dict[str, Any], *more: dict[str, Any], **env: str) -> tuple[Up, Path]:
    file = folder / "gateway.yaml"
    write(file, wanted, *more)
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    state = folder / "state"
    return stack.enter_context(up(str(file), f"--port={free_port()}", state=state, TMPDIR=str(temporary), **env)), file


def write(file: Path, *documents: dict[str, Any]) -> None:
    fresh = file.with_suffix(".new")
    fresh.write_text(yaml.safe_dump_all(documents))
    fresh.replace(file)  # as editors do


def bridges(running: Up) -> set[int]:
    return {pid for pid in descendants(running.process.pid) if b"\0serve\0" in command_line(pid)}


def gateway(running: Up) -> int:
    (pid,) = [pid for pid in descendants(running.process.pid) if b"\0mcpgateway\0" in command_line(pid)]
    return pid


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_an_edit_that_cannot_be_used_changes_nothing_at_all(stack: ExitStack, tmp_path: Path) -> None:
    running, file = started(stack, tmp_path, resource("a", "b"))
    report = running.connected()
    before, pids = bridges(running), [running.call(report, f"{name}_pid") for name in ("a", "b")]
    edited = resource("a", "b", "c")
    edited["spec"]["servers"][0]["command"] = ["no-such-program"]
    edited["spec"]["servers"][1]["args"] = ["changed"]
    edited["spec"]["servers"][2]["env"] = [{"name": "K", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]
    write(file, edited)
    until("the first mistake", lambda: "stays in use: server 'a': command 'no-such-program' is not on PATH" in running.log)
    until("the second mistake", lambda: "set MCPGW_SECRET_S_K" in running.log)
    assert bridges(running) == before
    assert [running.call(report, f"{name}_pid") for name in ("a", "b")] == pids
    renamed = resource("a", "b")
    renamed["metadata"]["name"] = "other"
    write(file, renamed)
    until("the third mistake", lambda: "metadata.name is 'other' now" in running.log)
    assert [running.call(report, f"{name}_pid") for name in ("a", "b")] == pids
    assert running.interrupt() == 0


@contextmanager
def callers(*calls: Callable[[], str]) -> Iterator[list[str]]:
    """Repeat calls, each in a thread of its own. Yields: the failures, which are complete at the end."""
    failures: list[str] = []
    done = threading.Event()

    def repeat(call: Callable[[], str]) -> None:
        while not done.is_set():
            try:
                call()
            except Exception as error:
                failures.append(repr(error))

    threads = [threading.Thread(target=repeat, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    try:
        yield failures
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_good_edits_lose_no_call(stack: ExitStack, tmp_path: Path) -> None:
    """Of a server whose program changes, in shared processes and in those of sessions, of one that stays, and of all others."""

    def wanted(value: str, *names: str) -> dict[str, Any]:
        made = resource("modern", "legacy", "stays", *names)
        for server in made["spec"]["servers"][:2]:
            server["env"] = [{"name": "VALUE", "value": value}]
        made["spec"]["servers"][1] |= {"command": [*ECHO, "legacy"], "stateless": True}  # else a session is told of its loss
        return made

    running, file = started(stack, tmp_path, wanted("1"))
    report = running.connected()
    session = running.session(report)
    first = bridges(running)

    told: list[str] = []

    def in_first_session(tool: str, **arguments: Any) -> str:
        """A call, or an empty text if it is told, once for each replaced process, that the state of that process is lost."""
        try:
            return running.call_in(session, report, tool, **arguments)
        except AssertionError as error:
            if "what it kept for this client is lost" not in str(error):
                raise
            told.append(str(error))
            return ""

    def new_session() -> str:
        return running.call_in(running.session(report), report, "legacy_slow", seconds=0.1)

    calls = (
        lambda: running.call(report, "modern_slow", seconds=0.3),
        lambda: running.call(report, "modern_slow", seconds=0.1),
        lambda: running.call(report, "stays_slow", seconds=0.1),
        lambda: in_first_session("legacy_slow", seconds=0.2),
        new_session,
    )
    with callers(*calls) as failures:
        for value, names in (("2", ()), ("3", ("added",)), ("4", ())):
            write(file, wanted(value, *names))

            def in_session(new: str = value) -> bool:
                return in_first_session("legacy_environ", name="VALUE") == new

            def shared(new: str = value) -> bool:
                return running.call(report, "modern_environ", name="VALUE") == new

            until("the modern server's new program", shared)
            until("the session's new program", in_session)
    assert failures == []
    assert len(told) <= 3  # one for each edit, in place of a call's answer by a process that does not know the client
    until("the replaced bridges to end", lambda: len(bridges(running)) == 3)
    assert len(first & bridges(running)) == 1  # that of the server that stays
    assert running.log.count("reloaded: the files have changed") == 3
    assert running.interrupt() == 0


def test_what_cannot_run_keeps_only_itself_from_running_and_all_of_it_is_named(stack: ExitStack, tmp_path: Path) -> None:
    wanted = resource("good", "unknown", "secret", "package")
    wanted["spec"]["servers"][1]["command"] = ["no-such-program"]
    reference = {"secretKeyRef": {"name": "s", "key": "k"}}
    wanted["spec"]["servers"][2]["env"] = [{"name": "VALUE", "valueFrom": reference}]
    wanted["spec"]["servers"][3] = {"name": "package", "package": {"npm": "mcpgw-no-such-package", "version": "1.0.0"}}
    running, file = started(stack, tmp_path, wanted)
    report = running.connected()
    assert running.call(report, "good_echo", n=1) == '{"n": 1}'
    for message in (
        "unknown  cannot run: server 'unknown': command 'no-such-program' is not on PATH",
        "secret  cannot run: server 'secret': Secret 's', key 'k', is neither in the files nor in the environment: "
        "set MCPGW_SECRET_S_K",
        "package  cannot run: server 'package': npm package mcpgw-no-such-package@1.0.0: there is no such package",
    ):
        assert message in running.log
    states = {row["name"]: row["state"] for row in report["servers"]}
    assert states == {"good": "Ready", "unknown": "Failed", "secret": "Failed", "package": "Failed"}
    wanted["spec"]["servers"] = wanted["spec"]["servers"][:3]
    write(file, wanted, {"kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "given"}})
    until("the value", lambda: "reloaded" in running.log)
    until("the server with the value", lambda: "secret  ready: " in running.log)
    assert running.call(report, "secret_environ", name="VALUE") == "given"
    assert running.interrupt() == 0


def test_the_port_is_checked_before_anything_is_installed(tmp_path: Path) -> None:
    wanted = resource("a")
    wanted["spec"]["servers"] = [{"name": "a", "package": {"pypi": "no-such-tool", "version": "1"}}]
    file = tmp_path / "gateway.yaml"
    write(file, wanted)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with up(str(file), f"--port={port}", state=tmp_path) as running:
            assert running.process.wait(timeout=PATIENCE) == 1
            until("the message", lambda: f"port {port} is in use" in running.log)
            assert "installing" not in running.log


def test_a_hangup_leaves_nothing_behind_and_what_a_kill_leaves_goes_with_the_next_run(stack: ExitStack, tmp_path: Path) -> None:
    running, _ = started(stack, tmp_path, resource("a"))
    folder = Path(running.connected()["logs"])
    assert (folder / "a.log").exists()
    assert f"logs are in {folder} until the end" in running.log
    running.process.send_signal(signal.SIGHUP)
    assert running.process.wait(timeout=PATIENCE) == 0
    assert list((tmp_path / "tmp").iterdir()) == []
    killed, _ = started(stack, tmp_path, resource("a"))
    killed.connected()
    killed.process.kill()
    killed.process.wait(timeout=PATIENCE)
    assert len(list((tmp_path / "tmp").iterdir())) == 1
    last, _ = started(stack, tmp_path, resource("a"))
    last.connected()
    (folder,) = (tmp_path / "tmp").iterdir()
    assert f"logs are in {folder} until the end" in last.log
    assert last.interrupt() == 0


@pytest.mark.parametrize("part", ["gateway", "bridge"])
def test_a_part_that_is_killed_is_started_again(stack: ExitStack, tmp_path: Path, part: str) -> None:
    running, _ = started(stack, tmp_path, resource("a"))
    report = running.connected()
    os.kill(gateway(running) if part == "gateway" else next(iter(bridges(running))), signal.SIGKILL)
    until("the message", lambda: "has ended with exit code -9: it is started again" in running.log)

    def answers() -> bool:
        try:
            return running.call(report, "a_echo", n=1) == '{"n": 1}'
        except Exception:
            return False

    until("calls to be answered again", answers)
    assert running.interrupt() == 0


def test_a_servers_end_is_a_document_of_the_output_and_no_line_is_broken(stack: ExitStack, tmp_path: Path) -> None:
    wanted = resource("a")
    wanted["spec"]["servers"].append({"name": "b", "image": "i", "command": [f"/no/such/{'long-' * 30}program"]})
    running, file = started(stack, tmp_path, wanted)
    report = running.connected()
    assert {row["name"]: row["state"] for row in report["servers"]} == {"a": "Ready", "b": "Failed"}
    assert f"/no/such/{'long-' * 30}program does not exist\n" in running.log
    write(file, resource("a"))
    document = running.document()
    while [row["name"] for row in document["servers"]] != ["a"]:
        document = running.document()
    assert running.interrupt() == 0


def test_secrets_stay_out_of_the_gateways_environment(stack: ExitStack, tmp_path: Path) -> None:
    reference = {"secretKeyRef": {"name": "s", "key": "k"}}
    wanted = resource("a", env=[{"name": "VALUE", "valueFrom": reference}])
    running, _ = started(stack, tmp_path, wanted, MCPGW_SECRET_S_K="s3cret", GITHUB_TOKEN="t0ken")
    assert running.call(running.connected(), "a_environ", name="VALUE") == "s3cret"
    environment = Path(f"/proc/{gateway(running)}/environ").read_bytes()
    assert b"s3cret" not in environment
    assert b"t0ken" not in environment
    assert running.interrupt() == 0
