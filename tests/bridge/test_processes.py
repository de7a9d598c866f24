"""How processes start, end, and are reported."""

from __future__ import annotations

import json
import re
import signal
import stat
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.bridge.conftest import ATTACH, CAT, DIRECT, PID_1, WATCH, Start
from tests.support.bridges import MAGIC, Connection, until
from tests.support.memory_groups import MemoryGroup


@pytest.mark.parametrize("code", range(0, 256, 15))
def test_the_exit_report_has_the_code_and_the_last_lines_of_stderr(start: Start, code: int) -> None:
    with start("sh", "-c", f"echo goodbye {code} >&2; exit {code}").connect(DIRECT) as client:
        client.control()
        report = client.control()["exit"]
        assert (report["code"], report["stderr"]) == (code, [f"goodbye {code}"])
        assert client.line() == b""


@pytest.mark.parametrize("name", ["TERM", "KILL", "USR1", "SEGV"])
@pytest.mark.parametrize("greeting", [DIRECT, ATTACH], ids=["direct", "attach"])
def test_a_signal_is_reported_as_a_shell_would(start: Start, name: str, greeting: dict[str, Any]) -> None:
    number = getattr(signal, f"SIG{name}")
    with start("sh", "-c", f"read x; kill -{name} $$$$").connect(greeting) as client:
        client.control()
        client.send(b"{}")
        report = client.control()["exit"]
        assert (report["code"], report["signal"]) == (128 + number, f"SIG{name}")


def test_a_half_line_before_death_does_not_hide_the_report(start: Start) -> None:
    with start("sh", "-c", 'printf "half a li"; exit 3').connect(DIRECT) as client:
        client.control()
        assert client.line() == b"half a li"
        assert client.control()["exit"]["code"] == 3


def test_unread_input_does_not_turn_the_report_into_a_reset(start: Start) -> None:
    with start("sh", "-c", "read x; exit 4").connect(DIRECT) as client:
        client.control()
        client.socket.sendall(b"{}\n" * 10_000)
        assert client.control()["exit"]["code"] == 4


def test_the_raw_connection_closes_when_the_process_ends(start: Start) -> None:
    with start("sh", "-c", "exit 0").connect(b"x") as client:
        assert client.line() == b""


def test_a_watch_reports_starts_and_exits(start: Start) -> None:
    running = start("sh", "-c", "read x; exit 9")
    with running.connect(WATCH) as watch:
        first = watch.control()
        assert (first["ready"], first["missing"], first["processes"]) == (True, [], 0)
        with running.connect(DIRECT) as client:
            assert watch.control()["processes"] == 1
            client.send(b"{}")
            ended = watch.control()
        assert (ended["processes"], ended["exited"], ended["lastExit"]["code"]) == (0, 1, 9)


