"""What the processes of one machine's test runs share: caches that are filled once, and ports."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import itertools
import os
import random
import socket
from collections.abc import Iterator

from .paths import CACHE

# Below the range that the kernel takes outgoing ports from: tests make thousands of connections meanwhile.
_RANGE = range(20_000, 32_000)
_ports = itertools.cycle(random.Random(os.getpid()).sample(_RANGE, len(_RANGE)))


@contextlib.contextmanager
def exclusive(name: str) -> Iterator[None]:
    """Hold the machine-wide lock of that name: a second process waits, then sees what the first has cached."""
    folder = CACHE / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def free_port() -> int:
    """A loopback port that is not in use, and that no other test process of this machine receives while this one lives."""
    while True:
        port = next(_ports)
        with socket.socket() as probe, contextlib.suppress(OSError):
            fcntl.lockf(_port_locks(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            probe.bind(("127.0.0.1", port))
            return port


@functools.cache
def _port_locks() -> int:
    """A file whose byte N is locked by the process that has port N; the kernel unlocks it when that process ends."""
    CACHE.mkdir(parents=True, exist_ok=True)
    return os.open(CACHE / "ports.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
