"""The gateway proves itself: who has no private key of the gateway cannot use a bridge that has the public one."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.bridge.conftest import ATTACH, CAT, DIRECT, WATCH, Start
from tests.bridge.test_access import Authority, SecureConnection, tls_flags
from tests.support.bridges import MAGIC, Bridge, GatewayKey, until

SERVER = "time"


@pytest.fixture
def key() -> GatewayKey:
    return GatewayKey()


@pytest.fixture
def keys(tmp_path: Path, key: GatewayKey) -> Path:
    """The folder that a server's container mounts: public keys only."""
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "gateway.pem").write_bytes(key.public)
    return folder


def flags(keys: Path, server: str = SERVER) -> tuple[str, ...]:
    return (f"--gateway-keys={keys}", f"--server={server}")


def use(running: Bridge, key: GatewayKey, greeting: dict[str, str] | None = None) -> None:
    """A call works."""
    with running.connect(greeting or DIRECT) as client:
        client.prove(key, SERVER)
        assert client.control()["instance"]
        client.send(b"{}")
        assert client.line() == b"{}"


@pytest.mark.parametrize("stdio", [(), ("--stdio=pipe",), ("--warm=1",)], ids=["socket", "pipe", "warm"])
@pytest.mark.parametrize("greeting", [DIRECT, ATTACH], ids=["direct", "attach"])
def test_a_proof_opens_a_connection(
    start: Start, keys: Path, key: GatewayKey, greeting: dict[str, str], stdio: tuple[str, ...]
) -> None:
    use(start(*CAT, flags=(*flags(keys), *stdio)), key, greeting)


def test_a_watch_requires_a_proof(start: Start, keys: Path, key: GatewayKey) -> None:
    running = start(*CAT, flags=flags(keys))
    with running.connect(WATCH) as watch:
        assert list(watch.control()) == ["challenge"]
        watch.send(b"{}")
        assert watch.control()["reason"] == "ProofMissing"
    with running.connect(WATCH) as watch:
        watch.prove(key, SERVER)
        assert watch.control()["ready"] is True


def test_lines_sent_together_with_the_proof_reach_the_process(start: Start, keys: Path, key: GatewayKey) -> None:
    running = start(*CAT, flags=flags(keys))
    with running.connect(DIRECT) as client:
        proof = key.proof(client.control()["challenge"], server=SERVER, address=f"127.0.0.1:{running.port}")
        client.socket.sendall(MAGIC + json.dumps(proof).encode() + b'\n{"first":1}\n{"second":2}\n')
        client.control()
        assert [client.line(), client.line()] == [b'{"first":1}', b'{"second":2}']


def test_a_session_is_resumed_and_taken_over_only_with_a_proof(start: Start, keys: Path, key: GatewayKey) -> None:
    running = start(*CAT, flags=flags(keys))
    with running.connect(ATTACH) as first:
        first.prove(key, SERVER)
        epoch = first.control()["epoch"]
        with running.connect(ATTACH) as intruder:
            intruder.prove(GatewayKey(), SERVER)
            assert intruder.control()["reason"] == "ProofWrong"
        first.send(b"{}")
        assert first.line() == b"{}"
        with running.connect(ATTACH) as second:
            second.prove(key, SERVER)
            accepted = second.control()
            assert (accepted["epoch"], accepted["resumed"]) == (epoch, True)
            assert first.control()["error"] == "takeover"


Forge = Callable[[GatewayKey, str, int], dict[str, Any]]
FORGED: dict[str, tuple[Forge, str]] = {
    "no signature": (lambda _, __, port: {"proof": {"server": SERVER, "address": f"127.0.0.1:{port}"}}, "ProofWrong"),
    "key of another gateway": (
        lambda _, challenge, port: GatewayKey().proof(challenge, server=SERVER, address=f"127.0.0.1:{port}"),
        "ProofWrong",
    ),
    "another server's name": (
        lambda key, challenge, port: key.proof(challenge, server="files", address=f"127.0.0.1:{port}"),
        "ProofServer",
    ),
    "another address": (
        lambda key, challenge, port: key.proof(challenge, server=SERVER, address=f"127.0.0.1:{port + 1}"),
        "ProofAddress",
    ),
    "another server's signature under this name": (
        lambda key, challenge, port: {
            "proof": {
                **key.proof(challenge, server="files", address=f"127.0.0.1:{port}")["proof"],
                "server": SERVER,
            }
        },
        "ProofWrong",
    ),
    "truncated signature": (
        lambda key, challenge, port: {
            "proof": {
                **(proof := key.proof(challenge, server=SERVER, address=f"127.0.0.1:{port}")["proof"]),
                "signature": proof["signature"][:40],
            }
        },
        "ProofWrong",
    ),
    "a greeting again": (lambda *_: {"mode": "direct"}, "ProofMissing"),
    "null": (lambda *_: {"proof": None}, "ProofMissing"),
    "wrong types": (lambda *_: {"proof": {"server": 1, "address": [], "signature": {}}}, "ProofMissing"),
}