def test_orphans_are_reaped_and_groups_do_not_outlive_their_leader(start: Start, tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    running = start("sh", "-c", f"sleep 1000 & echo $! > {marker}; (setsid true &) ; read x; exit 0")
    with running.connect(DIRECT) as client:
        client.control()
        until("the grandchild's pid", lambda: marker.exists() and marker.read_text().strip())
        client.send(b"{}")
        assert client.control()["exit"]["code"] == 0
    grandchild = int(marker.read_text())
    until("the grandchild to be gone", lambda: not Path(f"/proc/{grandchild}").exists())
    until("no zombie to be left", lambda: running.children() == [])


def test_children_die_with_a_killed_bridge(start: Start) -> None:
    running = start("sleep", "1000")
    with running.connect(b"x"):
        (child,) = until("the child", running.children)
        running.process.kill()
        until("the child to be gone", lambda: not Path(f"/proc/{child}").exists())


def test_a_flood_of_stderr_does_not_stop_the_process_nor_fill_the_log(start: Start) -> None:
    program = (
        "import sys\n"
        "for i in range(50000): print('noise', i, file=sys.stderr)\n"
        "print('{\"done\":1}', flush=True)\n"
        "sys.stdin.read()"
    )
    running = start(sys.executable, "-c", program)
    with running.connect(DIRECT) as client:
        client.control()
        assert client.line() == b'{"done":1}'
    assert running.log.stat().st_size < 1_000_000


def test_stderr_reaches_the_log_with_its_tag(start: Start) -> None:
    running = start("sh", "-c", "echo hello from the server >&2; cat")
    with running.connect({"mode": "direct", "tag": "shared"}) as client:
        client.control()
        until("the line", lambda: "[shared " in running.log.read_text() and "hello from the server" in running.log.read_text())


def write_program(path: Path, content: bytes, mode: int) -> str:
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        (None, 0, "ENOENT"),
        (b"#!/bin/sh\n", stat.S_IRUSR, "EACCES"),
        (b"\x7fELF\x02\x01\x01" + b"\0" * 60, 0o755, "ENOEXEC"),
        (b"#!/no/such/interpreter\n", 0o755, "ENOENT"),
    ],
)
def test_a_command_that_cannot_start_is_refused_with_the_reason(
    start: Start, tmp_path: Path, content: bytes | None, mode: int, reason: str
) -> None:
    program = str(tmp_path / "absent") if content is None else write_program(tmp_path / "program", content, mode)
    running = start(program)
    answers = []
    for _ in range(3):
        with running.connect(DIRECT) as client:
            answer = client.control()
            answers.append(answer if "error" in answer else client.control())
    assert {(a["error"], a["reason"]) for a in answers} == {("start", reason)}
    status, text = running.get("/readyz")
    assert (status, reason in text) == (503, True)
    until("the line", lambda: "cannot start" in running.log.read_text())  # the bridge does not wait for its log
    assert running.log.read_text().count("cannot start") == 1


def test_a_command_is_looked_up_on_the_childs_own_path(start: Start, tmp_path: Path) -> None:
    write_program(tmp_path / "special", b"#!/bin/sh\necho resolved; exec cat\n", 0o755)
    with start("special", flags=(f"--env=PATH={tmp_path}:/usr/bin:/bin",)).connect(DIRECT) as client:
        client.control()
        assert client.line() == b"resolved"


def test_too_many_processes_are_refused(start: Start) -> None:
    running = start(*CAT, flags=("--max-processes=1",))
    with running.connect(DIRECT) as first:
        first.control()
        first.send(b"{}")
        first.line()
        with running.connect(DIRECT) as two:
            assert two.control()["error"] == "capacity"


@pytest.mark.parametrize("code", [0, 1, 2, 125, 126, 127, 128, 129, 254, 255])
def test_attached_processes_are_reported_too(start: Start, code: int) -> None:
    with start("sh", "-c", f"read x; exit {code}").connect(ATTACH) as client:
        client.control()
        client.send(b"{}")
        assert client.control()["exit"] == {"code": code, "oom": False}


def test_all_256_exit_codes(started: Start) -> None:
    running = started("sh", "-c", "read code; exit $code", flags=("--max-start-rate=1000",))
    for code in range(256):
        with running.connect(DIRECT) as client:
            client.control()
            client.send(str(code).encode())
            answer = client.control()
            assert answer["exit"]["code"] == code
            if code % 4 == 3:  # three failures in a row at most: the breaker has its own test
                with running.connect(DIRECT) as good:
                    good.control()
                    good.send(b"0")
                    good.control()


def test_every_signal_that_ends_a_process_is_named(started: Start) -> None:
    fatal = [s for s in signal.Signals if s not in NOT_FATAL]
    for number in fatal:
        with started(sys.executable, "-c", DIE_BY.format(number=int(number))).connect(DIRECT) as client:
            client.control()
            report = client.control()["exit"]
            assert report["code"] == 128 + number
            assert report["signal"] in (number.name, f"signal {int(number)}")


NOT_FATAL = {
    signal.SIGCHLD,
    signal.SIGCONT,
    signal.SIGSTOP,
    signal.SIGTSTP,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGURG,
    signal.SIGWINCH,
}
DIE_BY = """
import os, signal
if {number} not in (9, 19):
    signal.signal({number}, signal.SIG_DFL)
os.kill(os.getpid(), {number})
signal.pause()
"""


def test_a_start_that_fails_has_a_shells_exit_code(start: Start, tmp_path: Path) -> None:
    with start(str(tmp_path / "absent")).connect(DIRECT) as client:
        assert client.control()["exit"]["code"] == 127
    with start(write_program(tmp_path / "data", b"data", stat.S_IRUSR)).connect(ATTACH) as client:
        assert client.control()["exit"]["code"] == 126


