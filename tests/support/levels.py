"""One line a level at the end of a run: pytest's plugin, and what `tests.support.run` reads of it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from .progress import clock

CLUSTERLESS = ("unit", "golden", "property", "scanners", "bridge", "gateway", "servers", "hostile", "fuzz", "conformance", "cli")
CLUSTER = {"api": 2, "e2e": 1}  # with the number of workers: each of `api` has a control plane, and there is one node


@dataclass
class Level:
    """What became of the tests of one folder."""

    passed: int = 0
    failed: int = 0  # those with an error in a fixture included
    skipped: int = 0
    seconds: float = 0.0  # the sum over its tests, fixtures included: workers spend it at the same time

    def add(self, report: pytest.TestReport) -> None:
        """Count one phase of a test."""
        self.seconds += report.duration
        self.failed += report.failed
        self.skipped += report.skipped
        self.passed += report.passed and report.when == "call"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--levels", type=Path, help="write the count and time of each level to this file, as JSON")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print a table of levels, and keep it for the runner."""
    levels: defaultdict[str, Level] = defaultdict(Level)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                levels[report.nodeid.split("/")[1]].add(report)
    if levels:
        terminalreporter.section("levels")
    for line in table(levels):
        terminalreporter.line(line)
    if file := terminalreporter.config.getoption("--levels"):
        file.write_text(json.dumps({name: asdict(level) for name, level in levels.items()}))


def read(files: Iterable[Path]) -> dict[str, Level]:
    """The levels of several runs; a run that did not reach its end left no file."""
    rows = (json.loads(file.read_text()) for file in files if file.exists())
    return {name: Level(**row) for levels in rows for name, row in levels.items()}


def table(levels: dict[str, Level]) -> list[str]:
    """One line a level, in the order of the Makefile."""
    order = (*CLUSTERLESS, *CLUSTER)
    names = sorted(levels, key=lambda name: (order.index(name) if name in order else len(order), name))
    return [
        f"{name:<12} {level.passed:>5} passed {level.failed:>3} failed {level.skipped:>3} skipped  {clock(level.seconds):>6}"
        for name, level in ((name, levels[name]) for name in names)
    ]
