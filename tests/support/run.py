"""Run the levels without a cluster on several workers, and beside them `api` and `e2e`, which mostly wait for Kubernetes.

python -m tests.support.run [--without-cluster]

Each run's output goes to build/tests/NAME.log and is printed whole when all have ended; a line every quarter of a minute says how
far they are. The exit code is 0 if every run's is. PYTEST_ADDOPTS reaches each of them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .levels import CLUSTER, CLUSTERLESS, read, table
from .paths import BUILD, ROOT
from .progress import clock

# Tests mostly wait for processes, so there are more workers than cores.
WORKERS = max(3, (os.cpu_count() or 1) + 1)
EVERY = 15.0  # seconds between lines of progress
FOLDER = BUILD / "tests"
_PERCENT = re.compile(r"\[ *(\d+)%\]")


@dataclass
class Run:
    """One pytest process."""

    name: str
    levels: tuple[str, ...]
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return FOLDER / f"{self.name.replace(' ', '-')}.log"

    @property
    def counts(self) -> Path:
        return self.log.with_suffix(".json")

    def start(self) -> None:
        """Start pytest; its output goes to the log."""
        self.counts.unlink(missing_ok=True)
        folders = [f"tests/{level}" for level in self.levels]
        command = [sys.executable, "-m", "pytest", *self.options, f"--levels={self.counts}", *folders]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

    @property
    def exit_code(self) -> int | None:
        """None before its end."""
        return None if self.process is None else self.process.poll()

    def progress(self) -> str:
        """How far it is, by its own output."""
        percents = _PERCENT.findall(self.log.read_text(errors="replace"))
        return f"{self.name} {percents[-1] if percents else 0} %"


def run(*runs: Run) -> int:
    """Run them beside each other. Returns: the exit code."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    try:
        for entry in runs:
            entry.start()
        _follow(runs, began)
    finally:
        for entry in runs:
            if entry.process is not None:  # after Ctrl-C, which reaches them too: they still clean up
                entry.process.wait()
    for entry in runs:
        print(f"\n######## {entry.name}: {entry.log.relative_to(ROOT)}", flush=True)
        print(entry.log.read_text(errors="replace"), flush=True)
    _summarize(runs, time.monotonic() - began)
    return 0 if all(entry.exit_code == 0 for entry in runs) else 1


def _follow(runs: Sequence[Run], began: float) -> None:
    """Print progress until all have ended."""
    running, due = list(runs), began + EVERY
    while running:
        time.sleep(0.2)
        for entry in [entry for entry in running if entry.exit_code is not None]:
            running.remove(entry)
            _say(began, f"{entry.name} {'passed' if entry.exit_code == 0 else 'FAILED'}")
        if running and time.monotonic() >= due:
            due += EVERY
            _say(began, ", ".join(entry.progress() for entry in running))


def _say(began: float, text: str) -> None:
    print(f"[{clock(time.monotonic() - began)}] {text}", flush=True)


def _summarize(runs: Sequence[Run], seconds: float) -> None:
    levels = read(entry.counts for entry in runs)
    print("######## levels, with the time spent in their tests", *table(levels), sep="\n")
    for entry in runs:
        if entry.exit_code != 0:
            print(f"{entry.name}: exit code {entry.exit_code}")
    passed, failed = sum(level.passed for level in levels.values()), sum(level.failed for level in levels.values())
    skipped = sum(level.skipped for level in levels.values())
    print(f"==== {passed} passed, {failed} failed, {skipped} skipped in {seconds:.0f} s ({clock(seconds)}) ====", flush=True)


def main(*flags: str) -> int:
    """The command line of `make test` and `make unit`."""
    clusterless = Run("without a cluster", CLUSTERLESS, _by_file(WORKERS))
    if flags == ("--without-cluster",):
        return run(clusterless)
    if flags:
        raise SystemExit(__doc__)
    return run(clusterless, *[Run(level, (level,), _by_file(workers)) for level, workers in CLUSTER.items()])


def _by_file(workers: int) -> tuple[str, ...]:
    """A worker runs the tests of a file; files start in the order of tests/conftest.py."""
    return (f"--numprocesses={workers}", "--dist=loadfile", "--no-loadscope-reorder") if workers > 1 else ()


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
