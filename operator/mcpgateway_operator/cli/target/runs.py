"""The record of each running `mcpgw up`, in the user's state folder: how other commands find it.

The run holds a lock on its record, so that the record of a run that was killed is never taken for a running one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ..folders import STATE


@dataclass(frozen=True)
class Run:
    """One running gateway on this machine."""

    gateway: str
    url: str  # for clients
    internal: str  # base URL of the internal port
    logs: str  # folder, one file a server and gateway.log
    files: tuple[str, ...]  # absolute paths


def _folder() -> Path:
    return STATE / ".runs"  # no gateway has this name


@contextlib.contextmanager
def recorded(run: Run) -> Iterator[None]:
    """Let other commands find this run, for as long as it lasts."""
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{os.getpid()}.json"
    fresh = path.with_suffix(".new")
    with fresh.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # before it has the name by which others look for it
        json.dump(asdict(run), file)
        file.flush()
        fresh.replace(path)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def running() -> list[Run]:
    """The runs of this user, in the order of their names."""
    runs = [run for path in _folder().glob("*.json") if (run := _read(path)) is not None]
    return sorted(runs, key=lambda run: (run.gateway, run.url))


def _read(path: Path) -> Run | None:
    """A record; None if its run has ended: then it is removed."""
    with contextlib.suppress(OSError, ValueError, TypeError), path.open() as file:
        if _locked(file.fileno()):
            content: Mapping[str, object] = json.load(file)
            return Run(**{**content, "files": tuple(content["files"])})  # type: ignore[arg-type]
        path.unlink(missing_ok=True)
    return None


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
