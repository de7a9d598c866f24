"""Child processes that end with this process, and end their own children."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import socket
from collections.abc import Mapping
from pathlib import Path

from .bad_input import BadInputError

_GRACE = 12.0  # seconds from TERM to KILL: a bridge needs two grace periods of five
_PR_SET_PDEATHSIG = 1
_KEPT = ("HOME", "USER", "LOGNAME", "LANG", "TMPDIR", "TERM", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS")
_KEPT_PREFIXES = ("LC_", "XDG_")
_KEPT_SUFFIXES = ("_PROXY", "_proxy")


class Child:
    """One process in its own session, so that a terminal's Ctrl-C does not reach it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, command: list[str], *, log: Path, env: Mapping[str, str]) -> Child:
        """Start it; its output goes to a file."""
        with log.open("ab") as out:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=dict(env),
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        return cls(process)

    @property
    def ended(self) -> bool:
        """Whether the process has ended."""
        return self._process.returncode is not None

    async def wait(self) -> int:
        """Its exit code."""
        return await self._process.wait()

    async def stop(self) -> None:
        """TERM, wait, KILL."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.ended:
                return
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GRACE):
                    await self._process.wait()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def free_port() -> int:
    """A port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def server_environment(path: str) -> dict[str, str]:
    """The part of the user's environment that a child inherits: enough to run, without the secrets that may be in it."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or name.startswith(_KEPT_PREFIXES) or name.endswith(_KEPT_SUFFIXES)
    }
    return {**kept, "PATH": path}


def bridge_program() -> str:
    """The bridge: $MCP_BRIDGE, on PATH, or built in this checkout. Raises: BadInputError."""
    built = Path(__file__).resolve().parents[3] / "build" / "mcp-bridge"
    program = os.environ.get("MCP_BRIDGE") or shutil.which("mcp-bridge") or (str(built) if built.exists() else None)
    if program is None:
        raise BadInputError("mcp-bridge is not on PATH: run `make bridge`, or set MCP_BRIDGE to its path")
    return program
