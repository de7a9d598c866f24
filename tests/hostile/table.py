"""`python -m tests.hostile.table`: run all attacks at their full length, and write docs/hostile.md."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path

from tests.support import tools
from tests.support.paths import BUILD, ROOT

from .attacks import ATTACKS
from .measure import Effect, effect, other_caller
from .world import running

PAGE = ROOT / "docs" / "hostile.md"
SECONDS = 1.5  # of each attack
_HEAD = f"""# Attacks on the gateway

Written by `make hostile`: each attack is repeated for {SECONDS:g} seconds from the same machine (loopback), beside a caller who
makes 100 calls a second to another server. Measured on two cores, which attacker, gateway, servers and that caller
share. `kind` is the weak point that the attack is aimed at; p99 is that caller's, during the attack and just before
it; liveness is the slowest answer of `/healthz`; memory is the growth of the gateway's resident memory at its peak;
recovery is the time after the attack until that caller's calls are as quick as before.

| kind | attack | response | p99, ms | undisturbed, ms | ratio | liveness, ms | memory, MiB | recovery, s |
|---|---|---|---|---|---|---|---|---|
"""


def row(found: Effect) -> str:
    """One line of the table."""
    ratio = found.p99 / found.undisturbed
    response = found.response + (f"; {found.failures} calls of the other caller failed" if found.failures else "")
    cells = (
        found.attack.kind,
        found.attack.what,
        response,
        f"{1000 * found.p99:.1f}",
        f"{1000 * found.undisturbed:.1f}",
        f"{ratio:.1f}",
        f"{1000 * found.liveness:.0f}",
        f"{found.growth:.0f}",
        f"{found.recovery:.1f}",
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def summary(effects: list[Effect]) -> str:
    """The table's result in one paragraph."""
    within = sum(found.p99 <= 3 * found.undisturbed for found in effects)
    worst = max(effects, key=lambda found: found.p99 / found.undisturbed)
    largest = max(effects, key=lambda found: found.growth)
    slowest = max(found.liveness for found in effects)
    return (
        f"\n{len(effects)} attacks. The other caller's p99 is at most three times the undisturbed one in {within} of them; the\n"
        f"largest ratio is {worst.p99 / worst.undisturbed:.1f} ({worst.attack.what}). The largest growth of memory is\n"
        f"{largest.growth:.0f} MiB ({largest.attack.what}). The slowest answer of liveness took {1000 * slowest:.0f} ms.\n"
    )


def main(words: list[str]) -> None:
    """All attacks, or those whose name has one of the words; only a run of all is written down."""
    chosen = [attack for attack in ATTACKS if not words or any(word in attack.name for word in words)]
    program = BUILD / "mcp-bridge"
    effects = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        world = stack.enter_context(running(program if program.exists() else tools.bridge(), folder))
        caller = stack.enter_context(other_caller(world))
        for attack in chosen:
            effects.append(effect(world, caller, attack, seconds=SECONDS))
            print(row(effects[-1]), flush=True)
        world.assert_honest_unharmed()
    if not words:
        PAGE.write_text(_HEAD + "\n".join(map(row, effects)) + "\n" + summary(effects))


if __name__ == "__main__":
    main(sys.argv[1:])
