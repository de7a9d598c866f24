"""The gateway proves itself to its bridges, so that no server can use its neighbour's bridge."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mcpgateway import config as gateway_config
from tests.gateway.conftest import server
from tests.support.bridges import ECHO, MAGIC, Bridge, Connection, GatewayKey, bridge, until
from tests.support.gateways import Gateway, configuration, gateway
from tests.support.locks import free_port

# What a server can try at its neighbour's bridge: it may read all that its own container mounts, the public key above all.
INTRUDER = """
import json, socket, sys
port, out = int(sys.argv[1]), sys.argv[2]
answers = []
for first in (
    b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}\\n',
    b'MCP-BRIDGE/1 {"mode":"direct"}\\n{"jsonrpc":"2.0","id":1,"method":"tools/list"}\\n',
    b'MCP-BRIDGE/1 {"mode":"attach","session":"test/shared"}\\nMCP-BRIDGE/1 {"end":true}\\n',
    b'MCP-BRIDGE/1 {"mode":"watch"}\\nMCP-BRIDGE/1 {"proof":{"server":"victim","address":"127.0.0.1:%d"}}\\n' % port,
):
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(first)
        answers.append(b"".join(iter(lambda: s.recv(4096), b"")).decode())
held = [socket.create_connection(("127.0.0.1", port)) for _ in range(300)]
for s in held:
    s.sendall(b"M")
with open(out + ".new", "w") as f:
    json.dump(answers, f)
import os
os.rename(out + ".new", out)
import time
time.sleep(600)
"""


@dataclass
class Keys:
    """The gateway's private folder and the bridges' public one."""

    key: GatewayKey
    private: Path
    public: Path

    def flags(self, name: str) -> tuple[str, ...]:
        return (f"--gateway-keys={self.public}", f"--server={name}")


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    made = Keys(GatewayKey(), tmp_path / "private", tmp_path / "public")
    for folder, content in ((made.private, made.key.private), (made.public, made.key.public)):
        folder.mkdir()
        (folder / "gateway.pem").write_bytes(content)
    return made


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as opened:
        yield opened


@pytest.mark.parametrize("era", ["modern", "legacy"])
@pytest.mark.parametrize(
    ("isolation", "flags"),
    [("Shared", ()), ("Session", ()), ("Principal", ("--warm=1",)), ("Call", ())],
    ids=["shared", "session", "principal-warm", "call"],
)
def test_calls_pass_with_a_proof(
    bridge_program: Path,
    tmp_path: Path,
    keys: Keys,
    stack: contextlib.ExitStack,
    era: str,
    isolation: gateway_config.Isolation,
    flags: tuple[str, ...],
) -> None:
    behind = stack.enter_context(bridge(bridge_program, tmp_path, *ECHO, era, flags=(*keys.flags("s"), *flags)))
    config = configuration(server("s", behind, isolation=isolation), folder=tmp_path)
    running = stack.enter_context(gateway(tmp_path, config, f"--bridge-keys={keys.private}"))
    running.await_ready()
    for number in range(3):
        assert json.loads(running.text("s_echo", n=number)) == {"n": number}


def test_a_server_cannot_use_its_neighbours_bridge_while_calls_go_on(
    bridge_program: Path, tmp_path: Path, keys: Keys, stack: contextlib.ExitStack
) -> None:
    victim = stack.enter_context(bridge(bridge_program, tmp_path, *ECHO, "modern", flags=keys.flags("victim")))
    script, answers = tmp_path / "intruder.py", tmp_path / "answers.json"
    script.write_text(INTRUDER)
    command = f"{sys.executable} {script} {victim.port} {answers} & exec {' '.join(ECHO)} modern"
    intruder = stack.enter_context(bridge(bridge_program, tmp_path, "sh", "-c", command, flags=keys.flags("intruder")))
    config = configuration(server("victim", victim), server("intruder", intruder), folder=tmp_path)
    running = stack.enter_context(gateway(tmp_path, config, f"--bridge-keys={keys.private}"))
    running.await_ready()
    before = running.server("victim").get("restarts")

    def refused_meanwhile() -> bool:
        assert json.loads(running.text("victim_echo", n=1)) == {"n": 1}
        return answers.exists()

    until("the intruder to have tried", refused_meanwhile)
    for answer in json.loads(answers.read_text()):
        *_, last = (line for line in answer.splitlines() if line)
        assert json.loads(last[len(MAGIC) :])["reason"] in ("GreetingRequired", "ProofMissing", "ProofWrong")
        assert "jsonrpc" not in answer
    for number in range(20):  # 300 connections of one byte are still open
        assert json.loads(running.text("victim_echo", n=number)) == {"n": number}
    assert running.server("victim").get("restarts") == before


class Relay:
    """A server that poses as a bridge and passes the victim's challenge on to the gateway, to get it signed."""

    def __init__(self, victim: Bridge) -> None:
        self._victim, self.answers = victim, list[str]()
        self._listener = socket.create_server(("127.0.0.1", free_port()))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, contextlib.suppress(OSError), self._victim.connect() as victim:
                reader = client.makefile("rb")
                victim.send(reader.readline().rstrip(b"\n"))
                client.sendall(MAGIC + json.dumps(victim.control()).encode() + b"\n")
                victim.send(reader.readline().rstrip(b"\n"))
                self.answers.append(victim.control().get("reason", "accepted"))

    def close(self) -> None:
        self._listener.close()


