"""The work queue, on a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise

import looptime
import pytest

from mcpgateway_operator.reconcile.workqueue import LONGEST_DELAY, WorkQueue

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("clock")]


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "asyncio", {"loop_factory": looptime.new_event_loop}


@pytest.fixture
def clock() -> None:
    """Time is simulated by the loop of anyio_backend."""


class Recorder:
    def __init__(self, work: Callable[[str], Awaitable[float | None]] | None = None) -> None:
        self.calls: list[tuple[str, float]] = []
        self.errors: list[str] = []
        self._work = work
        self.queue: WorkQueue[str] = WorkQueue(self.work, lambda key, error: self.errors.append(str(error)))

    async def work(self, key: str) -> float | None:
        self.calls.append((key, asyncio.get_running_loop().time()))
        return await self._work(key) if self._work else None

    async def run(self, seconds: float, workers: int = 2) -> None:
        running = asyncio.ensure_future(self.queue.run(workers))
        await asyncio.sleep(seconds)
        running.cancel()
        await asyncio.wait([running])

    @property
    def keys(self) -> list[str]:
        return [key for key, _ in self.calls]


async def test_a_key_added_several_times_is_processed_once() -> None:
    recorder = Recorder()
    for _ in range(5):
        recorder.queue.add("a")
    recorder.queue.add("b")
    await recorder.run(1)
    assert recorder.keys == ["a", "b"]


async def test_a_key_added_while_it_is_processed_is_processed_again_afterwards() -> None:
    active: list[str] = []

    async def work(key: str) -> None:
        assert key not in active
        active.append(key)
        if len(recorder.calls) == 1:
            recorder.queue.add(key)
        await asyncio.sleep(1)
        active.remove(key)

    recorder = Recorder(work)
    recorder.queue.add("a")
    await recorder.run(5)
    assert recorder.keys == ["a", "a"]


async def test_failures_are_retried_with_growing_delays_and_block_no_other_key() -> None:
    async def work(key: str) -> None:
        if key == "bad":
            raise RuntimeError("no")

    recorder = Recorder(work)
    recorder.queue.add("bad")
    recorder.queue.add("good")
    await recorder.run(120)
    times = [time for key, time in recorder.calls if key == "bad"]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert recorder.keys.count("good") == 1
    assert gaps[0] < 0.5
    assert all(gap <= LONGEST_DELAY * 1.25 for gap in gaps)
    assert gaps[-1] > 10
    assert recorder.errors[0] == "no"


async def test_the_returned_delay_schedules_the_next_call() -> None:
    async def work(key: str) -> float | None:
        return 5.0 if len(recorder.calls) < 3 else None

    recorder = Recorder(work)
    recorder.queue.add("a")
    await recorder.run(60)
    assert [round(time - recorder.calls[0][1]) for _, time in recorder.calls] == [0, 5, 10]


async def test_the_earliest_delay_counts_and_a_forgotten_key_is_not_processed() -> None:
    recorder = Recorder()
    recorder.queue.add_after("a", 50)
    recorder.queue.add_after("a", 2)
    recorder.queue.add_after("b", 3)
    recorder.queue.forget("b")
    await recorder.run(100)
    assert recorder.keys == ["a"]


async def test_cancellation_ends_the_work_in_progress() -> None:
    async def work(key: str) -> None:
        await asyncio.sleep(100)

    recorder = Recorder(work)
    recorder.queue.add("a")
    await recorder.run(1)
    assert recorder.queue.age() == 0.0


async def test_retry_after_delays_a_key_that_is_added_meanwhile() -> None:
    class BusyError(Exception):
        retry_after = 5.0

    async def work(key: str) -> None:
        if len(recorder.calls) < 3:
            raise BusyError

    recorder = Recorder(work)
    recorder.queue.add("a")
    loop = asyncio.get_running_loop()
    for second in range(1, 12):
        loop.call_later(second, recorder.queue.add, "a")
    await recorder.run(30)
    times = [time for _, time in recorder.calls]
    assert all(later - earlier >= 5 for earlier, later in pairwise(times[:3]))
    assert len(times) >= 3
