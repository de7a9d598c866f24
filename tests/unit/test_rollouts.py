"""An operator upgrade rolls a few gateways at a time, and stops when they do not come back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mcpgateway_operator.observe.child_state import Key
from mcpgateway_operator.reconcile.rollouts import DEADLINE, Rollouts

NOW = datetime(2026, 11, 24, tzinfo=UTC)
LATE = NOW + DEADLINE
A, B, C, D, E = keys = [("space", name) for name in "abcde"]


class World:
    """Rollouts, and whom they have woken."""

    def __init__(self, limit: int = 2) -> None:
        self.woken: list[Key] = []
        self.rollouts = Rollouts(limit, self.woken.append)

    def ask(self, key: Key, *, ready: bool = True) -> str:
        found = self.rollouts.ask(key, ready=ready, now=NOW)
        return "" if found is None else found.reason

    def seen(self, key: Key, *, programmed: bool = True, ready: bool = True, now: datetime = NOW) -> float | None:
        return self.rollouts.observe(key, programmed=programmed, ready=ready, now=now)


@pytest.fixture
def world() -> World:
    return World()


def test_so_many_at_once_and_the_others_wait(world: World) -> None:
    assert [world.ask(key) for key in keys] == ["", "", "RolloutQueued", "RolloutQueued", "RolloutQueued"]
    assert world.ask(A) == "", "its turn lasts until it is well"
    assert world.woken == []


def test_who_is_well_again_gives_its_turn_to_who_waits_longest(world: World) -> None:
    for key in keys:
        world.ask(key)
    assert world.seen(A) is None
    assert world.woken == [C]
    assert (world.ask(C), world.ask(D)) == ("", "RolloutQueued")


def test_who_is_not_well_yet_keeps_its_turn_and_is_looked_at_again_in_time(world: World) -> None:
    world.ask(A)
    assert world.seen(A, ready=False, now=NOW + timedelta(seconds=60)) == DEADLINE.total_seconds() - 60
    assert world.seen(A, programmed=False) == DEADLINE.total_seconds()


def test_a_deleted_one_gives_its_turn_away(world: World) -> None:
    for key in (A, B, C):
        world.ask(key)
    world.rollouts.forget(A)
    assert world.woken == [C]


def test_a_turn_that_nobody_takes_goes_to_the_next(world: World) -> None:
    for key in (A, B, C, D):
        world.ask(key)
    world.seen(A)  # wakes C, whose resource was edited meanwhile: it does not ask again
    world.seen(C)
    assert world.woken == [C, D]


def fail(world: World, *failing: Key, was_ready: bool = True) -> None:
    for key in failing:
        world.ask(key, ready=was_ready)
        world.seen(key, ready=False, now=LATE)


def test_three_failures_in_a_row_stop_it_and_all_that_wait_are_told(world: World) -> None:
    fail(world, A, B)
    for key in (C, D, E):
        world.ask(key)
    world.seen(C, ready=False, now=LATE)
    assert world.woken == [E]
    assert world.ask(E) == "RolloutHalted"
    found = world.rollouts.ask(E, ready=True, now=NOW)
    assert found is not None
    assert "left gateways unready: space/a, space/b, space/c; repair them, or go back to the previous version" in found.message


def test_a_success_between_failures_lets_it_go_on(world: World) -> None:
    fail(world, A, B)
    world.ask(D)
    world.seen(D)
    fail(world, C)
    assert world.ask(E) == ""


def test_one_that_was_not_ready_before_proves_nothing(world: World) -> None:
    fail(world, A, B, C, was_ready=False)
    assert world.ask(D) == ""
    world.ask(E, ready=False)
    assert world.seen(E, ready=False) is None, "its objects are in place: no more can be asked of it"


@pytest.mark.parametrize("how", ["mended", "deleted"])
def test_it_goes_on_once_one_of_the_failed_is_mended_or_gone(world: World, how: str) -> None:
    fail(world, A, B, C)
    assert world.ask(D) == "RolloutHalted"
    if how == "mended":
        world.seen(B)
    else:
        world.rollouts.forget(B)
    assert world.woken == [D]
    assert world.ask(D) == ""
