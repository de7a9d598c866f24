"""Memory cgroups, of version 1 or 2: needs root."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from . import tools
from .bridges import until


class MemoryGroup:
    """A memory cgroup of a single test."""

    def __init__(self) -> None:
        versions = {Path("/sys/fs/cgroup/memory"): "memory.limit_in_bytes", Path("/sys/fs/cgroup"): "memory.max"}
        root = next(path for path in versions if (path / "cgroup.procs").exists())
        self._limit = versions[root]
        self.folder = root / f"mcp-bridge-test-{os.getpid()}"

    def wrapper(self, limit: int) -> tuple[str, ...]:
        """A command that runs another command inside, with at most so many bytes."""
        self.folder.mkdir()
        (self.folder / self._limit).write_text(str(limit))
        return ("sh", "-c", f'echo $$ > {self.folder}/cgroup.procs && exec "$@"', "sh")

    def remove(self) -> None:
        """As soon as nothing is in it."""
        if self.folder.exists():
            until("the cgroup to be empty", lambda: not (self.folder / "cgroup.procs").read_text())
            self.folder.rmdir()


@contextlib.contextmanager
def made() -> Iterator[MemoryGroup]:
    """A memory cgroup, as long as the context."""
    group = MemoryGroup()
    if not os.access(group.folder.parent, os.W_OK):
        tools.cannot_run("bridge in a cgroup", tools.CannotRunError("cgroups cannot be made here: this needs root"))
    try:
        yield group
    finally:
        group.remove()
