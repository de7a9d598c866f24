"""What may not take for ever: calls, and connections on which nothing happens."""

from __future__ import annotations

import asyncio
from pathlib import Path

from mcpgateway.edge.limits import Limits
from mcpgateway.runtime.boundaries import Boundaries
from mcpgateway.runtime.deadlines import Deadlines
from tests.support.edges import running_edge
from tests.support.waiting import PATIENCE


class Waiting:
    def __init__(self) -> None:
        self.expired = asyncio.Event()

    def expire(self) -> None:
        self.expired.set()


def test_what_is_late_expires_and_what_has_ended_does_not() -> None:
    async def run() -> None:
        deadlines = Deadlines(Boundaries())
        for _ in range(2):  # the timer stops when nothing waits, and starts again
            first, ended, last = Waiting(), Waiting(), Waiting()
            deadlines.add(first, 0.05)
            deadlines.discard(ended, deadlines.add(ended, 0.05))
            deadlines.add(last, 0.3)
            async with asyncio.timeout(PATIENCE):
                await first.expired.wait()
                await last.expired.wait()
            assert not ended.expired.is_set()

    asyncio.run(run())


def test_a_connection_that_is_quiet_for_long_is_closed(tmp_path: Path) -> None:
    with running_edge(tmp_path, Limits(idle_timeout=1)) as edge, edge.connect() as raw:
        for path in ("/health", "/mcp"):
            raw.send(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode())
            raw.response()
        assert raw.at_end()
