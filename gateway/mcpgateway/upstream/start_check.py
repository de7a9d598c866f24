"""Whether a server of which each caller has a process of its own can still start one.

Its tools stay listed from its discovery, which says nothing of a process that is started later. After each start that fails for a
caller the gateway starts one itself. No client can make a server appear broken that way, and the gateway knows without any client
when it works again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final

from ..protocol.errors import Failure, Reason

# Failures of an attempt that say nothing of the server's command.
INCONCLUSIVE: Final = frozenset({Reason.OVERLOADED, Reason.MEMORY_SHORT, Reason.DRAINING, Reason.TAKEN_OVER, Reason.SESSION_LOST})
_BACKOFF: Final = (0.5, 5.0)  # seconds between two attempts: first and longest

Attempt = Callable[[], Awaitable["Failure | None"]]


class StartCheck:
    """Tries to start a process when there is doubt, until one starts.

    Args:
        attempt: Starts a process, shakes hands with it and ends it. Returns: why it cannot be started, if so.
        on_failure: Called with the failure of each attempt.
        on_success: Called after an attempt that went well.

    `under_way` says that there is doubt which no attempt has removed yet.
    """

    def __init__(self, attempt: Attempt, *, on_failure: Callable[[Failure], object], on_success: Callable[[], object]) -> None:
        self._attempt, self._on_failure, self._on_success = attempt, on_failure, on_success
        self._doubt = asyncio.Event()
        self.under_way = False

    def doubt(self) -> None:
        """A caller's process could not be started, or has ended with an error."""
        self.under_way = True
        self._doubt.set()

    async def run(self) -> Failure:
        """Never returns; like the other works beside a server's life it is cancelled with it."""
        while True:
            await self._doubt.wait()
            await self._until_one_starts()

    async def _until_one_starts(self) -> None:
        delay = _BACKOFF[0]
        while True:
            self._doubt.clear()
            failure = await self._attempt()
            if failure is None:
                self.under_way = self._doubt.is_set()
                self._on_success()
                return
            if failure.reason not in INCONCLUSIVE:
                self._on_failure(failure)
            await asyncio.sleep(delay * random.uniform(0.7, 1.3))  # noqa: S311 - jitter, not a secret
            delay = min(delay * 2, _BACKOFF[1])