def test_a_server_that_crashes_at_start_is_backed_off(start: Start) -> None:
    running = start("sh", "-c", "echo broken >&2; exit 3")
    answers = []
    for _ in range(8):
        with running.connect(DIRECT) as client:
            answer = client.control()
            answers.append(answer if "error" in answer else client.control())
    assert [answer["exit"]["code"] for answer in answers] == [3] * 8
    assert [answer.get("error") for answer in answers] == [None] * 5 + ["backoff"] * 3
    assert (answers[-1]["reason"], answers[-1]["exit"]["stderr"]) == ("CrashLoopBackOff", ["broken"])
    assert "mcp_bridge_processes_started_total 5" in running.get("/metrics")[1]

    def starts_again() -> bool:
        with running.connect(DIRECT) as client:
            return "error" not in client.control()

    until("the next start", starts_again)


@pytest.mark.parametrize("flags", [(), ("--stdio=pipe",)], ids=["socket", "pipe"])
@pytest.mark.parametrize("mode", ["direct", "attach"])
def test_a_process_that_its_clients_calls_kill_opens_no_breaker(start: Start, mode: str, flags: tuple[str, ...]) -> None:
    running = start("sh", "-c", "echo {}; read x; exit 3", flags=flags)
    for number in range(12):
        with running.connect({"mode": mode, "session": str(number)}) as client:
            client.control()
            client.send(b"{}")
            assert client.line() == b"{}"
            assert client.control()["exit"]["code"] == 3


def test_servers_that_end_badly_after_their_client_open_no_breaker(start: Start) -> None:
    """Many servers exit with an error when their input ends, and some clients connect for each call."""
    running = start("sh", "-c", "cat >/dev/null; exit 1")
    for _ in range(12):
        with running.connect(b"{}"):
            until("the process", running.children)
        until("its end", lambda: running.children() == [])
    assert "started_total 12" in running.get("/metrics")[1]


def test_a_storm_of_starts_is_refused(start: Start) -> None:
    running = start(*CAT, flags=("--max-start-rate=5", "--max-processes=100"))
    with ExitStack() as stack:
        clients = [stack.enter_context(running.connect(DIRECT)) for _ in range(30)]
        answers = [client.control() for client in clients]
    refused = [answer for answer in answers if "error" in answer]
    assert {answer["reason"] for answer in refused} == {"StartRate"}
    assert 30 - len(refused) < 20
    assert f'refused_total{{reason="capacity"}} {len(refused)}' in running.get("/metrics")[1]


def test_warm_processes_are_there_before_they_are_needed(start: Start) -> None:
    running = start("sh", "-c", 'while read x; do echo "{\\"pid\\":$$$$}"; done', flags=("--warm=2",))
    warm = until("two processes", lambda: len(running.children()) == 2 and running.children())
    pids = []
    for greeting in (ATTACH, DIRECT):
        with running.connect(greeting) as client:
            client.control()
            client.send(b"{}")
            pids.append(json.loads(client.line())["pid"])
            until("the next warm process", lambda: len(running.children()) >= 3)
    assert set(pids) == set(warm)


