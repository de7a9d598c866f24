"""Deadlines of many calls by one timer: a timer of the loop for each costs more than a look through all of them now and then."""

from __future__ import annotations

import asyncio
import time
from typing import Final, Protocol

from .boundaries import Boundaries

_TICK: Final = 0.1  # seconds: how late a deadline may be noticed


class Waiting(Protocol):
    """Something that ends in time, or expires; hashable."""

    def expire(self) -> None:
        """Its time is up."""


class Deadlines:
    """What waits, in buckets of one tick each."""

    def __init__(self, boundaries: Boundaries) -> None:
        self._boundaries = boundaries
        self._buckets: dict[int, dict[Waiting, None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, waiting: Waiting, seconds: float) -> int:
        """Expire something so many seconds from now. Returns: what it is taken out again by."""
        number = int((time.monotonic() + seconds) / _TICK) + 1
        bucket = self._buckets.get(number)
        if bucket is None:
            bucket = self._buckets[number] = {}
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(_TICK, self._tick)
        bucket[waiting] = None
        return number

    def discard(self, waiting: Waiting, number: int) -> None:
        """It has ended in time."""
        bucket = self._buckets.get(number)
        if bucket is not None:
            bucket.pop(waiting, None)

    def _tick(self) -> None:
        """Expire what is due. What one of them raises is reported; the others, and the timer, go on."""
        now = int(time.monotonic() / _TICK)
        for number in [number for number in self._buckets if number <= now]:
            for waiting in self._buckets.pop(number):
                try:
                    waiting.expire()
                except Exception as error:
                    self._boundaries.report("deadline", error)
        self._timer = asyncio.get_running_loop().call_later(_TICK, self._tick) if self._buckets else None
