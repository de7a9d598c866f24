"""Finding out what a server speaks, whatever it does with a first message that it does not know.

Many servers end on one (all that are built on Rust's SDK): these get `initialize` as the first message to a new process, and that
is no crash. Others are silent from then on: the next start begins with `initialize`. What works is remembered for the command.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Literal

from ..protocol.errors import Reason, UpstreamError
from ..protocol.visible_text import visible
from .bridge.connection import StartNotice
from .connection import Connection, closed_on_failure
from .handshake import Handshake, Profile

FIRST_NOTICE: Final = 3.0  # seconds without an answer after which it is said; each later notice comes after twice the time
_ENDED: Final = frozenset({Reason.EXITED, Reason.UNREACHABLE})
_KILLED: Final = frozenset({"SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"})  # an end that no message caused

_MAX_QUOTED = 160  # characters of a line on stdout

_Plan = Literal["negotiate", "discover", "initialize"]


class Discovery:
    """Opens conversations with one server.

    Args:
        open: Starts a process, or connects to the one that all share.
        on_waiting: Called with words, within seconds and then ever less often, while a start has no answer.
    """

    def __init__(self, open: Callable[[], Awaitable[Connection]], *, gateway: str, on_waiting: Callable[[str], object]) -> None:
        self._open, self._gateway, self._on_waiting = open, gateway, on_waiting
        self._plan: _Plan = "negotiate"
        self._instance = ""
        self._notice: Callable[[], StartNotice | None] = lambda: None

    def at(self, instance: str, notice: Callable[[], StartNotice | None]) -> None:
        """Forget what worked at another instance of the bridge, which may run another command. A remote server has none.

        `notice` gives what the bridge says of a process that starts.
        """
        self._notice = notice
        if not instance or instance != self._instance:
            self._plan, self._instance = "negotiate", instance

    async def introduce(self, *, start_timeout: float) -> tuple[Connection, Profile]:
        """Open a conversation in the era that the server prefers, within so many seconds of its start. Raises: UpstreamError."""
        plan, self._plan = self._plan, "negotiate"  # where the plan does not work, the next start asks both again
        try:
            connection, profile = await self._begin(plan, start_timeout)
        except UpstreamError as error:
            if plan != "negotiate":
                raise
            if error.failure.reason == Reason.TIMEOUT:
                self._plan = "initialize"
            if not _may_dislike_the_probe(error):
                raise
            connection, profile = await self._begin("initialize", start_timeout)
        self._plan = "discover" if profile.era == "modern" else "initialize"
        return connection, profile

    async def _begin(self, plan: _Plan, start_timeout: float) -> tuple[Connection, Profile]:
        connection = await self._open()
        with closed_on_failure(connection):
            handshake = Handshake(connection, gateway=self._gateway, timeout=start_timeout)
            notices = asyncio.get_running_loop().create_task(self._give_notice(connection, handshake, start_timeout))
            try:
                return connection, await {
                    "negotiate": handshake.negotiate,
                    "discover": handshake.discover,
                    "initialize": handshake.initialize,
                }[plan]()
            finally:
                notices.cancel()

    async def _give_notice(self, connection: Connection, handshake: Handshake, start_timeout: float) -> None:
        loop = asyncio.get_running_loop()
        began, after = loop.time(), FIRST_NOTICE
        while True:
            await asyncio.sleep(began + after - loop.time())
            after *= 2
            elapsed = loop.time() - began
            words = f"no answer yet to {handshake.awaited} after {elapsed:.0f} s; startTimeout is {start_timeout:g} s"
            details = _details(connection, self._notice()) if self._instance else ""
            self._on_waiting(words + details)


def _details(connection: Connection, notice: StartNotice | None) -> str:
    """What the program does in place of an answer."""
    if notice is not None and notice.ports:
        ports = ", ".join(map(str, notice.ports))
        return f"; it listens on TCP port {ports}, so it may serve HTTP: select its stdio transport"
    if connection.junk:
        return f"; it has written {connection.junk[-1][:_MAX_QUOTED]!r}"
    last = f", and at last {visible(notice.stderr[:_MAX_QUOTED])!r} to stderr" if notice is not None and notice.stderr else ""
    return f"; it has written nothing to stdout{last}"


def _may_dislike_the_probe(error: UpstreamError) -> bool:
    failure = error.failure
    killed = failure.exit is not None and (failure.exit.oom or failure.exit.signal in _KILLED)
    return failure.reason in _ENDED and not killed
