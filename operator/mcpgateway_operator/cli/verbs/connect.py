"""`mcpgw connect`: the gateway as a stdio server, for clients that know nothing else. Port forward and relay are one process."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable

from ..output.screen import Screen
from ..target.choose import chosen
from ..target.model import Choice
from .session import require_sdk

_QUEUED = 64  # lines that are read before the gateway takes them
_PATIENCE = 300.0  # seconds that a connection waits for a pod of the gateway


async def connect(choice: Choice, screen: Screen) -> None:
    """Relay between stdin, stdout and the gateway until stdin ends. Raises: BadInputError, NotReachedError."""
    require_sdk()
    async with chosen(choice) as target, target.client_url(patience=_PATIENCE) as url:
        token = await target.token()
        from ..mcp_client.relay import Relay

        await Relay(url, token, read=_lines(), write=_write, note=lambda text: screen.note(f"mcpgw: {text}")).run()


def _lines() -> Callable[[], Awaitable[bytes]]:
    """Reads stdin on a thread of its own: it may be a pipe, a file or a terminal, and does not hold the process at its end."""
    loop, queue = asyncio.get_running_loop(), asyncio.Queue[bytes](_QUEUED)

    def read() -> None:
        while True:
            line = sys.stdin.buffer.readline()
            asyncio.run_coroutine_threadsafe(queue.put(line), loop).result()
            if not line:
                return

    threading.Thread(target=read, daemon=True).start()
    return queue.get


async def _write(line: bytes) -> None:
    await asyncio.to_thread(_flush, line)


def _flush(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
