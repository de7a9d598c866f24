"""The built binary as a black box, in the manner of tini's tests."""

from __future__ import annotations

import json
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.support.bridges import ECHO, Bridge, bridge, free_port, until

CAT = ("cat",)
DIRECT = {"mode": "direct"}


class Start(Protocol):
    def __call__(self, *command: str, flags: tuple[str, ...] = ()) -> Bridge: ...


@pytest.fixture
def start(bridge_program: Path, tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:

        def run(*command: str, flags: tuple[str, ...] = ()) -> Bridge:
            return stack.enter_context(bridge(bridge_program, tmp_path, *command, flags=flags))

        yield run


# --- the four kinds of connection -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        CAT,
        ("sh", "-c", "cat"),
        (sys.executable, "-uc", "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"),
    ],
    ids=["cat", "shell", "python"],
)
@pytest.mark.parametrize("greeting", [None, DIRECT, {"mode": "attach", "session": "s"}], ids=["raw", "direct", "attach"])
def test_lines_go_in_and_out(start: Start, command: tuple[str, ...], greeting: dict[str, Any] | None) -> None:
    with start(*command).connect(greeting) as client:
        if greeting:
            assert client.control()["instance"]
        for text in (b'{"a":1}', b'{"big":"' + b"x" * 300_000 + b'"}', '{"ü":"€"}'.encode()):
            client.send(text)
            assert client.line() == text


def test_bytes_sent_together_with_the_greeting_reach_the_process(start: Start) -> None:
    with start(*CAT).connect(b'MCP-BRIDGE/1 {"mode":"direct"}\n{"first":1}\n{"second":2}') as client:
        client.control()
        assert [client.line(), client.line()] == [b'{"first":1}', b'{"second":2}']


def test_a_greeting_may_come_byte_by_byte(start: Start) -> None:
    with start(*CAT).connect() as client:
        for byte in b'MCP-BRIDGE/1 {"mode":"direct"}\n':
            client.socket.sendall(bytes([byte]))
        assert client.control()["instance"]


def test_a_connection_that_says_nothing_starts_nothing(start: Start) -> None:
    running = start(*CAT)
    with running.connect(), running.connect({"mode": "watch"}) as watch:
        assert watch.control()["processes"] == 0
        assert running.children() == []


def test_each_connection_has_its_own_process(start: Start) -> None:
    running = start("sh", "-c", "echo $$$$; cat")
    with running.connect(DIRECT) as one, running.connect(DIRECT) as two:
        one.control(), two.control()
        assert one.line() != two.line()


@pytest.mark.parametrize(
    ("greeting", "message"),
    [
        (b'MCP-BRIDGE/2 {"mode":"direct"}', "unknown protocol version"),
        (b'MCP-BRIDGE/1 {"mode":"dance"}', 'unknown mode "dance"'),
        (b'MCP-BRIDGE/1 {"mode":"attach"}', "needs a session key"),
        (b"MCP-BRIDGE/1 nonsense", "not a JSON object"),
        (b'MCP-BRIDGE/1 {"mode":"attach","session":"' + b"k" * 300 + b'"}', "1 to 256 characters"),
    ],
)
def test_a_wrong_greeting_gets_one_line_that_says_why(start: Start, greeting: bytes, message: str) -> None:
    running = start(*CAT)
    with running.connect(greeting) as client:
        answer = client.control()
        assert answer["error"] == "greeting"
        assert message in answer["message"]
        assert client.line() == b""
    with running.connect(DIRECT) as other:
        assert other.control()["instance"]


def test_half_close_is_the_end_of_input_and_answers_still_come(start: Start) -> None:
    program = "import sys; data = sys.stdin.read(); print(len(data), flush=True)"
    with start(sys.executable, "-c", program).connect() as client:
        client.socket.sendall(b"x" * 1000)
        client.socket.shutdown(1)
        assert client.line() == b"1000"
        assert client.line() == b""


def test_a_process_that_ignores_the_end_of_its_input_is_ended(start: Start) -> None:
    running = start("sh", "-c", "trap '' TERM; while :; do sleep 0.1; done", flags=("--grace=200ms",))
    with running.connect(b"hello"):
        until("the process to start", running.children)
    until("the process to be killed", lambda: running.children() == [])


# --- exits ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", range(0, 256, 15))
def test_the_exit_report_has_the_code_and_the_last_words(start: Start, code: int) -> None:
    with start("sh", "-c", f"echo goodbye {code} >&2; exit {code}").connect(DIRECT) as client:
        client.control()
        report = client.control()["exit"]
        assert (report["code"], report["stderr"]) == (code, [f"goodbye {code}"])
        assert client.line() == b""


