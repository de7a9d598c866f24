"""The value that every decision about a gateway's state is given as, and the exception that carries one."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from ..observe.ports import ApiError
from .reasons import Reason

T = TypeVar("T")

RETRY_REFUSED = 30.0  # seconds until a write is retried that needs manual action first


@dataclass(frozen=True, slots=True)
class Finding:
    """A condition before it has a type and a time. `reason` is a Reason, or one that the kubelet or the gateway gave."""

    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


class BlockedError(Exception):
    """An object cannot be written until something else changes. The finding goes into conditions; `retry` is in seconds."""

    def __init__(self, reason: Reason, message: str, retry: float = RETRY_REFUSED) -> None:
        super().__init__(message)
        self.finding, self.retry = Finding("False", reason, message), retry


def joined(blocked: Sequence[BlockedError]) -> Finding | None:
    """All messages under one reason: a conflict first, because it concerns Ready, too."""
    if not blocked:
        return None
    reasons = [error.finding.reason for error in blocked]
    reason = Reason.CONFLICT if Reason.CONFLICT in reasons else reasons[0]
    return Finding("False", reason, "; ".join(error.finding.message for error in blocked))


async def guarded(call: Awaitable[T], request: str) -> T:
    """The result of a write. `request` names it in the message.

    Raises: BlockedError if a retry cannot succeed, ApiError if the queue is to retry.
    """
    try:
        return await call
    except ApiError as error:
        if not error.terminal:
            raise
        reason = Reason.FORBIDDEN if error.status == 403 else Reason.REJECTED
        raise BlockedError(reason, f"{request}: {error.message}") from error