def test_a_proof_that_a_server_relays_is_not_accepted_by_its_neighbour(
    bridge_program: Path, tmp_path: Path, keys: Keys, stack: contextlib.ExitStack
) -> None:
    victim = stack.enter_context(bridge(bridge_program, tmp_path, *ECHO, "modern", flags=keys.flags("victim")))
    relay = stack.enter_context(contextlib.closing(Relay(victim)))
    posing = gateway_config.Server(name="relay", addresses=(f"127.0.0.1:{relay.port}",))
    config = configuration(server("victim", victim), posing, folder=tmp_path)
    running = stack.enter_context(gateway(tmp_path, config, f"--bridge-keys={keys.private}"))
    running.await_ready("victim")
    until("the relay to have tried", lambda: relay.answers)
    assert set(relay.answers) == {"ProofServer"}
    assert json.loads(running.text("victim_echo", n=1)) == {"n": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "holds no key: check the Secret"),
        ("nonsense", "is not a PEM file with an Ed25519 PRIVATE KEY"),
        (GatewayKey().private.decode(), "does not match this connection's challenge"),
    ],
    ids=["none", "nonsense", "another"],
)
def test_a_gateway_without_the_right_key_says_so_and_recovers(
    bridge_program: Path, tmp_path: Path, keys: Keys, stack: contextlib.ExitStack, content: str | None, message: str
) -> None:
    behind = stack.enter_context(bridge(bridge_program, tmp_path, *ECHO, "modern", flags=keys.flags("s")))
    file = keys.private / "gateway.pem"
    file.unlink()
    if content is not None:
        file.write_text(content)
    config = configuration(server("s", behind), folder=tmp_path)
    running = stack.enter_context(gateway(tmp_path, config, f"--bridge-keys={keys.private}"))
    error = running.await_status("the refusal", lambda status: message in str(status))["servers"][0]["lastError"]
    assert error["reason"] == "AccessDenied" if isinstance(error, dict) else "AccessDenied" in error
    file.write_bytes(keys.key.private)
    running.await_ready()


@pytest.mark.parametrize(
    "challenges",
    [[""], ["x"], ["A" * 43 + "="] * 2, ["A" * 43 + "=\n127.0.0.1:1"], ["é" * 44], [1]],
    ids=["empty", "short", "two", "newline", "not base64", "number"],
)
def test_an_odd_challenge_fails_only_its_own_server(
    bridge_program: Path, tmp_path: Path, keys: Keys, stack: contextlib.ExitStack, challenges: list[object]
) -> None:
    good = stack.enter_context(bridge(bridge_program, tmp_path, *ECHO, "modern", flags=keys.flags("good")))
    listener = stack.enter_context(socket.create_server(("127.0.0.1", free_port())))
    served = threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client:
                    for challenge in challenges:
                        client.sendall(MAGIC + json.dumps({"challenge": challenge}).encode() + b"\n")
                    client.shutdown(socket.SHUT_WR)
                    client.recv(1 << 16)
                    served.set()

    threading.Thread(target=serve, daemon=True).start()
    odd = gateway_config.Server(name="odd", addresses=(f"127.0.0.1:{listener.getsockname()[1]}",))
    config = configuration(server("good", good), odd, folder=tmp_path)
    running: Gateway = stack.enter_context(gateway(tmp_path, config, f"--bridge-keys={keys.private}"))
    running.await_ready("good")
    assert served.wait(30)
    assert json.loads(running.text("good_echo", n=1)) == {"n": 1}
    assert running.server("odd")["state"] != "Ready"
    with Connection(good.port, {"mode": "watch"}) as client:
        client.prove(keys.key, "good")
        assert client.control()["ready"] is True
