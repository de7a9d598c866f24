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
        result = self.rollouts.ask(key, ready=ready, now=NOW)
        return "" if result is None else result.reason

    def seen(self, key: Key, *, programmed: bool = True, ready: bool = True, now: datetime = NOW) -> float | None:
        return self.rollouts.observe(key, programmed=programmed, ready=ready, now=now)


@pytest.fixture
def world() -> World:
    return World()


def test_a_limited_number_rolls_at_once_and_the_others_wait(world: World) -> None:
    assert [world.ask(key) for key in keys] == ["", "", "RolloutQueued", "RolloutQueued", "RolloutQueued"]
    assert world.ask(A) == "", "its turn lasts until it is well"
    assert world.woken == []


def test_a_ready_gateway_passes_its_turn_to_the_longest_waiting(world: World) -> None:
    for key in keys:
        world.ask(key)
    assert world.seen(A) is None
    assert world.woken == [C]
    assert (world.ask(C), world.ask(D)) == ("", "RolloutQueued")


def test_an_unready_gateway_keeps_its_turn_until_the_deadline(world: World) -> None:
    world.ask(A)
    assert world.seen(A, ready=False, now=NOW + timedelta(seconds=60)) == DEADLINE.total_seconds() - 60
    assert world.seen(A, programmed=False) == DEADLINE.total_seconds()


def test_a_deleted_gateway_passes_its_turn_on(world: World) -> None:
    for key in (A, B, C):
        world.ask(key)
    world.rollouts.forget(A)
    assert world.woken == [C]


def test_an_unused_turn_goes_to_the_next_gateway(world: World) -> None:
    for key in (A, B, C, D):
        world.ask(key)
    world.seen(A)  # wakes C, whose resource was edited meanwhile: it does not ask again
    world.seen(C)
    assert world.woken == [C, D]


def fail(world: World, *failing: Key, was_ready: bool = True) -> None:
    for key in failing:
        world.ask(key, ready=was_ready)
        world.seen(key, ready=False, now=LATE)


def test_three_failures_in_a_row_halt_the_rollout_and_wake_the_waiting_gateways(world: World) -> None:
    fail(world, A, B)
    for key in (C, D, E):
        world.ask(key)
    world.seen(C, ready=False, now=LATE)
    assert world.woken == [E]
    assert world.ask(E) == "RolloutHalted"
    result = world.rollouts.ask(E, ready=True, now=NOW)
    assert result is not None
    assert "left gateways unready: space/a, space/b, space/c; repair them, or go back to the previous version" in result.message


def test_a_success_between_failures_resets_their_count(world: World) -> None:
    fail(world, A, B)
    world.ask(D)
    world.seen(D)
    fail(world, C)
    assert world.ask(E) == ""


def test_a_gateway_that_was_not_ready_before_does_not_count_as_a_failure(world: World) -> None:
    fail(world, A, B, C, was_ready=False)
    assert world.ask(D) == ""
    world.ask(E, ready=False)
    assert world.seen(E, ready=False) is None, "its objects are in place: no more can be asked of it"


@pytest.mark.parametrize("how", ["repaired", "deleted"])
def test_the_rollout_resumes_when_a_failed_gateway_is_repaired_or_deleted(world: World, how: str) -> None:
    fail(world, A, B, C)
    assert world.ask(D) == "RolloutHalted"
    if how == "repaired":
        world.seen(B)
    else:
        world.rollouts.forget(B)
    assert world.woken == [D]
    assert world.ask(D) == ""