@pytest.mark.parametrize("forged", FORGED)
def test_a_forged_proof_is_refused_and_starts_nothing(start: Start, keys: Path, key: GatewayKey, forged: str) -> None:
    forge, reason = FORGED[forged]
    running = start(*CAT, flags=flags(keys))
    with running.connect(DIRECT) as client:
        client.send(MAGIC + json.dumps(forge(key, client.control()["challenge"], running.port)).encode())
        answer = client.control()
        assert (answer["error"], answer["reason"]) == ("access", reason)
        assert client.line() == b""
    assert running.children() == []
    assert 'refused_total{reason="access"} 1' in running.get("/metrics")[1]
    use(running, key)


def test_a_replayed_proof_is_refused(start: Start, keys: Path, key: GatewayKey) -> None:
    running = start(*CAT, flags=flags(keys))
    with running.connect(DIRECT) as client:
        challenge = client.control()["challenge"]
        recorded = MAGIC + json.dumps(key.proof(challenge, server=SERVER, address=f"127.0.0.1:{running.port}")).encode()
        client.send(recorded)
        assert client.control()["instance"]
    with running.connect(DIRECT) as client:
        assert client.control()["challenge"] != challenge
        client.send(recorded)
        assert client.control()["reason"] == "ProofWrong"


@pytest.mark.parametrize("line", [MAGIC + b"x" * 9000, MAGIC + b'{"proof":' + b"[" * 7000, b"\x00\xff", b"{}"])
def test_a_line_that_is_no_proof_is_refused(start: Start, keys: Path, key: GatewayKey, line: bytes) -> None:
    running = start(*CAT, flags=flags(keys))
    with running.connect(DIRECT) as client:
        client.control()
        client.send(line)
        assert client.control()["reason"] == "ProofMissing"
    use(running, key)


def test_a_raw_connection_is_refused_where_a_proof_is_required(start: Start, keys: Path) -> None:
    running = start(*CAT, flags=flags(keys))
    with running.connect(b'{"jsonrpc":"2.0"}') as client:
        answer = client.control()
        assert (answer["reason"], answer["message"]) == (
            "GreetingRequired",
            "raw connections are disabled; send a greeting line",
        )
    assert running.children() == []


def test_a_truncated_proof_does_not_reach_the_process(start: Start, keys: Path, key: GatewayKey) -> None:
    running = start(*CAT, flags=flags(keys))
    with running.connect(DIRECT) as client:
        proof = key.proof(client.control()["challenge"], server=SERVER, address=f"127.0.0.1:{running.port}")
        client.socket.sendall((MAGIC + json.dumps(proof).encode())[:-20])
        client.socket.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            assert client.line() == b""
    assert running.children() == []


def test_a_key_is_rotated_without_a_restart(start: Start, keys: Path, key: GatewayKey) -> None:
    running = start(*CAT, flags=flags(keys))
    following = GatewayKey()
    (keys / "gateway-2.pem").write_bytes(following.public)
    use(running, key)
    use(running, following)
    (keys / "gateway.pem").unlink()
    use(running, following)
    with running.connect(DIRECT) as client:
        client.prove(key, SERVER)
        assert client.control()["reason"] == "ProofWrong"


def test_without_a_readable_key_every_client_is_refused_until_it_exists(
    start: Start, tmp_path: Path, keys: Path, key: GatewayKey
) -> None:
    late = tmp_path / "late"
    running = start(*CAT, flags=flags(late))
    status, body = running.get("/readyz")
    assert status == 503
    assert "gateway keys" in body
    with running.connect(DIRECT) as client:
        assert client.control()["reason"] == "NoKey"
    keys.rename(late)
    until("readiness", lambda: running.get("/readyz")[0] == 200)
    use(running, key)


def test_a_proof_over_tls_is_for_the_address_of_the_tcp_connection(
    start: Start, authority: Authority, keys: Path, key: GatewayKey
) -> None:
    running = start(*CAT, flags=(*flags(keys), *tls_flags(authority)))
    with SecureConnection(running, DIRECT, authority, authority) as client:
        client.prove(key, SERVER)
        assert client.control()["instance"]
        client.send(b"{}")
        assert client.line() == b"{}"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.mark.parametrize("first", [b"", b"M", b"{", MAGIC + b'{"mode":"watch"}\n'], ids=["silent", "M", "raw", "unproven"])
