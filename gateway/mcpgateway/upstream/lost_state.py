"""What callers have lost with their processes, until they have been told.

A process of one session or identity may keep state between calls, so it is never replaced in silence: the first request after
its end is answered with an error, and the next one starts again without it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from ..protocol.errors import Exit, Failure, Reason

MAX_LOSSES: Final = 10_000  # callers of one server that have not been told yet; the first one is forgotten for a further one


class LostState:
    """The losses of one server's callers, by the key of their processes."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._losses: OrderedDict[str, Failure] = OrderedDict()

    def __len__(self) -> int:
        """The number of callers that have not been told."""
        return len(self._losses)

    def note(self, key: str, cause: str, exit: Exit | None = None) -> None:
        """A caller's process has ended, or is ended, by this cause."""
        words = f"what it kept for this client is lost: {cause}. This request was not sent to it; the next one starts again"
        self._losses[key] = Failure(self._server, Reason.STATE_LOST, words, exit)
        self._losses.move_to_end(key)
        if len(self._losses) > MAX_LOSSES:
            self._losses.popitem(last=False)

    def put_back(self, key: str, failure: Failure) -> None:
        """A caller could not be told."""
        self._losses[key] = failure

    def take(self, key: str) -> Failure | None:
        """What a caller is to be told, once."""
        return self._losses.pop(key, None)
