"""Waiting until the Secrets and ConfigMaps of a server are there: its bridge knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..protocol.errors import Failure, Reason, UpstreamError, silent
from ..runtime.background import first
from .transport import Watch

SILENCE: Final = 35.0  # seconds without a line from a watched bridge, which sends one every 10


async def await_references(server: str, watch: Watch, on_missing: Callable[[Failure], object]) -> None:
    """Wait while some are missing; each change of what is missing is told. Raises: UpstreamError."""
    while watch.control.missing:
        on_missing(Failure(server, Reason.MISSING_REFERENCE, f"not there: {', '.join(watch.control.missing)}"))
        watch.news.clear()
        await first([watch.news], [watch.closed], SILENCE)
        if watch.closed.done():
            raise UpstreamError(watch.closed.result())
        if not watch.news.is_set():
            raise UpstreamError(silent(server, SILENCE))
