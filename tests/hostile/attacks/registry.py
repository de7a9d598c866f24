"""What an attack is, and the list of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.hostile.world import World

Run = Callable[[World], str]


@dataclass(frozen=True)
class Attack:
    """One attack. `run` makes one pass and says, in a few words, what the gateway did."""

    kind: str  # the finding of issue 15 whose kin it is, or what it is aimed at
    what: str
    run: Run
    expects: str  # pattern of what a pass says
    memory: int  # MiB that the gateway may grow by

    @property
    def name(self) -> str:
        """The name of its function, in words."""
        return self.run.__name__.replace("_", "-")


ATTACKS: list[Attack] = []


def attack(kind: str, what: str, *, expects: str, memory: int = 48) -> Callable[[Run], Run]:
    """Put a function into the list."""

    def register(run: Run) -> Run:
        ATTACKS.append(Attack(kind, what, run, expects, memory))
        return run

    return register
