"""What is cancelled at any await of a remote connection leaves no task, socket, call or id behind, and the next call works."""

from __future__ import annotations

import asyncio
import contextlib
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from typing import Any, get_args

import pytest

from mcpgateway.upstream.backend import Backend
from mcpgateway.upstream.http.connection import RemoteConnection
from mcpgateway.upstream.http.transport import HttpTransport
from mcpgateway.upstream.snapshot import Caller
from tests.support.scripted_remote import ScriptedRemote, Style, scripted_remote
from tests.support.upstreams import Heard, backend, call, eventually

MOST = 120  # awaits that any of these has, by far


class Interruption:
    """Does something when tasks of certain coroutines wait for the nth time, all counted together."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.reached = False
        self.act: Callable[[], object] = lambda: None

    @types.coroutine
    def _drive(self, work: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
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
                asyncio.get_running_loop().call_soon(self.act)  # while it waits
            try:
                resume, value = work.send, (yield waited)
            except BaseException as error:
                resume, value = work.throw, error

    async def _driven(self, work: Coroutine[Any, Any, Any]) -> Any:
        return await self._drive(work)

    @contextlib.contextmanager
    def of(self, *names: str) -> Iterator[None]:
        """Count the awaits of tasks that are made here, of coroutines with these names."""
        loop = asyncio.get_running_loop()

        def make(loop: asyncio.AbstractEventLoop, work: Any, **more: Any) -> asyncio.Task[Any]:
            counted = getattr(work, "__qualname__", "") in names
            return asyncio.Task(self._driven(work) if counted else work, loop=loop, **more)

        loop.set_task_factory(make)
        try:
            yield
        finally:
            loop.set_task_factory(None)


async def at_each_await(attempt: Callable[[Interruption], Awaitable[None]]) -> int:
    """Attempt something with an interruption at the first, the second … await, until it ends before. Returns: how many."""
    for number in range(1, MOST):
        interruption = Interruption(number)
        await attempt(interruption)
        if not interruption.reached:
            return number - 1
    raise AssertionError(f"over {MOST} awaits")


def transport_of(upstream: Backend) -> HttpTransport:
    transport = upstream._transport
    assert isinstance(transport, HttpTransport)
    return transport


def is_at_rest(connection: RemoteConnection) -> bool:
    """Whether nothing is left of any request."""
    left = (connection._exchanges, connection._pending, connection._progress, connection._standing)
    return not any(left) and connection.in_flight == 0


def leases(upstream: Backend) -> int:
    """How many sockets are in use, idle ones excluded."""
    http = transport_of(upstream)._http
    connector = None if http is None else http.connector
    return 0 if connector is None else len(connector._acquired)


async def is_gone(remote: ScriptedRemote, before: set[asyncio.Task[Any]]) -> None:
    """Wait until the backend that has been closed has left no socket and no task."""
    await eventually(lambda: not remote.writers)
    await eventually(lambda: asyncio.all_tasks() <= before)


@pytest.mark.parametrize("style", get_args(Style))
def test_a_call_cancelled_at_any_await_of_its_exchange_leaves_nothing(style: Style) -> None:
    async def body() -> None:
        heard = Heard()
        before = asyncio.all_tasks()
        async with scripted_remote(style) as remote:
            server = asyncio.all_tasks()
            async with backend(url=remote.url, heard=heard, isolation="Shared") as upstream:
                await eventually(lambda: upstream.snapshot.state == "Ready")
                (connection,) = transport_of(upstream)._open
                await eventually(lambda: is_at_rest(connection) and not connection._pending)
                standing = leases(upstream)  # the server's own stream

                async def attempt(interruption: Interruption) -> None:
                    with interruption.of("RemoteConnection._exchange"):
                        calling = asyncio.create_task(call(upstream))
                        interruption.act = calling.cancel
                        await asyncio.wait([calling])
                    assert calling.cancelled() or b"done" in calling.result()
                    await eventually(lambda: is_at_rest(connection) and leases(upstream) <= max(standing, 1))
                    assert b"done" in await asyncio.wait_for(call(upstream), 20)

                assert await at_each_await(attempt) >= 2
                assert upstream.snapshot.state == "Ready"
                assert heard.internal == []
            await is_gone(remote, server)
        assert asyncio.all_tasks() <= before

    asyncio.run(body())


@pytest.mark.parametrize("style", get_args(Style))
def test_a_call_that_is_given_up_frees_its_socket_though_it_is_never_answered(style: Style) -> None:
    async def body() -> None:
        async with scripted_remote(style) as remote:
            server = asyncio.all_tasks()
            async with backend(url=remote.url, isolation="Shared") as upstream:
                await eventually(lambda: upstream.snapshot.state == "Ready")
                (connection,) = transport_of(upstream)._open
                await eventually(lambda: is_at_rest(connection))
                standing = leases(upstream)
                calls = [asyncio.create_task(call(upstream, tool="hang")) for _ in range(5)]
                await eventually(lambda: connection.in_flight == len(calls))
                if style != "2024-11-05":
                    await eventually(lambda: leases(upstream) >= standing + len(calls))
                for waiting in calls:
                    waiting.cancel()
                await eventually(lambda: is_at_rest(connection) and leases(upstream) <= max(standing, 1))
                assert b"done" in await asyncio.wait_for(call(upstream), 20)
            await is_gone(remote, server)

    asyncio.run(body())


@pytest.mark.parametrize("style", get_args(Style))
@pytest.mark.parametrize("isolation", ["Session", "Call"])
def test_an_opening_cancelled_at_any_await_leaves_nothing(style: Style, isolation: str) -> None:
    """A caller's own connection: the handshake, its exchanges, and the stream that begins with it."""

    async def body() -> None:
        heard = Heard()
        async with scripted_remote(style) as remote:
            server = asyncio.all_tasks()
            async with backend(url=remote.url, heard=heard, isolation=isolation) as upstream:
                await eventually(lambda: upstream.snapshot.state == "Ready")
                keys = iter(range(10_000))

                async def attempt(interruption: Interruption) -> None:
                    caller = Caller(f"session-{next(keys)}", "alice", "identity")
                    with interruption.of("RemoteConnection._exchange", "RemoteConnection._read_old", "RemoteConnection._post"):
                        calling = asyncio.create_task(call(upstream, caller))
                        interruption.act = calling.cancel
                        await asyncio.wait([calling])
                    assert calling.cancelled() or b"done" in calling.result()
                    assert b"done" in await asyncio.wait_for(call(upstream, caller), 20)
                    upstream.end_session(caller.key)
                    await eventually(lambda: upstream.in_flight == 0 and not transport_of(upstream)._open)
                    await eventually(lambda: leases(upstream) == 0)

                assert await at_each_await(attempt) >= 2
                assert heard.internal == []
            await is_gone(remote, server)

    asyncio.run(body())


