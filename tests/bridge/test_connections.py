"""What a connection is, and how lines go through it."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from tests.bridge.conftest import ATTACH, CAT, DIRECT, Start
from tests.support import tools
from tests.support.bridges import ECHO, until


@pytest.mark.parametrize(
    "command",
    [
        CAT,
        ("sh", "-c", "cat"),
        (sys.executable, "-uc", "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"),
        ("node", "-e", "process.stdin.pipe(process.stdout)"),
    ],
    ids=["cat", "shell", "python", "node"],
)
@pytest.mark.parametrize("flags", [(), ("--stdio=pipe",), ("--warm=1",)], ids=["socket", "pipe", "warm"])
@pytest.mark.parametrize("greeting", [None, DIRECT, ATTACH], ids=["raw", "direct", "attach"])
def test_lines_go_in_and_out(
    start: Start, command: tuple[str, ...], flags: tuple[str, ...], greeting: dict[str, Any] | None
) -> None:
    if command[0] == "node":
        tools.require("bridge in front of Node", {"node": "nodejs"})
    with start(*command, flags=flags).connect(greeting) as client:
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


def test_a_silent_connection_starts_no_process(start: Start) -> None:
    running = start(*CAT)
    with running.connect(), running.connect({"mode": "watch"}) as watch:
        assert watch.control()["processes"] == 0
        assert running.children() == []


def test_each_connection_has_its_own_process(start: Start) -> None:
    running = start("sh", "-c", "echo $$$$; cat")
    with running.connect(DIRECT) as first, running.connect(DIRECT) as second:
        first.control(), second.control()
        assert first.line() != second.line()


@pytest.mark.parametrize(
    ("greeting", "message"),
    [
        (b'MCP-BRIDGE/2 {"mode":"direct"}', "unknown protocol version"),
        (b'MCP-BRIDGE/1 {"mode":"dance"}', 'unknown mode "dance"'),
        (b'MCP-BRIDGE/1 {"mode":"attach"}', "needs a session key"),
        (b"MCP-BRIDGE/1 nonsense", "not a JSON object"),
        (b'MCP-BRIDGE/1 {"mode":"attach","session":"' + b"k" * 300 + b'"}', "1 to 256 characters"),
        (b"MCP-BRIDGE/1 " + b"[" * 7000, "not a JSON object"),
        (b"MCP-BRIDGE/1 " + b"x" * 9000, "a greeting of over 8192 bytes"),
        (b"MCP-BRIDGE/1 \x00\xff\xfe", "not a JSON object"),
    ],
)
def test_an_invalid_greeting_is_answered_with_the_reason(start: Start, greeting: bytes, message: str) -> None:
    running = start(*CAT)
    with running.connect(greeting) as client:
        answer = client.control()
        assert answer["error"] == "greeting"
        assert message in answer["message"]
        assert client.line() == b""
    with running.connect(DIRECT) as other:
        assert other.control()["instance"]


@pytest.mark.parametrize("flags", [("--grace=50ms",), ("--grace=50ms", "--stdio=pipe")], ids=["socket", "pipe"])
def test_half_close_is_the_end_of_input_and_late_answers_still_arrive(start: Start, flags: tuple[str, ...]) -> None:
    program = "import sys, time; data = sys.stdin.read(); time.sleep(0.5); print(len(data), flush=True)"
    with start(sys.executable, "-c", program, flags=flags).connect() as client:
        client.socket.sendall(b"x" * 1000)
        client.socket.shutdown(1)
        assert client.line() == b"1000"
        assert client.line() == b""


@pytest.mark.parametrize("flags", [(), ("--stdio=pipe",)], ids=["socket", "pipe"])
def test_the_process_of_a_peer_that_reset_is_ended_without_linger(start: Start, flags: tuple[str, ...]) -> None:
    running = start("sh", "-c", "trap '' TERM; while :; do sleep 0.1; done", flags=("--grace=100ms", *flags))
    client = running.connect(b"hello")
    until("the process to start", running.children)
    client.reset()
    until("the process to be killed", lambda: running.children() == [])


def test_bytes_go_through_as_they_are(start: Start) -> None:
    noise = bytes(byte for byte in range(256) if byte != 10) * 50
    for greeting, line in ((None, noise), (DIRECT, noise), (ATTACH, b"{" + noise)):
        with start(*CAT).connect(greeting) as client:
            if greeting:
                client.control()
            client.send(line)
            assert client.line() == line


def test_a_program_that_opens_its_stdin_by_name_needs_pipes(start: Start) -> None:
    """`/dev/stdin` cannot be opened when it is a socket: that is what --stdio=pipe is for."""
    reopens = ("sh", "-c", "cat < /dev/stdin")
    with start(*reopens).connect(DIRECT) as client:
        client.control()
        assert client.control()["exit"]["code"] != 0
    with start(*reopens, flags=("--stdio=pipe",)).connect(DIRECT) as client:
        client.control()
        client.send(b"{}")
        assert client.line() == b"{}"


def test_a_tag_cannot_forge_a_log_line(start: Start) -> None:
    running = start("sh", "-c", "echo started >&2; cat")
    with running.connect({"mode": "direct", "tag": "a]\n[mcp-bridge] all is well\x1b[2J"}) as client:
        client.control()
        until("the line", lambda: "] started" in running.log.read_text())
    assert "[amcp-bridgeallis" in running.log.read_text()


def test_a_client_that_reads_nothing_stops_only_its_own_process(start: Start) -> None:
    running = start("sh", "-c", 'read x; while :; do echo \'{"flood":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}\'; done')
    with running.connect(ATTACH) as silent, running.connect({"mode": "attach", "session": "other"}) as other:
        silent.control(), other.control()
        silent.send(b"{}")
        other.send(b"{}")
        for number in range(1, 2001):
            assert other.line().startswith(b'{"flood"')
            if number % 64 == 0:
                other.ack(number)


def test_a_process_that_ignores_the_end_of_its_input_is_ended(start: Start) -> None:
    running = start("sh", "-c", "trap '' TERM; while :; do sleep 0.1; done", flags=("--linger=200ms", "--grace=200ms"))
    with running.connect(b"hello"):
        until("the process to start", running.children)
    until("the process to be killed", lambda: running.children() == [])


def test_a_real_session_of_json_rpc(start: Start) -> None:
    with start(*ECHO).connect(DIRECT) as client:
        client.control()
        answer = client.ask("initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo={"name": "t", "version": "1"})
        assert answer["result"]["serverInfo"]["name"] == "echo"
        result = client.ask("tools/call", name="echo", arguments={"x": "ü"})
        assert json.loads(result["result"]["content"][0]["text"]) == {"x": "ü"}
