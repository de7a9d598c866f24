"""A request that may be served, and who it is for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from msgspec import UNSET, Raw

from . import era as eras
from . import jsonrpc
from .answer import Answer
from .era import Stamp
from .session import Session
from .upstream.state import Caller


@dataclass(slots=True)  # not frozen: that would cost a microsecond each
class Request:
    """One request that may be served."""

    answer: Answer
    params: dict[str, Raw]
    caller: Caller
    stamp: Stamp
    headers: Mapping[bytes, bytes]


def caller_of(session: Session) -> Caller:
    """The caller of a legacy request is its session."""
    return Caller(session.id, session.principal, _identity(session.principal, session.capabilities), session.capabilities)


def modern_caller(principal: str, stamp: Stamp) -> Caller:
    """The caller of a modern request is its principal, together with what its client can be asked."""
    capabilities = b"{}" if stamp.capabilities is UNSET else jsonrpc.one_line(bytes(stamp.capabilities))
    identity = _identity(principal, capabilities)
    return Caller(identity, principal, identity, capabilities)


@lru_cache(maxsize=1024)
def _identity(principal: str, capabilities: bytes) -> str:
    """A principal and what its client can be asked; clients say the same of themselves with every request."""
    mark = hashlib.sha256(eras.asking(capabilities)).hexdigest()[:12]
    return f"principal:{principal}:{mark}"
