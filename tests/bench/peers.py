"""Others of this kind, in front of the same server: what installs from the registries."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import npm, pypi
from tests.support.locks import free_port
from tests.support.remotes import serving

PEERS = ("mcp-proxy", "fastmcp", "supergateway")
_FASTMCP = Path(__file__).with_name("fastmcp_proxy.py")


def _command(peer: str, port: int, server: str) -> list[str]:
    if peer == "mcp-proxy":
        return [
            str(pypi.program("mcp-proxy", "mcp-proxy")),
            f"--port={port}",
            "--host=127.0.0.1",
            "--log-level=ERROR",
            "--",
            server,
        ]
    if peer == "fastmcp":
        return [str(pypi.python("fastmcp")), str(_FASTMCP), str(port), server]
    flags = ["--outputTransport", "streamableHttp", "--stateful", "--port", str(port), "--logLevel", "none"]
    return [*npm.program("supergateway"), "--stdio", server, *flags]


@contextmanager
def peer(name: str, server: Path) -> Iterator[tuple[int, int]]:
    """A peer that serves `/mcp`: its port and its process."""
    port = free_port()
    with serving(_command(name, port, str(server)), port, dict(os.environ)) as process:
        yield port, process.pid
