"""The attacks of docs/hostile.md, one pass each: the answer, a bound of the memory, and no harm to any other."""

from __future__ import annotations

import re

import pytest

from .attacks import ATTACKS, Attack
from .measure import Memory
from .world import World


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_is_answered_and_harms_nobody(world: World, attack: Attack) -> None:
    memory = Memory(world.gateway.process.pid)
    memory.start()
    response = attack.run(world)
    growth = memory.stop()
    world.configure()
    world.assert_honest_unharmed()
    assert re.search(attack.expects, response), response
    assert growth < attack.memory, f"{growth:.0f} MiB"
