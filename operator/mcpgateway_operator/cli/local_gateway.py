"""The gateway's process of `mcpgw up`: it is started, restarted when it ends, and asked for its status."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import aiohttp

from . import local
from .bad_input import BadInputError
from .children import Child, free_port, server_environment
from .show import Screen

_RESTART_PAUSE = 1.0  # seconds
_USELESS_STARTS = 3  # in a row that end before the first answer: then it is given up
_POLL = 0.1  # seconds between attempts to reach it
_WAIT = 10  # seconds that one question for the status waits for news


class LocalGateway:
    """The process behind one port."""

    def __init__(self, *, port: int, folder: Path, state: Path, screen: Screen) -> None:
        self._port, self._folder, self._state, self._screen = port, folder, state, screen
        self._internal = free_port()
        self._child: Child | None = None
        self._answered = False

    @property
    def url(self) -> str:
        """URL for clients."""
        return f"http://127.0.0.1:{self._port}/mcp"

    @property
    def internal_url(self) -> str:
        """Base URL of its internal port."""
        return f"http://127.0.0.1:{self._internal}"

    @property
    def log(self) -> Path:
        """Its log."""
        return self._folder / "gateway.log"

    @property
    def config(self) -> Path:
        """Its configuration, which it reads again when it changes."""
        return self._folder / "config.json"

    async def keep(self) -> None:
        """Run it, and start it again whenever it ends. Raises: BadInputError, if it ends again and again before it serves."""
        useless = 0
        while True:
            self._answered = False
            self._child = await self._start()
            code = await self._child.wait()
            useless = 0 if self._answered else useless + 1
            if useless == _USELESS_STARTS:
                raise BadInputError(f"the gateway ends with exit code {code} as soon as it starts:\n{_tail(self.log)}")
            self._screen.say("mcpgw", f"the gateway has ended with exit code {code}: it is started again ({self.log})")
            await asyncio.sleep(_RESTART_PAUSE)

    async def _start(self) -> Child:
        command = [
            *(sys.executable, "-m", "mcpgateway"),
            f"--config={self.config}",
            f"--keys={self._state}/keys",
            f"--bridge-keys={local.private_keys(self._state)}",
            f"--listen=127.0.0.1:{self._port}",
            f"--internal=127.0.0.1:{self._internal}",
            "--log=text",
        ]
        python = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
        return await Child.start(command, log=self.log, env=server_environment(local.user_path()) | python)

    async def reports(self) -> AsyncGenerator[dict[str, Any]]:
        """Its status: at once, then at each change, and every few seconds."""
        version = ""
        async with aiohttp.ClientSession() as session:
            while True:
                parameters = {"after": version, "wait": f"{_WAIT}s"}
                try:
                    async with session.get(f"{self.internal_url}/status", params=parameters) as answer:
                        report = await answer.json()
                except (aiohttp.ClientError, OSError):
                    await asyncio.sleep(_POLL)
                    continue
                self._answered, version = True, report["version"]
                yield report

    async def applied(self, digest: str, *, patience: float) -> None:
        """Wait until a configuration is in force, or for `patience` seconds: a gateway that restarts reads it anyway."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience), contextlib.aclosing(self.reports()) as reports:
                async for report in reports:
                    if report["config"] == digest:
                        return

    async def stop(self) -> None:
        """Stop it, so that it releases the servers."""
        if self._child is not None:
            await self._child.stop()


def require_port(port: int) -> None:
    """Refuse a port that is taken. Raises: BadInputError."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            raise BadInputError(f"port {port} is not permitted: choose one above 1023 with --port") from None
        except OSError:
            raise BadInputError(f"port {port} is in use: choose another with --port") from None


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-10:])
