"""Responses that are long in coming: a proxy that sees no byte of one for some seconds gives it up (504).

One look through all connections now and then costs a request nothing: what is unanswered at two of them has been silent for one
to two intervals.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

from ..runtime.boundaries import Boundaries


class Silence:
    """Ends the silence of responses, while there are connections."""

    def __init__(self, interval: float, boundaries: Boundaries) -> None:
        self._interval = interval  # seconds
        self._boundaries = boundaries
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, connections: Collection[Any]) -> None:
        """There is a connection; it is one of these, as long as it is open."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._interval, self._look, connections)

    def _look(self, connections: Collection[Any]) -> None:
        self._timer = None
        for connection in tuple(connections):
            try:
                connection.end_silence()
            except Exception as error:
                self._boundaries.report("silence", error)
        if connections:
            self.watch(connections)
