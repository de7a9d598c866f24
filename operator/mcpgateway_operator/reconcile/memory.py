"""What is remembered of one gateway between two passes. Losing it costs reads, never writes.

Each record has one writer: `ChildRecords` is written by `children`, `Memory` by `reconciler`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from .plan import Applied, ObjectId

CONTEST_LIMIT = 3  # removals of the same addition
CONTEST_WINDOW = timedelta(minutes=10)


@dataclass(slots=True)
class ChildRecords:
    """What was written to a gateway's children."""

    applied: dict[ObjectId, Applied] = field(default_factory=dict)
    keys_created: bool = False
    _removals: dict[str, deque[datetime]] = field(default_factory=dict)  # times by object and path

    def record_removal(self, place: str, now: datetime) -> None:
        """Another manager's addition at `place` (object and path) was removed."""
        self._removals.setdefault(place, deque(maxlen=CONTEST_LIMIT)).append(now)

    def contested(self, place: str, now: datetime) -> bool:
        """Whether the addition at `place` comes back each time it is removed."""
        times = self._removals.get(place)
        return times is not None and len(times) == CONTEST_LIMIT and now - times[0] < CONTEST_WINDOW


@dataclass(slots=True)
class Memory:
    """One life of a gateway: from the creation of its resource to the deletion."""

    uid: str
    validated_generation: int = 0  # whose CEL rules have been checked
    ready: str = "Unknown"  # of the Ready condition
    config_syncs: int = 0  # annotations written so far
    children: ChildRecords = field(default_factory=ChildRecords)
