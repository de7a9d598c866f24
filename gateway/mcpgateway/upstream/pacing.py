"""How much work one server may cause: per turn of the event loop, and in notifications a second.

A server that sends more is read more slowly: it waits for itself, nothing is lost, and the others' calls are not delayed.
"""

from __future__ import annotations

from typing import Final

TURN_MESSAGES: Final = 64  # messages of one connection that one turn of the event loop handles
TURN_BYTES: Final = 1 << 20  # bytes of those, after which the turn ends too
NOTIFICATIONS_RATE: Final = 500.0  # notifications a second of one connection, over a longer time
NOTIFICATIONS_BURST: Final = 1000.0  # notifications that may come at once


class NotificationPace:
    """A token bucket for the notifications of one connection."""

    __slots__ = ("_level", "_updated")

    def __init__(self) -> None:
        self._level = NOTIFICATIONS_BURST
        self._updated = 0.0

    def spend(self, now: float) -> None:
        """One more notification has come, at the event loop's time `now` in seconds."""
        self._fill(now)
        self._level -= 1

    @property
    def spent(self) -> bool:
        """Whether there may be a delay now."""
        return self._level <= 0

    def delay(self, now: float) -> float:
        """Seconds for which nothing more is read from the connection; 0 while it keeps to the pace."""
        if self._level > 0:
            return 0.0
        self._fill(now)
        return max(0.0, (1 - self._level) / NOTIFICATIONS_RATE)

    def _fill(self, now: float) -> None:
        self._level = min(NOTIFICATIONS_BURST, self._level + (now - self._updated) * NOTIFICATIONS_RATE)
        self._updated = now
