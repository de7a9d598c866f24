"""What an attack does to the gateway: its response, another caller's latency, memory, and recovery."""

from __future__ import annotations

import contextlib
import http.client
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.bridges import until
from tests.support.paths import ROOT
from tests.support.processes import end

from .attacks import Attack
from .world import Client, World

VICTIM = "honest-modern_echo"
_SAMPLE = 0.05  # seconds between readings of the memory
_CALM = 5  # quick answers in a row that mean recovery


@dataclass(frozen=True)
class Effect:
    """One row of the table. Times in seconds, memory in MiB."""

    attack: Attack
    response: str
    p99: float
    undisturbed: float
    liveness: float  # the slowest answer of /healthz
    growth: float
    recovery: float
    failures: int  # calls of the other caller that failed


def resident(pid: int) -> float:
    """A process's resident memory in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


class Memory(threading.Thread):
    """Reads a process's memory until it is stopped; `peak` in MiB."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._over = threading.Event()
        self.first = self.peak = resident(pid)

    def run(self) -> None:
        while not self._over.wait(_SAMPLE):
            with contextlib.suppress(OSError, IndexError):
                self.peak = max(self.peak, resident(self._pid))

    def stop(self) -> float:
        """The growth."""
        self._over.set()
        self.join()
        return self.peak - self.first


class Caller:
    """The other caller's process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def period(self) -> dict[str, Any]:
        """The latencies since the last report."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@contextlib.contextmanager
def other_caller(world: World) -> Iterator[Caller]:
    """A caller who does nothing but call, from when the first answers have come."""
    command = [sys.executable, "-m", "tests.hostile.victim", str(world.gateway.port), str(world.gateway.internal), VICTIM]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"PYTHONPATH": f"{ROOT}:{ROOT}/gateway"}
    )
    caller = Caller(process)
    try:
        until("the first calls", lambda: caller.period()["calls"])
        yield caller
    finally:
        end(process)


def quantile(values: list[float], share: float = 0.99) -> float:
    """The value that this share of all does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def effect(world: World, caller: Caller, attack: Attack, *, seconds: float) -> Effect:
    """Pass after pass for so long, and what it did; afterwards the world is as before."""
    caller.period()
    time.sleep(min(seconds, 3.0))
    quiet = caller.period()
    memory = Memory(world.gateway.process.pid)
    memory.start()
    deadline = time.monotonic() + seconds
    response = attack.run(world)
    while time.monotonic() < deadline:
        response = attack.run(world)
    over = time.monotonic()
    loud = caller.period()
    undisturbed = quantile(quiet["calls"])
    _await_calm(world, 3 * max(undisturbed, 0.005))
    recovery = time.monotonic() - over
    world.configure()
    return Effect(
        attack=attack,
        response=response,
        p99=quantile(loud["calls"]) if loud["calls"] else recovery + seconds,
        undisturbed=undisturbed,
        liveness=max(loud["liveness"], default=0.0),
        growth=memory.stop(),
        recovery=recovery,
        failures=len(loud["failures"]),
    )


def _await_calm(world: World, quick: float) -> None:
    client = Client(world.gateway.port, timeout=120)
    with contextlib.closing(client):
        times: list[float] = []

        def calm() -> bool:
            began = time.perf_counter()
            with contextlib.suppress(OSError, http.client.HTTPException):
                client.ask("tools/call", {"name": VICTIM, "arguments": {}})
                times.append(time.perf_counter() - began)
            return len(times) >= _CALM and statistics.median(times[-_CALM:]) < quick

        until("quick answers after an attack", calm, 120)
