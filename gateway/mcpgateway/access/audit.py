"""The audit log: one JSON line for each request, with principal, method and outcome, on standard output (`spec.audit`).

A thread of its own writes the lines in batches, so that a slow reader of the log delays no request. What is not read in time is
dropped, and counted.
"""

from __future__ import annotations

import asyncio
import os
import queue
import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Literal

import msgspec

_INTERVAL: Final = 0.1  # seconds between batches
_MAX_BATCH: Final = 10_000  # entries
_MAX_WAITING: Final = 32  # batches
_CLOSE_TIMEOUT: Final = 2.0  # seconds for the last batches

Outcome = Literal["ok", "error", "cancelled", "denied"]

_OPAQUE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")  # a URI without an authority
_QUERY: Final = re.compile(r"[?#]")

_encode = msgspec.json.Encoder().encode


class Entry(msgspec.Struct, omit_defaults=True, tag_field="log", tag="audit", gc=False, kw_only=True):
    """One request that is over."""

    time: float | str  # Unix seconds; when it is written, as RFC 3339 says
    outcome: Outcome
    principal: str = ""  # absent if the request was denied
    session: str = ""  # of a legacy client; not the token, which is a secret
    method: str = ""
    name: str = ""  # of the tool or prompt as clients see it, or the resource's URI without what may be secret in it
    server: str = ""
    code: int = 0  # of an error: JSON-RPC's; of what was denied: HTTP's
    message: str = ""  # of what was denied
    ms: float = 0.0  # how long it took


class Audit:
    """Takes entries on the loop's thread and writes them to a file descriptor."""

    def __init__(self, descriptor: int, *, on_dropped: Callable[[int], None]) -> None:
        self._descriptor = descriptor
        self._on_dropped = on_dropped
        self._entries: list[Entry] = []
        self._batches: queue.Queue[list[Entry] | None] = queue.Queue(_MAX_WAITING)
        self._thread: threading.Thread | None = None
        self._failed = 0  # entries that could not be written

    def add(self, entry: Entry) -> None:
        """One more request is over."""
        entries = self._entries
        if not entries:
            asyncio.get_running_loop().call_later(_INTERVAL, self._hand_over)
        if len(entries) < _MAX_BATCH:
            entries.append(entry)
        else:
            self._on_dropped(1)

    def _hand_over(self) -> None:
        failed, self._failed = self._failed, 0
        if failed:
            self._on_dropped(failed)
        entries, self._entries = self._entries, []
        if not entries:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._write_all, name="audit", daemon=True)
            self._thread.start()
        try:
            self._batches.put_nowait(entries)
        except queue.Full:
            self._on_dropped(len(entries))

    def close(self) -> None:
        """Write what is left, if it is read in time."""
        self._hand_over()
        if self._thread is not None:
            deadline = time.monotonic() + _CLOSE_TIMEOUT
            try:
                self._batches.put(None, timeout=_CLOSE_TIMEOUT)
            except queue.Full:
                return
            self._thread.join(max(0.0, deadline - time.monotonic()))

    # --- on its own thread ------------------------------------------------------------------------------------------------

    def _write_all(self) -> None:
        while (batch := self._batches.get()) is not None:
            data = b"".join(map(line, batch))
            try:
                while data:
                    data = data[os.write(self._descriptor, data) :]
            except OSError:
                self._failed += len(batch)


def line(entry: Entry) -> bytes:
    """An entry as it is written."""
    entry.name = without_secrets(entry.name)
    if isinstance(entry.time, float):
        entry.time = f"{_second(int(entry.time))}.{int(entry.time % 1 * 1000):03d}Z"
    return _encode(entry) + b"\n"


@lru_cache(maxsize=4)
def _second(unix: int) -> str:
    return datetime.fromtimestamp(unix, UTC).isoformat()[:19]


def without_secrets(name: str) -> str:
    """A URI without user information, query and fragment (RFC 3986 section 3), where secrets are; any other name as it is."""
    scheme, mark, rest = name.partition("://")
    if not mark:
        return _QUERY.split(name, maxsplit=1)[0] if _OPAQUE.match(name) else name
    rest = _QUERY.split(rest, maxsplit=1)[0]
    authority, slash, path = rest.partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"