def test_a_warm_process_has_the_present_environment(start: Start, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("old")
    running = start("sh", "-c", "echo {$A}; cat", flags=("--warm=1", f"--refs={tmp_path}", "--env=A=@key"))
    old = until("a process", running.children)
    (tmp_path / "key").write_text("new")
    until("another process", lambda: running.children() and running.children() != old)
    with running.connect(ATTACH) as client:
        client.control()
        assert client.line() == b"{new}"


def test_a_warm_process_that_dies_is_replaced_with_backoff(start: Start) -> None:
    running = start("sh", "-c", "sleep 0.05; exit 1", flags=("--warm=1",))
    until("the breaker", lambda: "mcp_bridge_processes_exited_total 5" in running.get("/metrics")[1])
    with running.connect(ATTACH) as client:
        assert client.control()["reason"] == "CrashLoopBackOff"


@pytest.mark.parametrize("wrapper", [(), PID_1], ids=["child", "pid 1"])
def test_orphans_are_reaped_as_pid_1_and_as_a_subreaper(start: Start, wrapper: tuple[str, ...]) -> None:
    running = start("sh", "-c", "for i in 1 2 3 4 5; do (setsid sh -c 'sleep 0.1' &) ; done; echo {}; read x", wrapper=wrapper)
    bridge_pid = running.process.pid if not wrapper else until("the bridge", lambda: descendants(running.process.pid))[0]
    with running.connect(DIRECT) as client:
        client.control()
        assert client.line() == b"{}"
        client.send(b"{}")
        assert client.control()["exit"]["code"] == 0
    until("all to be gone", lambda: descendants(bridge_pid) == [])


def descendants(pid: int) -> list[int]:
    """Children of a process, zombies too."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for thread in threads for child in (thread / "children").read_text().split()]


def test_the_memory_guard_kills_the_largest_process_and_not_the_bridge(memory_group: MemoryGroup, started: Start) -> None:
    eat = "import sys\nfor line in sys.stdin: data = b'x' * int(line); print('{\"ok\":1}', flush=True)"
    running = started(sys.executable, "-c", eat, wrapper=memory_group.wrapper(256 << 20))
    with running.connect(ATTACH) as small, running.connect({"mode": "attach", "session": "large"}) as large:
        small.control(), large.control()
        small.send(b"1000")
        assert small.line() == b'{"ok":1}'
        large.send(str(225 << 20).encode())
        line = large.line()
        report = json.loads((line if b"exit" in line else large.line()).split(b" ", 1)[1])["exit"]
        assert (report["oom"], report["signal"]) == (True, "SIGKILL")
        small.send(b"2000")
        small.ack(1)
        assert small.line() == b'{"ok":1}'
    assert "oom_kills_total 1" in running.get("/metrics")[1]


@pytest.mark.parametrize("mode", [DIRECT, ATTACH], ids=["direct", "attach"])
def test_the_report_says_which_lines_were_written_since_the_last_output(start: Start, mode: dict[str, Any]) -> None:
    # the log has the command, too: there the name is written otherwise
    script = "echo about al''ice >&2; read x; echo '{}'; read x; echo 'cannot go on' >&2; exit 3"
    running = start("sh", "-c", script)
    with running.connect(mode) as client:
        client.control()
        until("its first words", lambda: "about alice" in running.log.read_text())
        client.send(b"{}")
        assert client.line() == b"{}"
        client.send(b"{}")
        report = client.control()["exit"]
        assert (report["stderr"], report["recent"]) == (["about alice", "cannot go on"], 1)


def test_a_process_for_which_there_is_no_memory_is_refused_before_the_kernel_kills_a_neighbour(
    memory_group: MemoryGroup, started: Start
) -> None:
    eat = f"data = b'x' * {50 << 20}\nprint('{{\"ok\":1}}', flush=True)\ninput()"
    running = started(sys.executable, "-c", eat, flags=("--grace=1s",), wrapper=memory_group.wrapper(256 << 20))
    with running.connect(DIRECT) as first:  # what it takes is known from here on
        first.control()
        assert first.line() == b'{"ok":1}'
        first.send(b"")
        assert first.control()["exit"]["code"] == 0
    with ExitStack() as stack:
        clients: list[Connection] = []
        while True:
            client = stack.enter_context(running.connect({"mode": "attach", "session": str(len(clients))}))
            answer = client.control()
            if "error" in answer:
                break
            assert client.line() == b'{"ok":1}'
            clients.append(client)
        assert (answer["error"], answer["reason"]) == ("capacity", "Memory")
        assert re.fullmatch(
            rf"no memory for another process: \d+ of 256 MiB are used, {len(clients)} processes run, and one takes about \d+ MiB",
            answer["message"],
        )
        assert 2 <= len(clients) <= 4
        watch = stack.enter_context(running.connect({"mode": "watch"}))
        memory = watch.control()["memory"]
        assert (memory["limit"], 50 << 20 < memory["process"] < 80 << 20) == (256 << 20, True)
        clients[0].send(MAGIC + b'{"end":true}')
        again = stack.enter_context(running.connect({"mode": "attach", "session": "again"}))
        assert "error" not in again.control()
        assert again.line() == b'{"ok":1}'
    assert "oom_kills_total 0" in running.get("/metrics")[1]
