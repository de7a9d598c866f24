"""MCP servers that are reached by URL, on loopback."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from . import npm, pypi
from .bridges import until
from .locks import free_port
from .processes import end

FIXTURE = Path(__file__).parent.parent / "conformance" / "fixture.py"
_FASTMCP1 = Path(__file__).parent / "servers" / "fastmcp1.py"


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextlib.contextmanager
def serving(command: list[str], port: int, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A program that listens on a port, from when it does."""
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until(f"a server on port {port}", lambda: process.poll() is not None or _answers(port))
        assert process.poll() is None, f"it has ended: {' '.join(command)}"
        yield process
    finally:
        end(process)


@contextlib.contextmanager
def everything(transport: str, port: int | None = None) -> Iterator[str]:
    """The reference server of the TypeScript SDK's makers, over `streamableHttp` or `sse`: its URL."""
    port = port or free_port()
    command = [*npm.program("@modelcontextprotocol/server-everything"), transport]
    with serving(command, port, {**npm.environment(), "PORT": str(port)}):
        yield f"http://127.0.0.1:{port}/{'sse' if transport == 'sse' else 'mcp'}"


def fastmcp1_command() -> list[str]:
    """The server on the Python SDK before its second version, over stdio. Raises: CannotRunError."""
    return [str(pypi.python("legacy")), str(_FASTMCP1)]


@contextlib.contextmanager
def fastmcp1(path: str) -> Iterator[str]:
    """The same over HTTP at `/mcp` or `/sse`: its URL."""
    port = free_port()
    transport = {"/mcp": "streamable-http", "/sse": "sse"}[path]
    with serving([*fastmcp1_command(), transport, str(port)], port, dict(os.environ)):
        yield f"http://127.0.0.1:{port}{path}"


@contextlib.contextmanager
def fixture(port: int | None = None) -> Iterator[str]:
    """The conformance fixture, on the Python SDK: both eras at its URL."""
    port = port or free_port()
    with serving([sys.executable, str(FIXTURE), f"--http={port}"], port, dict(os.environ)):
        yield f"http://127.0.0.1:{port}/mcp"
