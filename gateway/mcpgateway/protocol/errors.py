"""Why a server cannot answer, in words for a caller and for `status`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec


class Exit(msgspec.Struct, frozen=True, rename="camel"):
    """How a server's process ended, as its bridge reports it."""

    code: int
    signal: str = ""
    oom: bool = False
    stderr: tuple[str, ...] = ()


@dataclass
class UpstreamError(Exception):
    """A server that is away, refuses or has died; `reason` is CamelCase and documented in docs/conditions.md."""

    server: str
    reason: str
    message: str
    exit: Exit | None = None

    def __str__(self) -> str:
        return f"server {self.server!r}: {self.reason}: {self.message}"

    def data(self) -> dict[str, Any]:
        """The `data` member of the JSON-RPC error that a caller gets."""
        data: dict[str, Any] = {"server": self.server, "reason": self.reason}
        if self.exit is not None:
            data["exitCode"] = self.exit.code
            if self.exit.signal:
                data["signal"] = self.exit.signal
        return data


def exited(server: str, exit: Exit) -> UpstreamError:
    """The error for a process that has ended."""
    how = f"killed by {exit.signal}" if exit.signal else f"exit code {exit.code}"
    if exit.oom:
        how += " (out of memory)"
    last = f": {exit.stderr[-1]}" if exit.stderr else ""
    return UpstreamError(server, "Exited", f"its process ended, {how}{last}", exit)


def draining(server: str) -> UpstreamError:
    """The error for a bridge that is shutting down."""
    return UpstreamError(server, "Draining", "its bridge is shutting down")


def silent(server: str, seconds: float) -> UpstreamError:
    """The error for a bridge from which nothing has come for so long."""
    return UpstreamError(server, "Unreachable", f"its bridge has been silent for {seconds:g} s")