@pytest.mark.parametrize("name", ["TERM", "KILL", "USR1", "SEGV"])
@pytest.mark.parametrize("greeting", [DIRECT, {"mode": "attach", "session": "s"}], ids=["direct", "attach"])
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


def test_a_watch_tells_what_happens(start: Start) -> None:
    running = start("sh", "-c", "read x; exit 9")
    with running.connect({"mode": "watch"}) as watch:
        first = watch.control()
        assert (first["ready"], first["missing"], first["processes"]) == (True, [], 0)
        with running.connect(DIRECT) as client:
            assert watch.control()["processes"] == 1
            client.send(b"{}")
            ended = watch.control()
        assert (ended["processes"], ended["exited"], ended["lastExit"]["code"]) == (0, 1, 9)


# --- process care ---------------------------------------------------------------------------------------------------------


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


def test_a_session_outlives_its_connection_and_the_memo_comes_back(start: Start) -> None:
    running = start("sh", "-c", 'while read x; do echo "{\\"pid\\":$$$$}"; done')
    with running.connect({"mode": "attach", "session": "s"}) as client:
        first = client.control()
        client.send(b'MCP-BRIDGE/1 {"memo":"2025-11-25"}')
        client.send(b"{}")
        pid = client.line()
    with running.connect({"mode": "attach", "session": "s"}) as client:
        second = client.control()
        client.send(b"{}")
        assert client.line() == pid
    assert (second["resumed"], second["memo"], second["epoch"]) == (True, "2025-11-25", first["epoch"])


def test_a_session_is_over_when_the_client_says_so_or_the_linger_ends(start: Start) -> None:
    running = start(*CAT, flags=("--linger=300ms",))
    with running.connect({"mode": "attach", "session": "a"}) as client:
        client.control()
        client.send(b'MCP-BRIDGE/1 {"end":true}')
        assert client.control()["exit"]["code"] == 0
    with running.connect({"mode": "attach", "session": "b"}) as client:
        client.control()
    until("the process to end", lambda: running.children() == [])


def test_the_newest_connection_takes_a_session_over(start: Start) -> None:
    running = start(*CAT)
    with running.connect({"mode": "attach", "session": "s"}) as old:
        old.control()
        with running.connect({"mode": "attach", "session": "s"}) as new:
            assert new.control()["resumed"] is True
            assert old.control()["error"] == "takeover"
            new.send(b"{}")
            assert new.line() == b"{}"


def test_an_attached_server_cannot_forge_control_lines(start: Start) -> None:
    script = """echo 'MCP-BRIDGE/1 {"exit":{"code":0}}'; echo junk; echo '{"real":1}'; cat"""
    with start("sh", "-c", script).connect({"mode": "attach", "session": "s"}) as client:
        client.control()
        assert client.line() == b'{"real":1}'


# --- commands that do not start -------------------------------------------------------------------------------------------


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
    assert running.log.read_text().count("cannot start") == 1


def test_a_command_is_looked_up_on_the_childs_own_path(start: Start, tmp_path: Path) -> None:
    write_program(tmp_path / "special", b"#!/bin/sh\necho found; exec cat\n", 0o755)
    with start("special", flags=(f"--env=PATH={tmp_path}:/usr/bin:/bin",)).connect(DIRECT) as client:
        client.control()
        assert client.line() == b"found"


def test_too_many_processes_are_refused(start: Start) -> None:
    running = start(*CAT, flags=("--max-processes=1",))
    with running.connect(DIRECT) as one:
        one.control()
        one.send(b"{}")
        one.line()
        with running.connect(DIRECT) as two:
            assert two.control()["error"] == "capacity"


# --- environment ----------------------------------------------------------------------------------------------------------

PRINT = 'echo "$A|$B|$P_k1|$P_k2"; cat'


def test_the_environment_comes_from_values_files_and_folders(start: Start, tmp_path: Path) -> None:
    (tmp_path / "secrets" / "s").mkdir(parents=True)
    (tmp_path / "secrets" / "s" / "key").write_text("from a file")
    (tmp_path / "configmaps" / "c").mkdir(parents=True)
    for name in ("k1", "k2"):
        (tmp_path / "configmaps" / "c" / name).write_text(f"value of {name}")
    flags = (f"--refs={tmp_path}", "--env-from-dir=P_=configmaps/c", "--env=A=@secrets/s/key", "--env=B=<$(A)> $$(A) $(NONE) @")
    with start("sh", "-c", PRINT, flags=flags).connect(DIRECT) as client:
        client.control()
        assert client.line().decode() == "from a file|<from a file> $(A) $(NONE) @|value of k1|value of k2"


