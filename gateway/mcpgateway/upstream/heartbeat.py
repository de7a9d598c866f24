"""Whether a shared server still answers: a process that hangs does not end, so neither its bridge nor its pod reports it.

One question at a time: a server that is busy, since it can do only one thing, answers late and is left alone. Source: MCP
specification 2025-11-25, "Ping"; in 2026-07-28, which has no ping, `server/discover`. Any answer will do, an error too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec import Raw

from ..protocol.errors import Failure, Reason
from .connection import Connection, Outcome
from .handshake import Profile, question

INTERVAL = 3.0  # seconds between an answer and the next question
DEADLINE = 3.0


async def watch_answers(
    connection: Connection,
    profile: Profile,
    *,
    gateway: str,
    hang_timeout: float,
    on_change: Callable[[bool], None],
) -> Failure:
    """Go on while the connection lasts; `on_change` is called when answers stay away, and when they come again.

    A server that has nothing to do is taken for hung after `hang_timeout` seconds more.
    Returns: how it ended; Unresponsive, if the server is to be restarted.
    """
    while True:
        await asyncio.sleep(INTERVAL)
        answer = _ask(connection, profile, gateway)
        if not await _settled(answer, DEADLINE):
            on_change(False)
            while not await _settled(answer, hang_timeout):
                if not connection.in_flight:
                    return Failure(connection.server, Reason.UNRESPONSIVE, f"it has not answered for {hang_timeout:g} s")
            if answer.result() != "lost":
                on_change(True)
        if answer.result() == "lost":
            await asyncio.wait({connection.closed})
            return connection.closed.result()


def _ask(connection: Connection, profile: Profile, gateway: str) -> asyncio.Future[Outcome]:
    answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def on_reply(outcome: Outcome, _: Raw | Failure) -> None:
        if not answer.done():
            answer.set_result(outcome)

    method, params = question(profile, gateway=gateway)
    connection.send(method, params, on_reply, standing=True)
    return answer


async def _settled(answer: asyncio.Future[Outcome], seconds: float) -> bool:
    done, _ = await asyncio.wait({answer}, timeout=seconds)
    return bool(done)
