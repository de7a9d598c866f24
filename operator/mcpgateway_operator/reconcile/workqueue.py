"""A keyed work queue: each key once, one worker a key, retries with backoff.

The shape is client-go's workqueue: what is added while a key is being worked on is done again afterwards.
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
    """`work` gets a key and returns after how many seconds it wants to be called again, or None.

    An exception of it may have a `retry_after`: seconds before which it is not worth trying again.
    """

    def __init__(self, work: Callable[[K], Awaitable[float | None]], on_error: Callable[[K, Exception], None]) -> None:
        self._work = work
        self._on_error = on_error
        self._waiting: OrderedDict[K, float] = OrderedDict()  # since when
        self._active: dict[K, float] = {}
        self._again: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._shut: dict[K, float] = {}  # until when there is no use in trying
        self.running = False  # whether there are workers
        self._tickets: asyncio.Queue[None] = asyncio.Queue()  # one for each waiting key

    def add(self, key: K) -> None:
        """Have a key worked on soon."""
        if key in self._active:
            self._again.add(key)
        elif key in self._shut and (wait := self._shut[key] - asyncio.get_running_loop().time()) > 0:
            self.add_after(key, wait)
        elif key not in self._waiting:
            self._waiting[key] = time.monotonic()
            self._tickets.put_nowait(None)

    def add_after(self, key: K, delay: float) -> None:
        """Have a key worked on after `delay` seconds, or earlier if that was wanted already."""
        loop = asyncio.get_running_loop()
        known = self._timers.get(key)
        if known is not None and known.when() <= loop.time() + delay:
            return
        if known is not None:
            known.cancel()
        self._timers[key] = loop.call_later(delay, self._due, key)

    def forget(self, key: K) -> None:
        """A key that is gone: no timer, no memory of failures."""
        self._failures.pop(key, None)
        self._shut.pop(key, None)
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    def age(self) -> float:
        """How long the oldest key has been waiting or worked on, in seconds: the measure of progress."""
        if not self.running:
            return 0.0
        starts = [*self._waiting.values(), *self._active.values()]
        return time.monotonic() - min(starts) if starts else 0.0

    def depth(self) -> int:
        """How many keys wait or are worked on."""
        return len(self._waiting) + len(self._active)

    async def run(self, workers: int) -> None:
        """Work until cancelled."""
        self.running = True
        now = time.monotonic()
        self._waiting = OrderedDict((key, now) for key in self._waiting)  # nobody was there to serve them until now
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
                await self._once(key)
            finally:
                del self._active[key]
                if key in self._again:
                    self._again.discard(key)
                    self.add(key)

    async def _once(self, key: K) -> None:
        try:
            again = await self._work(key)
        except Exception as error:
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            delay = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(failures - 1, 10)) * random.uniform(0.75, 1.25)  # noqa: S311 - jitter
            patience = getattr(error, "retry_after", 0.0)
            if patience:
                self._shut[key] = asyncio.get_running_loop().time() + patience
            self.add_after(key, max(delay, patience))
            self._on_error(key, error)
        else:
            self._failures.pop(key, None)
            self._shut.pop(key, None)
            if again is not None:
                self.add_after(key, again)
