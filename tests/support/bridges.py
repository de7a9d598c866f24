"""Real bridges on loopback for tests."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from .locks import free_port
from .processes import end
from .waiting import PATIENCE

MAGIC = b"MCP-BRIDGE/1 "
_AUTHENTICATION = ("--gateway-keys=", "--token-file=", "--tls-client-ca=")
ECHO = [sys.executable, str(Path(__file__).parent / "servers" / "echo.py")]


class GatewayKey:
    """A gateway's key pair, by an implementation that neither the bridge nor the gateway uses."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()

    @property
    def private(self) -> bytes:
        """The private key, PEM (RFC 8410)."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def public(self) -> bytes:
        """The public key, PEM (RFC 8410)."""
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def proof(self, challenge: str, *, server: str, address: str) -> dict[str, Any]:
        """The answer to a challenge."""
        signature = self._key.sign(f"MCP-BRIDGE/1 proof\n{challenge}\n{server}\n{address}".encode())
        return {"proof": {"server": server, "address": address, "signature": base64.b64encode(signature).decode()}}


class Connection:
    """A client's socket that reads lines."""

    def __init__(self, port: int, greeting: dict[str, Any] | bytes | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.file = self.socket.makefile("rb")
        if greeting is not None:
            self.send(greeting if isinstance(greeting, bytes) else MAGIC + json.dumps(greeting).encode())

    def send(self, line: bytes) -> None:
        """Send a line."""
        self.socket.sendall(line + b"\n")

    def line(self) -> bytes:
        """The next line that is not empty; b"" at the end."""
        while (line := self.file.readline()) == b"\n":
            pass
        return line.rstrip(b"\n")

    def control(self) -> dict[str, Any]:
        """The next line, which must be a control line."""
        line = self.line()
        assert line.startswith(MAGIC), line
        body: dict[str, Any] = json.loads(line[len(MAGIC) :])
        return body

    def prove(self, key: GatewayKey, server: str) -> None:
        """Answer the bridge's challenge."""
        host, port = self.socket.getpeername()
        proof = key.proof(self.control()["challenge"], server=server, address=f"{host}:{port}")
        self.send(MAGIC + json.dumps(proof).encode())

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """A request and its answer."""
        self.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode())
        answer: dict[str, Any] = json.loads(self.line())
        return answer

    def ack(self, number: int) -> None:
        """Acknowledge all lines up to this number."""
        self.send(MAGIC + json.dumps({"ack": number}).encode())

    def reset(self) -> None:
        """Close by RST, as the kernel does for a killed peer with unread input."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Close both ways."""
        self.file.close()
        self.socket.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass
class Bridge:
    """A bridge's process."""

    process: subprocess.Popen[bytes]
    port: int
    health: int
    log: Path

    def connect(self, greeting: dict[str, Any] | bytes | None = None) -> Connection:
        """A new connection."""
        return Connection(self.port, greeting)

    def get(self, path: str) -> tuple[int, str]:
        """A GET on the health port."""
        with socket.create_connection(("127.0.0.1", self.health), timeout=5) as s:
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            head, _, body = b"".join(iter(lambda: s.recv(4096), b"")).partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode()

    def children(self) -> list[int]:
        """Pids of its direct children, zombies included."""
        found: list[int] = []
        for thread in Path(f"/proc/{self.process.pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended
                found += map(int, (thread / "children").read_text().split())
        return found

    def stop(self) -> int:
        """SIGTERM and its exit code."""
        self.process.terminate()
        return self.process.wait(timeout=PATIENCE)


@contextlib.contextmanager
def bridge(
    program: Path,
    folder: Path,
    *command: str,
    flags: tuple[str, ...] = (),
    port: int | None = None,
    wrapper: tuple[str, ...] = (),
) -> Iterator[Bridge]:
    """A bridge in front of a command; `wrapper` is a command that runs it in its own way."""
    port, health = port or free_port(), free_port()
    if not any(flag.startswith(_AUTHENTICATION) for flag in flags):
        flags = ("--allow-unauthenticated", *flags)
    log = folder / f"bridge-{port}.log"
    arguments = [
        *wrapper,
        str(program),
        "serve",
        f"--listen=127.0.0.1:{port}",
        f"--health=127.0.0.1:{health}",
        *flags,
        "--",
        *command,
    ]
    with log.open("ab") as out:
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    running = Bridge(process, port, health, log)
    try:
        _await_listening(running)
        yield running
    finally:
        if wrapper[:1] == ("unshare",):  # it ignores TERM itself, and ends with what it runs
            for pid in running.children():
                os.kill(pid, signal.SIGTERM)
            process.wait(timeout=PATIENCE)
        end(process)
        assert "DATA RACE" not in log.read_text(errors="replace"), log.read_text(errors="replace")


def _await_listening(running: Bridge) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            running.get("/healthz")
            return
        except OSError:
            assert running.process.poll() is None, running.log.read_text()
            assert time.monotonic() < deadline, "the bridge does not listen"
            time.sleep(0.01)


def until(what: str, ready: Any, timeout: float = PATIENCE) -> Any:
    """Wait on a condition, long enough for a busy machine."""
    deadline = time.monotonic() + timeout
    while not (result := ready()):
        assert time.monotonic() < deadline, f"not within {timeout:g} s: {what}"
        time.sleep(0.01)
    return result