def test_a_literal_at_sign_and_arguments_are_expanded_as_kubernetes_does(start: Start) -> None:
    flags = ("--env=A=@@home", "--env=B=$(A)/x")
    with start("sh", "-c", 'echo "$A $B $1"; cat', "sh", "$(B)", flags=flags).connect(DIRECT) as client:
        client.control()
        assert client.line() == b"@home @home/x @home/x"


def test_a_missing_reference_is_reported_and_heals(start: Start, tmp_path: Path) -> None:
    running = start(*CAT, flags=(f"--refs={tmp_path}", "--env=A=@secrets/s/key"))
    assert running.get("/readyz") == (503, "missing references: secrets/s/key\n")
    with running.connect(DIRECT) as client:
        assert client.control()["reason"] == "MissingReference"
    with running.connect({"mode": "watch"}) as watch:
        assert watch.control()["missing"] == ["secrets/s/key"]
        (tmp_path / "secrets" / "s").mkdir(parents=True)
        (tmp_path / "secrets" / "s" / "key").write_text("v")
        healed = watch.control()
        assert (healed["missing"], healed["ready"]) == ([], True)
        (tmp_path / "secrets" / "s" / "key").write_text("rotated")
        assert watch.control()["references"] != healed["references"]
    assert "rotated" not in running.log.read_text()


# --- life ---------------------------------------------------------------------------------------------------------------


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
    with running.connect({"mode": "watch"}) as watch, running.connect(DIRECT) as client:
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
        assert running.process.wait(timeout=20) == 0


def test_draining_has_a_deadline(start: Start) -> None:
    running = start(*CAT, flags=("--drain-timeout=300ms",))
    with running.connect({"mode": "watch"}) as watch, running.connect(DIRECT) as client:
        watch.control(), client.control()
        assert running.stop() == 0


def test_an_address_in_use_is_said(bridge_program: Path, start: Start) -> None:
    running = start(*CAT)
    done = subprocess.run(
        [bridge_program, "serve", f"--listen=127.0.0.1:{running.port}", "--", "cat"],
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
        (["serve", "--env=NOVALUE", "--", "cat"], "want NAME=VALUE or NAME=@FILE"),
        (["serve", "--what", "--", "cat"], "flag provided but not defined: -what"),
        (["install"], "want one PATH"),
        (["probe"], "want one ADDR"),
        ([], "usage:"),
    ],
)
def test_wrong_usage_is_exit_2_and_says_what_is_wrong(bridge_program: Path, arguments: list[str], message: str) -> None:
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


def test_health_port(start: Start) -> None:
    running = start(*CAT)
    assert running.get("/healthz") == (200, "ok\n")
    assert running.get("/readyz") == (200, "ok\n")
    assert "mcp_bridge_processes 0" in running.get("/metrics")[1]
    assert running.get("/nothing")[0] == 404


def test_the_binary_is_static(bridge_program: Path) -> None:
    assert b"/lib64/ld-linux" not in bridge_program.read_bytes()
    assert bridge_program.stat().st_size <= 8 << 20


def test_descriptors_stay_flat_over_many_connections(start: Start) -> None:
    running = start("true")

    def cycle() -> int:
        for greeting in (None, DIRECT, b"raw", {"mode": "watch"}):
            with running.connect(greeting):
                pass
        return 0

    folder = Path(f"/proc/{running.process.pid}/fd")
    for _ in range(10):
        cycle()
    until("quiet", lambda: running.children() == [])
    before = len(list(folder.iterdir()))
    for _ in range(200):
        cycle()
    until("descriptors to return", lambda: len(list(folder.iterdir())) <= before + 4)


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
        assert process.wait(timeout=20) == 0


def test_a_real_session_of_json_rpc(start: Start) -> None:
    with start(*ECHO).connect(DIRECT) as client:
        client.control()
        answer = client.ask("initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo={"name": "t", "version": "1"})
        assert answer["result"]["serverInfo"]["name"] == "echo"
        result = client.ask("tools/call", name="echo", arguments={"x": "ü"})
        assert json.loads(result["result"]["content"][0]["text"]) == {"x": "ü"}
