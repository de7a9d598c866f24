"""What is remembered of one gateway between two passes. Losing it costs reads, never writes.

Each record has one writer: `ChildRecords` is written by `children`, `Memory` by `reconciler`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from .plan import Applied, ObjectId
from .references import Mounting

_PATIENCE = 3  # times that the same is restored at once
_WINDOW = timedelta(minutes=10)  # after which a further time is not of the same fight
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)


@dataclass(slots=True)
class _Fight:
    times: int
    last: datetime

    @property
    def pause(self) -> timedelta:
        """How long it is left alone; it doubles with each time."""
        if self.times < _PATIENCE:
            return timedelta(0)
        doublings: int = min(self.times - _PATIENCE, 10)
        return min(_LONGEST_PAUSE, _FIRST_PAUSE * (1 << doublings))


class Contests:
    """What somebody else changes again each time that it is restored: it is left alone for a while, whoever that is."""

    def __init__(self) -> None:
        self._fights: dict[str, _Fight] = {}

    def record(self, place: str, now: datetime) -> None:
        """Something at `place` (an object, or the status) is restored."""
        fight = self._fights.get(place)
        if fight is None or now - fight.last > max(_WINDOW, 2 * fight.pause):
            fight = self._fights[place] = _Fight(0, now)
        fight.times, fight.last = fight.times + 1, now

    def left_alone(self, place: str, now: datetime) -> float:
        """Seconds for which `place` is not restored."""
        fight = self._fights.get(place)
        return 0.0 if fight is None else max(0.0, (fight.last + fight.pause - now).total_seconds())


@dataclass(slots=True)
class ChildRecords:
    """What was written to a gateway's children."""

    applied: dict[ObjectId, Applied] = field(default_factory=dict)
    keys_created: bool = False
    contests: Contests = field(default_factory=Contests)


@dataclass(slots=True)
class Memory:
    """One life of a gateway: from the creation of its resource to the deletion."""

    uid: str
    validated_generation: int = 0  # whose CEL rules have been checked
    ready: str = "Unknown"  # of the Ready condition
    config_syncs: int = 0  # annotations written so far
    written: dict[str, Any] | None = None  # the status that was written last
    status_contest: Contests = field(default_factory=Contests)
    mounting: Mounting = field(default_factory=Mounting)
    children: ChildRecords = field(default_factory=ChildRecords)