def test_many_unauthenticated_connections_do_not_make_the_bridge_unreachable(
    start: Start, keys: Path, key: GatewayKey, first: bytes
) -> None:
    running = start(*CAT, flags=flags(keys))
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            client = stack.enter_context(running.connect())
            if first:
                client.socket.sendall(first)
        assert running.children() == []
        for _ in range(3):
            use(running, key)


def test_beyond_the_maximum_the_oldest_unauthenticated_connection_is_closed(started: Start, keys: Path, key: GatewayKey) -> None:
    running = started(*CAT, flags=flags(keys))
    maximum = 1024
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(running.connect()) for _ in range(maximum + 50)]
        use(running, key)
        assert [client.file.read() for client in clients[:51]] == [b""] * 51  # 50, and the client that proved itself
        clients[-1].socket.setblocking(False)
        with pytest.raises(BlockingIOError):  # it is still open
            clients[-1].socket.recv(1)
    assert 'refused_total{reason="evicted"} 51' in running.get("/metrics")[1]


def test_a_silent_connection_is_closed_after_10_seconds(started: Start, keys: Path) -> None:
    running = started(*CAT, flags=flags(keys))
    with running.connect() as silent, running.connect(DIRECT) as unproven, running.connect() as slow:
        unproven.control()
        stop = threading.Event()

        def trickle() -> None:
            for byte in MAGIC + b" " * 4000:
                if stop.wait(0.1):
                    return
                with contextlib.suppress(OSError):
                    slow.socket.sendall(bytes([byte]))

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            for client in (silent, unproven, slow):
                with contextlib.suppress(ConnectionResetError):
                    assert client.line() == b""
        finally:
            stop.set()
            thread.join()
    assert running.children() == []


@given(
    st.lists(st.binary(max_size=200), max_size=4), st.sampled_from([b"", b"MCP-BRIDGE/", MAGIC, MAGIC + b'{"mode":"direct"}\n'])
)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_arbitrary_bytes_never_start_a_process(
    property_bridge: tuple[Bridge, GatewayKey], chunks: list[bytes], head: bytes
) -> None:
    running, key = property_bridge
    before = processes_started(running)
    with running.connect() as client, contextlib.suppress(ConnectionError):
        client.socket.sendall(head)
        for chunk in chunks:
            client.socket.sendall(chunk)
        client.socket.shutdown(socket.SHUT_WR)
        while line := client.line():
            assert line.startswith(MAGIC)
            assert set(json.loads(line[len(MAGIC) :])) <= {"challenge", "error", "reason", "message"}
    assert processes_started(running) == before
    use(running, key)
    # a process that has the socket itself may answer before the bridge has counted it
    until("the process to be counted", lambda: processes_started(running) == before + 1)


def processes_started(running: Bridge) -> int:
    name = "mcp_bridge_processes_started_total "
    return next(int(line.removeprefix(name)) for line in running.get("/metrics")[1].splitlines() if line.startswith(name))


@pytest.fixture
def property_bridge(started: Start, keys: Path, key: GatewayKey) -> tuple[Bridge, GatewayKey]:
    return started(*CAT, flags=(*flags(keys), "--max-start-rate=1000")), key


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no --gateway-keys: every client that can connect would control the server"),
        (["--tls-cert=/none/c", "--tls-key=/none/k"], "--tls-cert, --tls-key: open"),
        (["--gateway-keys=x"], "--gateway-keys and --server belong together"),
        (["--server=x"], "--gateway-keys and --server belong together"),
        (["--gateway-keys=x", "--server=a\nb"], "must not contain control characters"),
        (["--gateway-keys=x", "--server=x", "--allow-unauthenticated"], "--allow-unauthenticated contradicts --gateway-keys"),
    ],
)
def test_wrong_access_flags_are_named(bridge_program: Path, arguments: list[str], message: str) -> None:
    done = subprocess.run(
        [bridge_program, "serve", *arguments, "--", "cat"], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 2
    assert message in done.stderr


def test_a_truncated_tls_handshake_is_bounded_too(started: Start, authority: Authority, keys: Path, key: GatewayKey) -> None:
    running = started(*CAT, flags=(*flags(keys), *tls_flags(authority)))
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(running.connect()).socket.sendall(b"\x16\x03")
        with SecureConnection(running, DIRECT, authority, authority) as client:
            client.prove(key, SERVER)
            assert client.control()["instance"]
