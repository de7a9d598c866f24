"""A server's processes that belong to one key each: a session, an identity, or a single call."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from operator import methodcaller

from ..protocol.errors import Exit, Failure, Reason, UpstreamError
from .connection import Connection
from .lost_state import LostState
from .own_process import OwnProcess

_MAX_WAITING = 100  # calls that wait for a process of another call to end; more are refused at once

Open = Callable[[], Awaitable[OwnProcess]]


@dataclass(slots=True)
class _Held:
    """A process, or the attempt to open the connection to it."""

    opening: asyncio.Task[OwnProcess]
    used: float
    lasting: bool  # for more than one call


class KeyedProcesses:
    """Connections by key, at most `limit` at once.

    For a further session or identity the one that has not been used for the longest time gives way, unless its client waits for
    something: then there is no room. A further call waits in a bounded queue, since calls end by themselves.

    Args:
        stateless: Whether the server keeps nothing between calls that a caller could lose.
        listens: Whether the client of a key reads a stream now.
    """

    def __init__(self, server: str, *, limit: int, idle_timeout: float, stateless: bool, listens: Callable[[str], bool]) -> None:
        self.limit, self.idle_timeout, self.stateless = limit, idle_timeout, stateless
        self._server, self._listens = server, listens
        self.lost = LostState(server)  # what callers have not been told yet
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

    async def get(self, key: str, open: Open, *, lasting: bool) -> OwnProcess:
        """The process of a key, opened if there is none. Raises: UpstreamError."""
        while True:
            held = self._held.get(key)
            if held is None:
                await self._make_room(lasting)
                held = self._held.get(key) or self._start(key, open, lasting)
            try:
                # shielded: the first caller may go away while others wait for the same process
                process = await asyncio.shield(held.opening)
            except UpstreamError as error:
                self._drop(key, held)
                if lasting and error.failure.reason == Reason.MEMORY_SHORT and self._give_way():
                    continue
                raise UpstreamError(error.failure) from None  # the attempt's own is shared by all that wait for it
            if not process.closed:
                held.used = asyncio.get_running_loop().time()
                return process
            self._drop(key, held)

    def _start(self, key: str, open: Open, lasting: bool) -> _Held:
        loop = asyncio.get_running_loop()
        held = self._held[key] = _Held(loop.create_task(_opened(open)), loop.time(), lasting)
        held.opening.add_done_callback(lambda task: self._on_opened(key, held, task))
        return held

    def _on_opened(self, key: str, held: _Held, task: asyncio.Task[OwnProcess]) -> None:
        process = _process(task)
        if process is None:
            self._drop(key, held)
            return
        loss = self.lost.take(key)
        process.loss = None if process.connection.resumed else loss
        process.connection.closed.add_done_callback(lambda closed: self._on_closed(key, held, process, closed.result()))

    def _on_closed(self, key: str, held: _Held, process: OwnProcess, failure: Failure) -> None:
        """A process has ended, or its connection has; the caller is told with its next request, unless a call has been."""
        if self._held.get(key) is held and not process.connection.loss_told:
            self._note_loss(key, held, failure.message, failure.exit)
        self._drop(key, held)

    def _note_loss(self, key: str, held: _Held, cause: str, exit: Exit | None = None) -> None:
        process = _process(held.opening)
        if process is None or not held.lasting or self.stateless:
            return
        if process.has_served:
            self.lost.note(key, cause, exit)
        elif process.loss is not None:  # it was lost before, and no client has been told yet
            self.lost.put_back(key, process.loss)

    async def _make_room(self, lasting: bool) -> None:
        """Raises: UpstreamError, if there is none."""
        while len(self._held) >= self.limit:
            self.evict()
            if len(self._held) < self.limit or (lasting and self._give_way()):
                return
            if lasting:
                words = (
                    f"all {self.limit} places are taken (servers[].maxProcesses), "
                    "each by a client that waits for an answer or reads a stream: try again later"
                )
                raise UpstreamError(Failure(self._server, Reason.OVERLOADED, words))
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
        """Release a key's process: it is not needed any more."""
        self.lost.take(key)
        self._let_go(key, methodcaller("end"))

    def _take_away(self, key: str, cause: str) -> None:
        """Release a key's process, of which its client may still need what it keeps."""
        self._note_loss(key, self._held[key], cause)
        self._let_go(key, methodcaller("end"))

    def _let_go(self, key: str, how: Callable[[Connection], object]) -> None:
        held = self._held.get(key)
        if held is not None:
            self._drop(key, held)
            held.opening.add_done_callback(partial(_once_open, how))

    def forsake(self, cause: str, *, place: str | None = None) -> None:
        """Replace the processes, of one place only if that is given. Each ends once its calls in flight have their answers, and
        the next call of its key opens another; one that is being opened still serves the call that opens it.
        """
        for key, held in list(self._held.items()):
            process = _process(held.opening)
            if process is None:
                held.opening.add_done_callback(partial(_once_open, partial(_forsake_unused, place)))
            elif place in (None, process.connection.place):
                self._note_loss(key, held, cause)
                self._let_go(key, methodcaller("forsake"))

    def leave_all(self) -> None:
        """Close the connections to all of them: their bridge holds them for whoever comes next with their keys."""
        for key in list(self._held):
            self._let_go(key, methodcaller("close"))

    def evict(self) -> None:
        """Release those that have not been used for long."""
        now = asyncio.get_running_loop().time()
        for key in [key for key, held in self._held.items() if now - held.used > self.idle_timeout and not _busy(held)]:
            self._take_away(key, f"its process was not used for {self.idle_timeout:g} s (servers[].idleTimeout)")

    def _give_way(self) -> bool:
        """Release the process that has not been used for the longest time, of those whose clients wait for nothing."""
        free = [(held.used, key) for key, held in self._held.items() if not _busy(held) and not self._listens(key)]
        if not free:
            return False
        self._take_away(min(free)[1], "its process gave way to another client's, because it was not used for the longest time")
        return True


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
