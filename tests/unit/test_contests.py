"""How long something is left alone that somebody else changes each time it is restored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from mcpgateway_operator.reconcile.memory import Contests

START = datetime(2026, 11, 28, tzinfo=UTC)
PLACE = "Service demo"


def fought(seconds: float) -> list[float]:
    """The times of the writes against somebody who acts a second after each, for so long."""
    contests, now, times = Contests(), 0.0, list[float]()
    while now < seconds:
        pause = contests.left_alone(PLACE, START + timedelta(seconds=now))
        if pause == 0:
            contests.record(PLACE, START + timedelta(seconds=now))
            times.append(now)
        now += max(pause, 1.0)
    return times


def test_a_fight_costs_a_handful_of_writes_and_then_one_an_hour() -> None:
    assert fought(600) == [0, 1, 2, 62, 182, 422]
    day = fought(86_400)
    assert len(day) < 32
    assert day[-1] - day[-2] == 3600


def test_whoever_stops_is_forgotten() -> None:
    contests = Contests()
    for _ in range(5):
        contests.record(PLACE, START)
    assert contests.left_alone(PLACE, START) == 240
    assert contests.left_alone("Service other", START) == 0
    later = START + timedelta(hours=3)
    contests.record(PLACE, later)
    assert contests.left_alone(PLACE, later) == 0


@given(st.lists(st.floats(601, 100_000), max_size=20))
def test_what_is_restored_now_and_then_is_never_left_alone(gaps: list[float]) -> None:
    contests, now = Contests(), START
    for gap in gaps:
        assert contests.left_alone(PLACE, now) == 0
        contests.record(PLACE, now)
        now += timedelta(seconds=gap)
