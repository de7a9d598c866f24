"""Deadlines of many calls by one timer: a timer of the loop for each costs more than looking at all of them now and then."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

_TICK = 0.1  # seconds: how late a deadline may be noticed


class Waiting(Protocol):
    """Something that may not take for ever; hashable."""

    def expire(self) -> None:
        """Its time is up."""


class Deadlines:
    """What waits, in buckets of one tick each."""

    def __init__(self) -> None:
        self._buckets: dict[int, dict[Waiting, None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, waiting: Waiting, seconds: float) -> int:
        """Expire something so many seconds from now. Returns: what it is taken out again by."""
        bucket = int((time.monotonic() + seconds) / _TICK) + 1
        found = self._buckets.get(bucket)
        if found is None:
            found = self._buckets[bucket] = {}
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(_TICK, self._tick)
        found[waiting] = None
        return bucket

    def discard(self, waiting: Waiting, bucket: int) -> None:
        """It has ended in time."""
        found = self._buckets.get(bucket)
        if found is not None:
            found.pop(waiting, None)

    def _tick(self) -> None:
        now = int(time.monotonic() / _TICK)
        for bucket in [bucket for bucket in self._buckets if bucket <= now]:
            for waiting in self._buckets.pop(bucket):
                waiting.expire()
        self._timer = asyncio.get_running_loop().call_later(_TICK, self._tick) if self._buckets else None
