"""`mcpgw top`: calls, errors, latency and processes of each server, as they change."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from ..bad_input import NotReachedError
from ..output.screen import Screen
from ..output.tables import table
from ..target.choose import chosen
from ..target.model import Choice, Target
from .samples import Sample, parse

_TIMEOUT = aiohttp.ClientTimeout(total=10)
_DURATION = "mcpgateway_call_duration_seconds"
_GAUGES = {"sessions": "mcpgateway_sessions", "connections": "mcpgateway_connections", "in flight": "mcpgateway_calls_in_flight"}


@dataclass
class Load:
    """The calls of one server since the gateway started: how many took at most how many seconds."""

    calls: float = 0.0
    seconds: float = 0.0
    below: dict[float, float] = field(default_factory=lambda: defaultdict(float))

    def since(self, before: Load) -> Load:
        """What has been added."""
        below = {bound: count - before.below.get(bound, 0.0) for bound, count in self.below.items()}
        return Load(self.calls - before.calls, self.seconds - before.seconds, below)

    def quantile(self, share: float) -> str:
        """The bound of the histogram below which that share of the calls ended."""
        if self.calls <= 0:
            return "-"
        bounds = sorted(bound for bound in self.below if bound != float("inf"))
        bound = next((bound for bound in bounds if self.below[bound] >= share * self.calls), None)
        return f">{_duration(bounds[-1])}" if bound is None else f"<{_duration(bound)}"


@dataclass(frozen=True)
class Reading:
    """The metrics of all gateway pods at one time."""

    at: float  # seconds, of the monotonic clock
    loads: Mapping[str, Load]
    requests: Mapping[str, float]  # by outcome
    gauges: Mapping[str, float]


async def show_top(choice: Choice, screen: Screen, *, interval: float, count: int) -> None:
    """Print a table each `interval` seconds; `count` 0 is until Ctrl-C. Raises: BadInputError, NotReachedError."""
    async with chosen(choice) as target, aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        before = Reading(time.monotonic(), {}, {}, {})
        shown = 0
        while True:
            now = await _read(target, session)
            rows = (await target.resource()).get("status", {}).get("servers") or []
            _show(target, rows, now, before, screen, live=count != 1)
            shown += 1
            if shown == count:
                return
            before = now
            await asyncio.sleep(interval)


async def _read(target: Target, session: aiohttp.ClientSession) -> Reading:
    samples: list[Sample] = []
    try:
        async with target.internal_urls() as urls:
            for url in urls:
                async with session.get(f"{url}/metrics") as answer:
                    samples += parse(await answer.text())
    except (aiohttp.ClientError, TimeoutError, OSError):
        urls = []
    if not urls:
        raise NotReachedError(f"no pod of {target.name!r} gives its metrics: run `mcpgw doctor {target.place['mcpgw']}`")
    return reading(samples, at=time.monotonic())


def reading(samples: list[Sample], *, at: float) -> Reading:
    """Samples of any number of pods, added up."""
    loads: defaultdict[str, Load] = defaultdict(Load)
    requests: defaultdict[str, float] = defaultdict(float)
    gauges = dict.fromkeys(_GAUGES, 0.0)
    for sample in samples:
        server = sample.labels.get("server", "")
        if sample.name == f"{_DURATION}_count":
            loads[server].calls += sample.value
        elif sample.name == f"{_DURATION}_sum":
            loads[server].seconds += sample.value
        elif sample.name == f"{_DURATION}_bucket":
            loads[server].below[float(sample.labels["le"])] += sample.value
        elif sample.name == "mcpgateway_requests_total":
            requests[sample.labels["outcome"]] += sample.value
        else:
            for title, name in _GAUGES.items():
                gauges[title] += sample.value if sample.name == name else 0
    return Reading(at, loads, requests, gauges)


def _show(target: Target, rows: list[dict[str, Any]], now: Reading, before: Reading, screen: Screen, *, live: bool) -> None:
    if not screen.for_people:
        servers = [{**row, "calls": now.loads.get(row["name"], Load()).calls} for row in rows]
        screen.document({"gateway": target.name, "requests": dict(now.requests), **now.gauges, "servers": servers})
        return
    lines = [screen.paint(target.title, "strong"), *top_lines(rows, now, before, width=screen.width)]
    (screen.redraw if live else screen.lines)(lines)


def top_lines(rows: list[dict[str, Any]], now: Reading, before: Reading, *, width: int = 0) -> Iterator[str]:
    """The table. Rates and latencies are of the time since `before`, of all time if it is empty."""
    seconds = now.at - before.at if before.loads or before.requests else 0.0
    outcomes = ", ".join(f"{count:.0f} {outcome}" for outcome, count in sorted(now.requests.items())) or "none"
    yield f"requests: {outcomes}"
    yield ", ".join(f"{title}: {value:.0f}" for title, value in now.gauges.items())
    yield ""
    header = ("SERVER", "STATE", "CALLS", "CALLS/S", "MEAN", "P50", "P95", "PROCESSES", "RESTARTS", "FAILED STARTS")
    yield from table(header, [_row(row, now, before, seconds) for row in rows], width=width)


def _row(row: Mapping[str, Any], now: Reading, before: Reading, seconds: float) -> tuple[object, ...]:
    load = now.loads.get(row["name"], Load())
    recent = load.since(before.loads.get(row["name"], Load()))
    rate = f"{recent.calls / seconds:.1f}" if seconds > 0 else "-"
    mean = _duration(recent.seconds / recent.calls) if recent.calls > 0 else "-"
    calls = (f"{load.calls:.0f}", rate, mean, recent.quantile(0.5), recent.quantile(0.95))
    return (row["name"], row["state"], *calls, row.get("processes", 0), row.get("restarts", 0), row.get("failedStarts", 0))


def _duration(seconds: float) -> str:
    return f"{seconds:.1f}s" if seconds >= 1 else f"{seconds * 1000:.0f}ms" if seconds >= 0.01 else f"{seconds * 1000:.1f}ms"
