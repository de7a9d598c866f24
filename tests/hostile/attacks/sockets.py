"""Bytes to and from port 8811, without an HTTP library between."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator

from tests.hostile.world import World
from tests.support.gateways import TOKEN

PATIENCE = 10.0  # seconds for what comes back
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
CALL = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
BOMB = b"[" * (3 << 20)


def head(method: str = "POST", target: str = "/mcp", *lines: str, token: str = TOKEN, host: str = "localhost") -> bytes:
    """A request's head with all that a good one has, and these lines."""
    fields = [f"{method} {target} HTTP/1.1", f"Host: {host}", f"Authorization: Bearer {token}"]
    fields += ["Accept: application/json, text/event-stream", "Content-Type: application/json", *lines]
    return "\r\n".join(fields).encode() + b"\r\n\r\n"


def post(body: bytes = CALL, *lines: str, token: str = TOKEN, host: str = "localhost", target: str = "/mcp") -> bytes:
    """A whole POST request."""
    return head("POST", target, f"Content-Length: {len(body)}", *lines, token=token, host=host) + body


@contextlib.contextmanager
def connected(world: World) -> Iterator[socket.socket]:
    """One connection."""
    with socket.create_connection(("127.0.0.1", world.gateway.port), timeout=PATIENCE) as link:
        yield link


def received(link: socket.socket) -> bytes:
    """All that comes until the gateway closes the connection; `...` marks that it did not within the patience."""
    parts = []
    try:
        while part := link.recv(1 << 20):
            parts.append(part)
    except TimeoutError:
        parts.append(b"...")
    except OSError:
        pass
    return b"".join(parts)


def said(raw: bytes) -> str:
    """The statuses of all responses in what was received, in order."""
    statuses = [code.decode() for code in _STATUS.findall(raw)]
    end = ", stays open" if raw.endswith(b"...") else ""
    return (" ".join(statuses) or "no response") + end


def exchange(world: World, *parts: bytes) -> str:
    """Send on one connection, and say what came back until it was closed; the last request should ask for that."""
    with connected(world) as link, contextlib.suppress(OSError):
        for part in parts:
            link.sendall(part)
        return said(received(link))
    return "cut"


def pushed(world: World, data: bytes) -> str:
    """Send much, then say what came back, even if the gateway did not want all of it."""
    with connected(world) as link:
        with contextlib.suppress(OSError):
            link.sendall(data)
        return said(received(link))
