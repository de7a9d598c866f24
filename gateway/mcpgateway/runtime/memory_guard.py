"""Keeps the process below its cgroup's memory limit: near the limit new work is refused until memory is free again.

Without it the kernel kills the process, and with it the sessions of all clients.
Source: Linux kernel, Documentation/admin-guide/cgroup-v2.rst (memory.current, memory.max, memory.stat) and cgroup-v1/memory.rst.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SHED_AT: Final = 0.90  # of the limit: from here on new work is refused
RESUME_AT: Final = 0.80  # of the limit: below that it is accepted again
INTERVAL: Final = 0.5  # seconds between two readings
_ROOT: Final = Path("/sys/fs/cgroup")
_UNLIMITED: Final = 1 << 60  # bytes: what cgroup v1 reports without a limit is near 2**63


@dataclass(frozen=True, slots=True)
class Reading:
    """Memory of a cgroup in bytes."""

    used: int  # without file pages that the kernel can drop
    limit: int


class MemoryGuard:
    """Decides by readings, which come from `read`; it returns None where there is no limit."""

    def __init__(self, read: Callable[[], Reading | None]) -> None:
        self._read = read
        self.shedding = False

    def check(self) -> bool:
        """Take a reading. Returns: whether `shedding` has changed."""
        reading, before = self._read(), self.shedding
        if reading is None:
            self.shedding = False
        else:
            self.shedding = reading.used >= reading.limit * (RESUME_AT if before else SHED_AT)
        return self.shedding is not before


def cgroup_reading(root: Path = _ROOT) -> Reading | None:
    """The memory of this process's cgroup, version 2 or 1. Returns: None if no limit is set, or none can be read.

    In a container the root of the mounted hierarchy is the container's own cgroup.
    """
    return _reading(root, usage="memory.current", limit="memory.max", inactive="inactive_file") or _reading(
        root / "memory", usage="memory.usage_in_bytes", limit="memory.limit_in_bytes", inactive="total_inactive_file"
    )


def _reading(folder: Path, *, usage: str, limit: str, inactive: str) -> Reading | None:
    try:
        maximum = int((folder / limit).read_text())  # ValueError: "max"
        used = int((folder / usage).read_text())
        statistics = dict(line.split(" ", 1) for line in (folder / "memory.stat").read_text().splitlines())
        droppable = int(statistics.get(inactive, "0"))
    except (OSError, ValueError):
        return None
    return Reading(max(0, used - droppable), maximum) if 0 < maximum < _UNLIMITED else None
