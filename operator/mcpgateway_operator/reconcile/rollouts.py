"""Operator upgrades, a few gateways at a time, and no further than they go well. Pure but for the calls to `wake`.

A template that changes though nobody has edited its gateway comes from a new operator. What is known here ends with the process,
and is found again: who has been rolled has nothing to do any more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..observe.child_state import Key
from .conditions import Finding

PATIENCE = timedelta(minutes=10)  # as long as a Deployment's progressDeadlineSeconds
STOP_AFTER = 3  # failures in a row


@dataclass(frozen=True, slots=True)
class _Turn:
    since: datetime
    was_ready: bool  # one that was not proves nothing by not becoming it


class Rollouts:
    """Whose turn it is. `wake` asks for a pass over a gateway that may have its turn now, or that has to be told otherwise."""

    def __init__(self, limit: int, wake: Callable[[Key], None]) -> None:
        self._limit, self._wake = limit, wake
        self._at_it: dict[Key, _Turn] = {}
        self._waiting: dict[Key, None] = {}  # in their order
        self._failed: list[Key] = []  # in a row

    def ask(self, key: Key, *, ready: bool, now: datetime) -> Finding | None:
        """What a gateway that an upgrade changes has to wait for; None: it is its turn."""
        if key in self._at_it:
            return None
        if not self._halted and len(self._at_it) < self._limit:
            self._waiting.pop(key, None)
            self._at_it[key] = _Turn(now, ready)
            return None
        self._waiting.setdefault(key)
        if self._halted:
            names = ", ".join("/".join(failed) for failed in self._failed)
            message = f"gateways that an operator upgrade has left unready: {names}; mend them, or go back to the former version"
            return Finding("False", "RolloutHalted", message)
        return Finding("False", "RolloutQueued", f"an operator upgrade rolls {self._limit} gateways at a time; this one waits")

    def seen(self, key: Key, *, programmed: bool, ready: bool, now: datetime) -> float | None:
        """What a gateway is like after a pass. Returns: seconds until it has to be looked at again, if it is its turn."""
        turn = self._at_it.get(key)
        if turn is None:
            if programmed and ready and key in self._failed:
                self._failed.clear()
            self._next()
            return None
        left = (turn.since + PATIENCE - now).total_seconds()
        well = programmed and (ready or not turn.was_ready)
        if not well and left > 0:
            return left
        del self._at_it[key]
        if well:
            self._failed.clear()
        elif turn.was_ready:
            self._failed.append(key)
            self._tell()
        self._next()
        return None

    def forget(self, key: Key) -> None:
        """It is deleted."""
        self._at_it.pop(key, None)
        self._waiting.pop(key, None)
        if key in self._failed:
            self._failed.remove(key)
        self._next()

    @property
    def _halted(self) -> bool:
        return len(self._failed) >= STOP_AFTER

    def _tell(self) -> None:
        if self._halted:
            for key in self._waiting:
                self._wake(key)

    def _next(self) -> None:
        free = 0 if self._halted else self._limit - len(self._at_it)
        for key in list(self._waiting)[: max(0, free)]:
            del self._waiting[key]
            self._wake(key)
