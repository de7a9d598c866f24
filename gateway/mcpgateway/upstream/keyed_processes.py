"""A server's processes that belong to one key each: a session, an identity, or a single call."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from operator import methodcaller

from ..protocol.errors import Failure, Reason, UpstreamError
from .connection import Connection
from .own_process import OwnProcess

_MAX_WAITING = 100  # callers that wait for a process to end; more are refused at once

Open = Callable[[], Awaitable[OwnProcess]]


@dataclass(slots=True)
class _Held:
    """A process, or the attempt to open the connection to it."""

    opening: asyncio.Task[OwnProcess]
    used: float


class KeyedProcesses:
    """Connections by key, at most `limit` at once; who comes later waits in a bounded queue."""

    def __init__(self, server: str, *, limit: int, idle_timeout: float) -> None:
        self.limit, self.idle_timeout = limit, idle_timeout
        self._server = server
        self._held: dict[str, _Held] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def in_flight(self) -> int:
        """Calls that wait for an answer."""
        return sum(_in_flight(held) for held in self._held.values())

    def find(self, key: str) -> OwnProcess | None:
        """The process of a key, if there is an open connection to it now."""
        held = self._held.get(key)
        process = None if held is None else _process(held.opening)
        if held is None or process is None or process.closed:
            return None
        held.used = asyncio.get_running_loop().time()
        return process

    async def get(self, key: str, open: Open) -> OwnProcess:
        """The process of a key, opened if there is none. Raises: UpstreamError."""
        while True:
            held = self._held.get(key)
            if held is None:
                await self._await_room()
                held = self._held.get(key) or self._start(key, open)
            try:
                # shielded: the first caller may go away while others wait for the same process
                process = await asyncio.shield(held.opening)
            except UpstreamError as error:
                self._drop(key, held)
                raise UpstreamError(error.failure) from None  # the attempt's own is shared by all that wait for it
            if not process.closed:
                held.used = asyncio.get_running_loop().time()
                return process
            self._drop(key, held)

    def _start(self, key: str, open: Open) -> _Held:
        loop = asyncio.get_running_loop()
        held = self._held[key] = _Held(loop.create_task(_opened(open)), loop.time())
        held.opening.add_done_callback(lambda task: self._on_opened(key, held, task))
        return held

    def _on_opened(self, key: str, held: _Held, task: asyncio.Task[OwnProcess]) -> None:
        process = _process(task)
        if process is None:
            self._drop(key, held)
        else:
            process.connection.closed.add_done_callback(lambda closed: self._drop(key, held))

    async def _await_room(self) -> None:
        while len(self._held) >= self.limit:
            self.evict()
            if len(self._held) < self.limit:
                return
            if len(self._waiting) >= _MAX_WAITING:
                words = f"{self.limit} processes run and {_MAX_WAITING} callers wait"
                raise UpstreamError(Failure(self._server, Reason.OVERLOADED, words))
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn in self._waiting:
                    self._waiting.remove(turn)
                else:  # its turn had come: it is the next one's now
                    self._next()
                raise

    def _next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _drop(self, key: str, held: _Held) -> None:
        if self._held.get(key) is held:
            del self._held[key]
            self._next()

    def end(self, key: str) -> None:
        """Release a key's process."""
        self._let_go(key, methodcaller("end"))

    def _let_go(self, key: str, how: Callable[[Connection], object]) -> None:
        held = self._held.get(key)
        if held is not None:
            self._drop(key, held)
            held.opening.add_done_callback(partial(_once_open, how))

    def forsake(self, *, place: str | None = None) -> None:
        """Replace the processes, of one place only if that is given. Each ends once its calls in flight have their answers, and
        the next call of its key opens another; one that is being opened still serves the call that opens it.
        """
        for key, held in list(self._held.items()):
            process = _process(held.opening)
            if process is None:
                held.opening.add_done_callback(partial(_once_open, partial(_forsake_unused, place)))
            elif place in (None, process.connection.place):
                self._let_go(key, methodcaller("forsake"))

    def leave_all(self) -> None:
        """Close the connections to all of them: their bridge holds them for whoever comes next with their keys."""
        for key in list(self._held):
            self._let_go(key, methodcaller("close"))

    def evict(self) -> None:
        """Release those that have not been used for long."""
        now = asyncio.get_running_loop().time()
        for key in [key for key, held in self._held.items() if now - held.used > self.idle_timeout and not _busy(held)]:
            self.end(key)


async def _opened(open: Open) -> OwnProcess:
    return await open()


def _process(opening: asyncio.Task[OwnProcess]) -> OwnProcess | None:
    """What an attempt has opened; None if it has not yet, or could not."""
    if not opening.done() or opening.cancelled() or opening.exception() is not None:
        return None
    return opening.result()


def _busy(held: _Held) -> bool:
    return not held.opening.done() or _in_flight(held) > 0


def _in_flight(held: _Held) -> int:
    process = _process(held.opening)
    return 0 if process is None else process.connection.in_flight


def _forsake_unused(place: str | None, connection: Connection) -> None:
    if place in (None, connection.place):
        connection.forsake(unused=True)


def _once_open(how: Callable[[Connection], object], task: asyncio.Task[OwnProcess]) -> None:
    process = _process(task)
    if process is not None:
        how(process.connection)
