"""Tasks that run in the background, and waiting for several events."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any


class Background(set[asyncio.Task[None]]):
    """Holds tasks until they are done: the loop itself holds them only weakly."""

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something beside everything else."""
        task = asyncio.get_running_loop().create_task(work)
        self.add(task)
        task.add_done_callback(self.discard)
        return task


async def first(events: Iterable[asyncio.Event], futures: Iterable[asyncio.Future[Any]], seconds: float) -> bool:
    """Wait until one of the events is set, or one of the futures done. Returns: whether that was in time."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        done, _ = await asyncio.wait({*waits, *futures}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return bool(done)
