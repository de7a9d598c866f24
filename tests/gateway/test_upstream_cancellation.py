"""A call, an opening or a supervision that is cancelled at any of its awaits leaves nothing behind: the next one works."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

import pytest

from mcpgateway.upstream.backend import Backend
from mcpgateway.upstream.bridge import connection as bridged
from mcpgateway.upstream.bridge.proof import BridgeKeys
from mcpgateway.upstream.snapshot import Caller
from tests.support.scripted_bridge import ScriptedBridge, scripted_bridge
from tests.support.upstreams import ALICE, Heard, backend, call, eventually

MOST = 60  # awaits that any of these has, by far


class Cancelled:
    """Runs a coroutine as a task that is cancelled when it waits for the nth time."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.reached = False

    @types.coroutine
    def drive(self, work: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Pass everything through, and cancel the current task at the nth suspension."""
        resume: Callable[[Any], Any] = work.send
        value: Any = None
        while True:
            try:
                waited = resume(value)
            except StopIteration as stop:
                return stop.value
            self.left -= 1
            if self.left == 0:
                self.reached = True
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            try:
                resume, value = work.send, (yield waited)
            except BaseException as error:
                resume, value = work.throw, error

    async def run(self, work: Coroutine[Any, Any, Any]) -> bool:
        """Returns: whether the work was cancelled; False when it had ended before its nth await."""

        async def driven() -> Any:
            return await self.drive(work)

        results = await asyncio.gather(asyncio.create_task(driven()), return_exceptions=True)
        assert not isinstance(results[0], Exception), results
        return self.reached


async def at_each_await(attempt: Callable[[Cancelled], Awaitable[bool]]) -> int:
    """Attempt something with the first, the second … await cancelled, until it ends before that. Returns: how many there are."""
    for number in range(1, MOST):
        if not await attempt(Cancelled(number)):
            return number - 1
    raise AssertionError(f"over {MOST} awaits")


def is_consistent(upstream: Backend) -> bool:
    """Whether nothing is in flight, and no key is held that is not open."""
    processes = upstream._processes
    opened = all(held.opening.done() for held in processes._held.values())
    return upstream.in_flight == 0 and opened and not processes._waiting


@pytest.mark.parametrize("isolation", ["Shared", "Session", "Principal", "Call"])
def test_a_call_cancelled_at_any_await_leaves_the_pool_consistent(isolation: str) -> None:
    async def body() -> None:
        heard = Heard()
        async with scripted_bridge() as bridge, backend(bridge.address, heard=heard, isolation=isolation) as upstream:
            await eventually(lambda: upstream.snapshot.state == "Ready")
            keys = iter(range(10_000))

            async def attempt(cancelled: Cancelled) -> bool:
                caller = Caller(f"session-{next(keys)}", "alice", f"identity-{next(keys)}")
                reached = await cancelled.run(call(upstream, caller))
                await eventually(lambda: is_consistent(upstream))
                assert b"done" in await asyncio.wait_for(call(upstream, caller), 20)
                upstream.end_session(caller.key)
                upstream._processes.end(caller.identity)
                return reached

            assert await at_each_await(attempt) >= 1
            await eventually(lambda: len(bridge.writers) == 1)  # shared, or of discovery, which stays for a while
            assert heard.internal == []

    asyncio.run(body())


def test_a_caller_cancelled_in_the_queue_for_processes_gives_its_turn_to_the_next() -> None:
    async def body() -> None:
        async with scripted_bridge() as bridge, backend(bridge.address, isolation="Call", max_processes=1) as upstream:
            await eventually(lambda: upstream.snapshot.state == "Ready")
            taken = await upstream.connection(ALICE)
            waiting = [asyncio.create_task(call(upstream, Caller(f"w{n}", "w", "w"))) for n in range(3)]
            await eventually(lambda: len(upstream._processes._waiting) == 3)
            upstream.release(taken)
            waiting[0].cancel()  # in the very moment in which its turn comes
            await eventually(lambda: waiting[1].done())
            assert b"done" in waiting[1].result()
            await eventually(lambda: waiting[2].done())
            assert b"done" in waiting[2].result()

    asyncio.run(body())


@pytest.mark.parametrize("mode", ["direct", "attach", "watch"])
def test_an_opening_cancelled_at_any_await_leaves_no_connection(mode: str) -> None:
    async def body() -> None:
        async with scripted_bridge() as bridge:

            async def attempt(cancelled: Cancelled) -> bool:
                async def open_and_close() -> None:
                    greeting = {"mode": mode, "session": "k"}
                    connection = await bridged.connect("s", bridge.address, greeting, keys=BridgeKeys(None))
                    connection.close()

                reached = await cancelled.run(open_and_close())
                await eventually(lambda: not bridge.writers and not bridge.watches)
                return reached

            assert await at_each_await(attempt) >= 2

    asyncio.run(body())


@pytest.mark.parametrize("isolation", ["Shared", "Session"])
def test_a_supervision_cancelled_at_any_await_leaves_no_connection(isolation: str) -> None:
    async def attempt(bridge: ScriptedBridge, cancelled: Cancelled) -> bool:
        loop = asyncio.get_running_loop()

        def make(loop: asyncio.AbstractEventLoop, work: Any, **more: Any) -> asyncio.Task[Any]:
            if getattr(work, "__qualname__", "") == "Supervisor._run":
                work = _driven(cancelled, work)
            return asyncio.Task(work, loop=loop, **more)

        loop.set_task_factory(make)
        async with backend(bridge.address, isolation=isolation) as upstream:
            loop.set_task_factory(None)
            task = upstream._supervisor._task
            await eventually(lambda: task.done() or upstream.snapshot.state == "Ready")
            reached = task.done()
        await eventually(lambda: not bridge.writers and not bridge.watches)
        return reached

    async def body() -> None:
        async with scripted_bridge() as bridge:
            assert await at_each_await(lambda cancelled: attempt(bridge, cancelled)) >= 4

    asyncio.run(body())


async def _driven(cancelled: Cancelled, work: Coroutine[Any, Any, Any]) -> Any:
    return await cancelled.drive(work)