@pytest.mark.parametrize("style", get_args(Style))
@pytest.mark.parametrize("isolation", ["Shared", "Session"])
def test_a_server_removed_at_any_await_leaves_nothing(style: Style, isolation: str) -> None:
    """From the first look whether it is there, over discovery and its lists, to a call and the server's own stream."""
    names = ("_exchange", "_listen", "_post", "_read_old")
    counted = ("Supervisor._run", "HttpTransport._keep_looking", *(f"RemoteConnection.{name}" for name in names))

    async def used(upstream: Backend, removed: asyncio.Event) -> bytes:
        await eventually(lambda: upstream.snapshot.state == "Ready" or removed.is_set())
        return await call(upstream)

    async def body() -> None:
        async with scripted_remote(style) as remote:
            server = asyncio.all_tasks()

            async def attempt(interruption: Interruption) -> None:
                heard = Heard()
                removed = asyncio.Event()
                interruption.act = removed.set
                with interruption.of(*counted):
                    async with backend(url=remote.url, heard=heard, isolation=isolation) as upstream:
                        calling = asyncio.create_task(used(upstream, removed))
                        calling.add_done_callback(lambda done: removed.set())
                        await removed.wait()
                await asyncio.wait([calling], timeout=60)
                assert calling.done()
                assert calling.exception() is not None or b"done" in calling.result()
                assert heard.internal == []
                await is_gone(remote, server)

            assert await at_each_await(attempt) >= 8

    asyncio.run(body())
