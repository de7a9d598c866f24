"""A keyed work queue: each key once, one worker a key, retries with backoff.

Source: client-go's workqueue; a key that is added while it is being processed is processed again afterwards.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

K = TypeVar("K")

FIRST_DELAY = 0.2  # seconds
LONGEST_DELAY = 30.0


class WorkQueue(Generic[K]):
    """Calls `work` for each key that is added; it returns seconds until the next call, or None.

    An exception that `work` raises may have a `retry_after`: the seconds for which the key is not retried, even if it is added.
    """

    def __init__(self, work: Callable[[K], Awaitable[float | None]], on_error: Callable[[K, Exception], None]) -> None:
        self._work = work
        self._on_error = on_error
        self._waiting: OrderedDict[K, float] = OrderedDict()  # time of arrival by key
        self._active: dict[K, float] = {}
        self._added_meanwhile: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._held: dict[K, float] = {}  # loop time before which a key is not retried
        self.running = False  # whether there are workers
        self._tickets: asyncio.Queue[None] = asyncio.Queue()  # one for each waiting key

    def add(self, key: K) -> None:
        """Process a key soon."""
        if key in self._active:
            self._added_meanwhile.add(key)
        elif key in self._held and (wait := self._held[key] - asyncio.get_running_loop().time()) > 0:
            self.add_after(key, wait)
        elif key not in self._waiting:
            self._waiting[key] = time.monotonic()
            self._tickets.put_nowait(None)

    def add_after(self, key: K, delay: float) -> None:
        """Process a key after `delay` seconds, or earlier if an earlier time was given before."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None and timer.when() <= loop.time() + delay:
            return
        if timer is not None:
            timer.cancel()
        self._timers[key] = loop.call_later(delay, self._due, key)

    def forget(self, key: K) -> None:
        """Drop a key's timer and its count of failures."""
        self._failures.pop(key, None)
        self._held.pop(key, None)
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    def age(self) -> float:
        """Seconds since the oldest key was added or began to be processed: the measure of progress."""
        if not self.running:
            return 0.0
        starts = [*self._waiting.values(), *self._active.values()]
        return time.monotonic() - min(starts) if starts else 0.0

    def depth(self) -> int:
        """The number of keys that wait or are being processed."""
        return len(self._waiting) + len(self._active)

    async def run(self, workers: int) -> None:
        """Process keys until cancelled."""
        self.running = True
        now = time.monotonic()
        self._waiting = OrderedDict((key, now) for key in self._waiting)  # there was no worker before
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._worker())

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    async def _worker(self) -> None:
        while True:
            await self._tickets.get()
            key, _ = self._waiting.popitem(last=False)
            self._active[key] = time.monotonic()
            try:
                await self._process(key)
            finally:
                del self._active[key]
                if key in self._added_meanwhile:
                    self._added_meanwhile.discard(key)
                    self.add(key)

    async def _process(self, key: K) -> None:
        try:
            again = await self._work(key)
        except Exception as error:
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            delay = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(failures - 1, 10)) * random.uniform(0.75, 1.25)  # noqa: S311 - jitter
            hold = getattr(error, "retry_after", 0.0)
            if hold:
                self._held[key] = asyncio.get_running_loop().time() + hold
            self.add_after(key, max(delay, hold))
            self._on_error(key, error)
        else:
            self._failures.pop(key, None)
            self._held.pop(key, None)
            if again is not None:
                self.add_after(key, again)
