"""How fast a client reads what it has been sent. Pure: times in seconds of one clock, sizes in bytes."""

from __future__ import annotations


class ReadingPace:
    """What a client has read since the last measurement: what was unread then, and what has been written since, less the rest."""

    __slots__ = ("_unread", "_written", "measured")

    def __init__(self) -> None:
        self.measured = 0.0  # when
        self._unread = self._written = 0

    def measure(self, now: float, unread: int) -> None:
        """Begin again from here."""
        self.measured, self._unread, self._written = now, unread, 0

    def wrote(self, size: int) -> None:
        """More has been written."""
        self._written += size

    def keeps(self, rate: float, *, now: float, unread: int) -> bool:
        """Whether the client has read so many bytes a second, if something is left to read."""
        return unread > 0 and self._unread + self._written - unread >= rate * (now - self.measured)
