"""Why a server cannot answer: a value that is kept and shown, and the exception that carries it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from . import exit_cause
from .visible_text import message_text


class Reason(StrEnum):
    """Why a server, or one request to it, failed; docs/conditions.md says for each what to do."""

    ACCESS_DENIED = "AccessDenied"
    CONNECTING = "Connecting"
    CRASH_LOOP = "CrashLoopBackOff"
    DRAINING = "Draining"
    EXITED = "Exited"
    INTERNAL_ERROR = "InternalError"
    INVALID_ADDRESS = "InvalidAddress"
    INVALID_CA_BUNDLE = "InvalidCABundle"
    INVALID_CONFIGURATION = "InvalidConfiguration"
    INVALID_HEADER = "InvalidHeader"
    ITEMS_HIDDEN = "ItemsHidden"
    LIST_FAILED = "ListFailed"
    MEMORY_SHORT = "MemoryShort"
    MISSING_REFERENCE = "MissingReference"
    MOVED = "Moved"
    NO_ADDRESS = "NoAddress"
    OVERLOADED = "Overloaded"
    PROTOCOL_ERROR = "ProtocolError"
    REDIRECTED = "Redirected"
    REFERENCES_CHANGED = "ReferencesChanged"
    REFUSED = "Refused"
    SESSION_LOST = "SessionLost"
    START_FAILED = "StartFailed"
    STATE_LOST = "StateLost"
    TAKEN_OVER = "TakenOver"
    TIMEOUT = "Timeout"
    TOOLS_PENDING = "ToolsPending"
    UNREACHABLE = "Unreachable"
    UNRESPONSIVE = "Unresponsive"


class Exit(msgspec.Struct, frozen=True, rename="camel"):
    """How a server's process ended, as its bridge reports it."""

    code: int
    signal: str = ""
    oom: bool = False
    head: tuple[str, ...] = ()  # the first lines on stderr, if they are not among the last
    omitted: int = 0  # lines between these and the last
    stderr: tuple[str, ...] = ()  # the last lines
    recent: int = 0  # how many of these were written after the last output
    stdout: tuple[str, ...] = ()  # the first lines on stdout that are no messages

    def cause(self, *, answered: bool = False) -> str:
        """The line that says what went wrong. Of a process that has `answered` only what it wrote after its last output counts:
        the rest may be about an earlier call, of another client."""
        if not answered:
            return exit_cause.cause((*self.head, *self.stderr), self.stdout)
        return exit_cause.cause(self.stderr[max(0, len(self.stderr) - self.recent) :])


@dataclass(frozen=True, slots=True)
class Failure:
    """A server that is away, refuses or has died. It is a value, so it can be kept and given to every caller.

    Args:
        server: The server's name.
        reason: The kind of failure.
        message: The cause in words, for a caller and for `status`. Text of a server in it is made visible and bounded.
        exit: How the process ended, where that is the cause.
    """

    server: str
    reason: Reason
    message: str
    exit: Exit | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", message_text(self.message))

    def __str__(self) -> str:
        return f"server {self.server!r}: {self.reason}: {self.message}"

    def data(self) -> dict[str, Any]:
        """The `data` member of the JSON-RPC error that a caller gets."""
        data: dict[str, Any] = {"server": self.server, "reason": self.reason.value}
        if self.exit is not None:
            data["exitCode"] = self.exit.code
            if self.exit.signal:
                data["signal"] = self.exit.signal
        return data


class UpstreamError(Exception):
    """Carries a failure up to whoever handles it.

    Each raise needs its own: an exception that is stored and raised again gains a traceback with every caller.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure


def exited(server: str, exit: Exit, *, answered: bool = False) -> Failure:
    """The failure of a process that has ended; `answered` says whether it had sent a valid message before."""
    how = f"killed by {exit.signal}" if exit.signal else f"exit code {exit.code}"
    if exit.oom:
        how += " (out of memory)"
    cause = exit.cause(answered=answered)
    return Failure(server, Reason.EXITED, f"its process ended, {how}{': ' if cause else ''}{cause}", exit)


def draining(server: str) -> Failure:
    """The failure of a bridge that is shutting down."""
    return Failure(server, Reason.DRAINING, "its bridge is shutting down")


def silent(server: str, seconds: float) -> Failure:
    """The failure of a bridge that has sent nothing for so many seconds."""
    return Failure(server, Reason.UNREACHABLE, f"its bridge has been silent for {seconds:g} s")


def internal(server: str, error: Exception) -> Failure:
    """The failure of the gateway itself while it serves a server; the traceback is in its log."""
    return Failure(server, Reason.INTERNAL_ERROR, f"the gateway failed on it: {type(error).__name__}; its log has the traceback")


def invalid_entry(server: str, words: str) -> Failure:
    """The failure of a server whose entry in the gateway's configuration file cannot be used."""
    return Failure(server, Reason.INVALID_CONFIGURATION, words)
