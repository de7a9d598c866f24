"""Clients that do nothing: connections that stay idle, and ones whose answers are never read, cost little and hinder none."""

from __future__ import annotations

import contextlib
import resource
import socket
from pathlib import Path

import pytest

from mcpgateway import config as gateway_config
from tests.conftest import Scale
from tests.support.bridges import ECHO, bridge, until
from tests.support.gateways import configuration, gateway

from .attacks.sockets import post
from .measure import resident

MEMORY = 128.0  # MiB over the idle process, at the full size
SLACK = 8.0  # MiB for what does not depend on the number
PER_CONNECTION = 1 << 20  # bytes that a client who does not read sends at most


@pytest.fixture
def many_files() -> None:
    """As many descriptors as the machine permits; the gateway inherits it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@pytest.mark.usefixtures("many_files")
def test_idle_connections_and_unread_answers_take_a_bounded_memory(bridge_program: Path, tmp_path: Path, scale: Scale) -> None:
    idle, unread = scale(1_000, 10_000), scale(100, 1_000)
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(bridge(bridge_program, tmp_path, *ECHO, "modern")).port
        server = gateway_config.Server(name="new", addresses=(f"127.0.0.1:{port}",))
        ours = stack.enter_context(gateway(tmp_path, configuration(server, folder=tmp_path)))
        ours.await_ready()
        assert ours.text("new_echo", x=1) == '{"x": 1}'
        before = resident(ours.process.pid)
        for _ in range(idle):
            stack.enter_context(_connected(ours.port))
        links = [stack.enter_context(_connected(ours.port)) for _ in range(unread)]
        sent = _send_until_it_blocks(links)
        assert ours.text("new_echo", x=2) == '{"x": 2}'
        until("liveness", lambda: ours.status()["ready"])
        growth = resident(ours.process.pid) - before
        print(f"{idle} idle, {unread} unread of which {sent >> 20} MiB were sent: {growth:.0f} MiB")
        assert growth < MEMORY * idle / 10_000 + SLACK


def _connected(port: int) -> socket.socket:
    """A connection that has had one answer."""
    link = socket.socket()
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # before connecting: the kernel then keeps little for us
    link.connect(("127.0.0.1", port))
    link.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert link.recv(12) == b"HTTP/1.1 200"
    return link


def _send_until_it_blocks(links: list[socket.socket]) -> int:
    """Requests on each, as many as the gateway and the kernel take without anything being read."""
    block = post() * 200
    total = 0
    for link in links:
        link.settimeout(0.05)
        with contextlib.suppress(OSError):
            sent = 0
            while sent < PER_CONNECTION:
                sent += link.send(block)
            total += sent
    return total
