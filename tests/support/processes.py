"""Background processes of a cluster: each in its own session, with a log, found again by pid file."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from .waiting import PATIENCE


class Processes:
    """The processes that belong to one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.logs = folder / "logs"
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: list[str], **env: str) -> None:
        """Start one; its output goes to logs/NAME.log."""
        self.logs.mkdir(parents=True, exist_ok=True)
        with (self.logs / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **env},
            )
        self._children[name] = child
        (self.folder / f"{name}.pid").write_text(str(child.pid))

    def alive(self, name: str) -> bool:
        """Whether a process of that name runs; one that was started here and has ended is reaped."""
        child = self._children.get(name)
        if child is not None:
            return child.poll() is None
        pid = self._pid(name)
        if pid is None:
            return False
        try:
            return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
        except OSError:
            return False

    def stop(self, name: str, *, patience: float = 10.0) -> None:
        """TERM, then KILL, to the process's own group."""
        pid = self._pid(name)
        if pid is None:
            return
        for sign, wait in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, sign)
            deadline = time.monotonic() + wait
            while self.alive(name) and time.monotonic() < deadline:
                time.sleep(0.05)
            if not self.alive(name):
                break
        (self.folder / f"{name}.pid").unlink(missing_ok=True)

    def _pid(self, name: str) -> int | None:
        try:
            return int((self.folder / f"{name}.pid").read_text())
        except (OSError, ValueError):
            return None

    def tails(self, lines: int = 15) -> str:
        """The last lines of every log."""
        texts = {log.name: log.read_text(errors="replace").splitlines() for log in sorted(self.logs.glob("*.log"))}
        return "\n".join("\n".join([f"== {name}", *text[-lines:]]) for name, text in texts.items())


def end(process: subprocess.Popen[bytes], *, patience: float = 60.0) -> None:
    """TERM, wait, KILL: for a process that a test has started itself."""
    process.terminate()
    try:
        process.wait(timeout=patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for(
    what: str, ready: Callable[[], bool], processes: Processes, *, timeout: float = PATIENCE, alive: tuple[str, ...] = ()
) -> None:
    """Wait on a condition; a failure, or the end of a process in `alive`, shows the logs."""
    deadline = time.monotonic() + timeout
    while not ready():
        for name in alive:
            if not processes.alive(name):
                raise RuntimeError(f"{name} has ended\n{processes.tails()}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"timed out after {timeout:g} s: {what}\n{processes.tails()}")
        time.sleep(0.1)
