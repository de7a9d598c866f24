"""Run the levels without a cluster on several workers, and beside them `api`, then `e2e`, which mostly wait for Kubernetes.

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
    """One pytest process, and the one to start when it has ended."""

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

    def ended(self) -> bool:
        """Whether it has started and ended."""
        return self.process is not None and self.process.poll() is not None

    def progress(self) -> str:
        """How far it is, by its own output."""
        percents = _PERCENT.findall(self.log.read_text(errors="replace"))
        return f"{self.name} {percents[-1] if percents else 0} %"


def run(*queues: list[Run]) -> int:
    """Run the queues beside each other, the runs of a queue one after another. Returns: the exit code."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    runs = [entry for queue in queues for entry in queue]
    try:
        _follow([list(queue) for queue in queues], began)
    finally:
        for entry in runs:
            if entry.process is not None:  # after Ctrl-C, which reaches them too: they still clean up
                entry.process.wait()
    for entry in runs:
        print(f"\n######## {entry.name}: {entry.log.relative_to(ROOT)}", flush=True)
        print(entry.log.read_text(errors="replace"), flush=True)
    _summarize(runs, time.monotonic() - began)
    return 0 if all(entry.process is not None and entry.process.returncode == 0 for entry in runs) else 1


def _follow(queues: list[list[Run]], began: float) -> None:
    """Start what is due and print progress until nothing is left."""
    due = began + EVERY
    for queue in queues:
        queue[0].start()
    while queues:
        time.sleep(0.2)
        for queue in queues:
            if queue[0].ended():
                ended = queue.pop(0)
                assert ended.process is not None
                outcome = "passed" if ended.process.returncode == 0 else "FAILED"
                print(f"[{clock(time.monotonic() - began)}] {ended.name} {outcome}", flush=True)
                if queue:
                    queue[0].start()
        queues = [queue for queue in queues if queue]
        if queues and time.monotonic() >= due:
            due += EVERY
            print(f"[{clock(time.monotonic() - began)}] {', '.join(queue[0].progress() for queue in queues)}", flush=True)


def _summarize(runs: list[Run], seconds: float) -> None:
    levels = read(entry.counts for entry in runs)
    print("######## levels, with the time spent in their tests", *table(levels), sep="\n")
    for entry in runs:
        if entry.process is not None and entry.process.returncode != 0:
            print(f"{entry.name}: exit code {entry.process.returncode}")
    passed, failed = sum(level.passed for level in levels.values()), sum(level.failed for level in levels.values())
    skipped = sum(level.skipped for level in levels.values())
    print(f"==== {passed} passed, {failed} failed, {skipped} skipped in {seconds:.0f} s ({clock(seconds)}) ====", flush=True)


def main(*flags: str) -> int:
    """The command line of `make test` and `make unit`."""
    clusterless = Run("without a cluster", CLUSTERLESS, (f"--numprocesses={WORKERS}", "--dist=loadfile"))
    if flags == ("--without-cluster",):
        return run([clusterless])
    if flags:
        raise SystemExit(__doc__)
    return run([clusterless], [Run(level, (level,)) for level in CLUSTER])


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
