"""Upgrades by a new operator: a limited number of gateways at a time, halted after failures in a row. Pure but for `wake`.

A Deployment that changes without an edit of its resource changes because a new operator renders it differently. The state is lost
with the process and needs no store: a gateway that has been upgraded has nothing left to change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..observe.child_state import Key
from .finding import Finding
from .reasons import Reason

DEADLINE = timedelta(minutes=10)  # the default of a Deployment's progressDeadlineSeconds
HALT_AFTER = 3  # failures in a row


@dataclass(frozen=True, slots=True)
class _Turn:
    since: datetime
    was_ready: bool  # a gateway that was not Ready before proves nothing by staying so


class Rollouts:
    """The queue of upgrades. `wake` asks for a pass over a gateway whose turn may have come, or whose status changes."""

    def __init__(self, limit: int, wake: Callable[[Key], None]) -> None:
        self._limit, self._wake = limit, wake
        self._active: dict[Key, _Turn] = {}
        self._waiting: dict[Key, None] = {}  # in order of arrival
        self._failed: list[Key] = []  # in a row

    def ask(self, key: Key, *, ready: bool, now: datetime) -> Finding | None:
        """Whether a gateway that an upgrade changes has to wait. Returns: why, or None if it may roll."""
        if key in self._active:
            return None
        if not self._halted and len(self._active) < self._limit:
            self._waiting.pop(key, None)
            self._active[key] = _Turn(now, ready)
            return None
        self._waiting.setdefault(key)
        if self._halted:
            names = ", ".join("/".join(failed) for failed in self._failed)
            message = f"an operator upgrade left gateways unready: {names}; repair them, or go back to the previous version"
            return Finding("False", Reason.ROLLOUT_HALTED, message)
        message = f"an operator upgrade rolls {self._limit} gateways at a time; this one waits"
        return Finding("False", Reason.ROLLOUT_QUEUED, message)

    def observe(self, key: Key, *, programmed: bool, ready: bool, now: datetime) -> float | None:
        """The state of a gateway after a pass. Returns: seconds until its turn runs out, if it has one."""
        turn = self._active.get(key)
        if turn is None:
            if programmed and ready and key in self._failed:
                self._failed.clear()
            self._wake_next()
            return None
        left = (turn.since + DEADLINE - now).total_seconds()
        succeeded = programmed and (ready or not turn.was_ready)
        if not succeeded and left > 0:
            return left
        self._end(key, turn, succeeded=succeeded)
        return None

    def forget(self, key: Key) -> None:
        """The gateway is deleted."""
        self._active.pop(key, None)
        self._waiting.pop(key, None)
        if key in self._failed:
            self._failed.remove(key)
        self._wake_next()

    def _end(self, key: Key, turn: _Turn, *, succeeded: bool) -> None:
        del self._active[key]
        if succeeded:
            self._failed.clear()
        elif turn.was_ready:
            self._failed.append(key)
            for waiting in self._waiting if self._halted else ():
                self._wake(waiting)
        self._wake_next()

    @property
    def _halted(self) -> bool:
        return len(self._failed) >= HALT_AFTER

    def _wake_next(self) -> None:
        free = 0 if self._halted else self._limit - len(self._active)
        for key in list(self._waiting)[: max(0, free)]:
            del self._waiting[key]
            self._wake(key)
