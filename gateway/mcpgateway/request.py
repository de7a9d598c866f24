"""A request that may be served, and who it is for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from msgspec import Raw

from . import era as eras
from .answer import Answer
from .session import Session
from .upstream.state import Caller


@dataclass(slots=True)  # not frozen: that would cost a microsecond each
class Request:
    """One request that may be served."""

    answer: Answer
    params: dict[str, Raw]
    caller: Caller
    principal: str
    headers: Mapping[bytes, bytes]


def caller_of(session: Session | None, principal: str, params: dict[str, Raw]) -> Caller:
    """The caller of a request: its session, or its principal together with what its client can be asked."""
    capabilities = session.capabilities if session else eras.client_capabilities(params)
    identity = _identity(principal, capabilities)
    return Caller(session.id if session else identity, principal, identity, capabilities)


@lru_cache(maxsize=1024)
def _identity(principal: str, capabilities: bytes) -> str:
    """A principal and what its client can be asked; clients say the same of themselves with every request."""
    mark = hashlib.sha256(eras.asking(capabilities)).hexdigest()[:12]
    return f"principal:{principal}:{mark}"
