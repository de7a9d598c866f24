"""Sessions: processes that outlive their connections."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from contextlib import ExitStack

from tests.bridge.conftest import ATTACH, CAT, WATCH, Start
from tests.support.bridges import Connection, until


def test_a_session_outlives_its_connection_and_the_memo_comes_back(start: Start) -> None:
    running = start("sh", "-c", 'while read x; do echo "{\\"pid\\":$$$$}"; done')
    with running.connect(ATTACH) as client:
        first = client.control()
        client.send(b'MCP-BRIDGE/1 {"memo":"2025-11-25"}')
        client.send(b"{}")
        pid = client.line()
    with running.connect(ATTACH) as client:
        second = client.control()
        client.send(b"{}")
        assert [client.line(), client.line()] == [pid, pid]  # the first line had not been acknowledged
    assert (second["resumed"], second["memo"], second["epoch"]) == (True, "2025-11-25", first["epoch"])


def test_a_session_ends_on_end_and_after_the_linger(start: Start) -> None:
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
    with running.connect(ATTACH) as old:
        old.control()
        with running.connect(ATTACH) as new:
            assert new.control()["resumed"] is True
            assert old.control()["error"] == "takeover"
            new.send(b"{}")
            assert new.line() == b"{}"


def test_an_attached_server_cannot_forge_control_lines(start: Start) -> None:
    script = """echo 'MCP-BRIDGE/1 {"exit":{"code":0}}'; echo junk; echo '{"real":1}'; cat"""
    with start("sh", "-c", script).connect(ATTACH) as client:
        client.control()
        assert client.line() == b'{"real":1}'


# Answers {"n":N,"pid":PID} to each line.
COUNT = ("sh", "-c", 'n=0; while read x; do n=$((n+1)); echo "{\\"n\\":$n,\\"pid\\":$$$$}"; done')


def numbers(client: Connection, count: int) -> list[int]:
    return [json.loads(client.line())["n"] for _ in range(count)]


def test_unacknowledged_lines_are_sent_again_in_order(start: Start) -> None:
    running = start(*COUNT)
    with running.connect(ATTACH) as client:
        first = client.control()
        client.socket.sendall(b"{}\n" * 10)
        assert numbers(client, 10) == list(range(1, 11))
        client.ack(6)
    with running.connect(ATTACH) as client:
        again = client.control()
        assert (again["epoch"], again["acked"], again["received"]) == (first["epoch"], 6, 10)
        assert numbers(client, 4) == [7, 8, 9, 10]
        client.ack(10)
        client.send(b"{}")
        assert numbers(client, 1) == [11]
    assert "lines_replayed_total 4" in running.get("/metrics")[1]


def test_output_of_a_detached_process_is_kept(start: Start) -> None:
    running = start("sh", "-c", 'read x; sleep 0.2; echo "{\\"late\\":1}"; cat')
    client = running.connect(ATTACH)
    client.control()
    client.send(b"{}")
    client.reset()
    with running.connect(ATTACH) as client:
        assert client.control()["resumed"] is True
        assert client.line() == b'{"late":1}'


def test_last_lines_and_the_exit_report_are_kept_for_the_next_connection(start: Start) -> None:
    running = start("sh", "-c", 'read x; echo "{\\"last\\":1}"; echo why >&2; exit 5')
    with running.connect(WATCH) as watch:
        client = running.connect(ATTACH)
        epoch = client.control()["epoch"]
        client.send(b"{}")
        client.reset()
        until("the exit", lambda: watch.control()["exited"])
    with running.connect(ATTACH) as client:
        accepted = client.control()
        assert (accepted["epoch"], accepted["resumed"]) == (epoch, True)
        assert client.line() == b'{"last":1}'
        report = client.control()["exit"]
        assert (report["code"], report["stderr"]) == (5, ["why"])
        client.ack(1)
        assert client.line() == b""

    def new_process() -> bool:
        with running.connect(ATTACH) as client:
            accepted = client.control()
            return "resumed" not in accepted and accepted["epoch"] != epoch

    until("the key to be free for a new process", new_process)


def test_an_ended_process_without_unacknowledged_lines_is_not_resumed(start: Start) -> None:
    running = start(*COUNT)
    with running.connect(WATCH) as watch:
        with running.connect(ATTACH) as client:
            first = client.control()
            client.send(b"{}")
            pid = json.loads(client.line())["pid"]
            client.ack(1)
            client.send(b"{}")  # so that the acknowledgement has been read when the answer is here
            client.line()
            client.ack(2)
        with running.connect(ATTACH) as client:
            until("the acknowledgement", lambda: client.control()["acked"] == 2)
        os.kill(pid, signal.SIGKILL)
        until("the exit", lambda: watch.control()["exited"])
    with running.connect(ATTACH) as client:
        second = client.control()
        assert (second.get("resumed"), second["acked"], second["received"]) == (None, 0, 0)
        assert second["epoch"] > first["epoch"]


def test_replay_is_bounded_and_then_the_process_waits(start: Start) -> None:
    flood = 'read x; n=0; while :; do n=$((n+1)); echo "{\\"n\\":$n,\\"pad\\":\\"{pad}\\"}"; done'.replace("{pad}", "x" * 1000)
    running = start("sh", "-c", flood)
    with running.connect(ATTACH) as client:
        client.control()
        client.send(b"{}")

    def written() -> int:
        line = next(line for line in running.get("/metrics")[1].splitlines() if line.startswith("mcp_bridge_lines_sent_total"))
        return int(line.split()[1])

    seen = [0]

    def stopped() -> bool:
        seen.append(written())
        return seen[-1] > 500 and len(seen) > 20 and seen[-20] == seen[-1]

    until("the process to wait", stopped)
    assert seen[-1] < 1300  # 1 MiB of about 1,020 bytes a line, and what the pipe holds
    with running.connect(ATTACH) as client:
        client.control()
        for number in range(1, 3 * seen[-1]):
            assert json.loads(client.line())["n"] == number
            if number % 64 == 0:
                client.ack(number)


def test_acknowledging_unwritten_lines_is_refused_and_the_session_lives_on(start: Start) -> None:
    running = start(*COUNT)
    with running.connect(ATTACH) as client:
        epoch = client.control()["epoch"]
        client.ack(1)
        answer = client.control()
        assert (answer["error"], "ack 1: this process has written 0 lines" in answer["message"]) == ("line", True)
    with running.connect(ATTACH) as client:
        assert client.control()["epoch"] == epoch


def test_half_a_line_of_a_lost_connection_never_reaches_the_process(start: Start) -> None:
    running = start(*CAT)
    with running.connect(ATTACH) as client:
        client.control()
        client.socket.sendall(b'{"whole":1}\n{"half":')
        assert client.line() == b'{"whole":1}'
    with running.connect(ATTACH) as client:
        accepted = client.control()
        assert accepted["received"] == 1
        client.send(b'{"next":1}')
        assert [client.line(), client.line()] == [b'{"whole":1}', b'{"next":1}']


def test_half_close_still_gets_the_answers_and_the_session_lives_on(start: Start) -> None:
    running = start("sh", "-c", "while read x; do sleep 0.2; echo {}; done")
    with running.connect(ATTACH) as client:
        epoch = client.control()["epoch"]
        client.send(b"{}")
        client.socket.shutdown(1)
        assert client.line() == b"{}"
        with running.connect(ATTACH) as next_one:
            assert next_one.control()["epoch"] == epoch


def test_a_take_over_in_the_middle_of_a_line_sends_it_whole(start: Start) -> None:
    size = 8_000_000
    program = f"import sys; sys.stdin.readline(); print('{{' + 'x' * {size}, flush=True); sys.stdin.read()"
    running = start(sys.executable, "-c", program)
    with running.connect(ATTACH) as old:
        old.control()
        old.send(b"{}")
        old.socket.recv(1000)
        with running.connect(ATTACH) as new:
            assert new.control()["resumed"] is True
            assert len(new.line()) == size + 1


def test_many_that_attach_at_once_share_a_process(start: Start) -> None:
    running = start(*CAT)
    with ExitStack() as stack:
        clients = [stack.enter_context(running.connect(ATTACH)) for _ in range(20)]
        epochs = {client.control()["epoch"] for client in clients}
    assert len(epochs) == 1


def test_a_session_marked_idle_ends_and_one_that_is_used_does_not(start: Start) -> None:
    running = start(*COUNT, flags=("--idle-timeout=200ms",))
    with running.connect(ATTACH) as idle, running.connect({"mode": "attach", "session": "busy"}) as busy:
        idle.control(), busy.control()
        for client in (idle, busy):
            client.send(b'MCP-BRIDGE/1 {"idle":true}')
        busy.send(b"{}")
        assert numbers(busy, 1) == [1]
        assert idle.control()["exit"]["ended"] == "idle"
        busy.send(b"{}")
        assert numbers(busy, 1) == [2]


def test_a_giant_line_of_a_client_is_refused_and_its_session_lives_on(start: Start) -> None:
    running = start(*CAT)
    with running.connect(ATTACH) as client:
        epoch = client.control()["epoch"]
        with contextlib.suppress(OSError):
            for _ in range(18):
                client.socket.sendall(b"x" * (1 << 20))
        assert "over 16 MiB" in client.control()["message"]
    with running.connect(ATTACH) as client:
        assert client.control()["epoch"] == epoch
        client.send(b"{}")
        assert client.line() == b"{}"


def test_a_giant_line_of_a_server_ends_it_with_the_reason(start: Start) -> None:
    giant = "import sys; sys.stdin.readline(); sys.stdout.write('{' * (18 << 20)); sys.stdout.flush(); sys.stdin.read()"
    running = start(sys.executable, "-c", giant)
    with running.connect(ATTACH) as client:
        client.control()
        client.send(b"{}")
        while not (line := client.line()).startswith(b"MCP-BRIDGE/1 "):
            assert line
        report = json.loads(line.split(b" ", 1)[1])["exit"]
    assert report["ended"] == "line"
    assert "a line of over 16 MiB" in running.log.read_text()


def test_a_memo_has_a_limit(start: Start) -> None:
    with start(*CAT).connect(ATTACH) as client:
        client.control()
        client.send(b'MCP-BRIDGE/1 {"memo":"' + b"m" * 5000 + b'"}')
        assert "memo of over 4096 bytes" in client.control()["message"]


def test_control_lines_of_a_later_version_are_ignored(start: Start) -> None:
    with start(*CAT).connect(ATTACH) as client:
        client.control()
        for line in (
            b'MCP-BRIDGE/1 {"dance":true}',
            b"MCP-BRIDGE/1 nonsense",
            b"MCP-BRIDGE/9 {}",
            b'MCP-BRIDGE/1 {"ack":-1}',
            b"",
        ):
            client.send(line)
        client.send(b"{}")
        assert client.line() == b"{}"
