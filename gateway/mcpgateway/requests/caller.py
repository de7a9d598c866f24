"""A request that may be served, and who it is for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from msgspec import UNSET, Raw

from ..access.sessions import Session
from ..protocol import jsonrpc, request_meta
from ..protocol.request_meta import RequestMeta
from ..upstream.snapshot import Caller
from . import input_required
from .responder import Responder

_MAX_CACHED = 4096  # bytes of capabilities that are worth remembering


@dataclass(slots=True)  # not frozen: that would cost a microsecond each
class Request:
    """One request that may be served."""

    answer: Responder
    params: dict[str, Raw]
    caller: Caller
    meta: RequestMeta
    headers: Mapping[bytes, bytes]

    @property
    def binding(self) -> str:
        """What a `requestState` of this request belongs to."""
        method = self.answer.method
        return input_required.binding(principal=self.caller.principal, method=method, params=self.params)


def caller_of(session: Session) -> Caller:
    """The caller of a legacy request is its session."""
    return _session_caller(session.id, session.principal, session.capabilities)


@lru_cache(maxsize=512)
def _session_caller(id: str, principal: str, capabilities: bytes) -> Caller:
    return Caller(id, principal, _identity(principal, capabilities), capabilities)


def modern_caller(principal: str, meta: RequestMeta) -> Caller:
    """The caller of a modern request is its principal, together with what its client can be asked."""
    capabilities = b"{}" if meta.capabilities is UNSET else jsonrpc.one_line(bytes(meta.capabilities))
    return (_cached_caller if len(capabilities) <= _MAX_CACHED else _modern_caller)(principal, capabilities)


def _modern_caller(principal: str, capabilities: bytes) -> Caller:
    identity = _identity(principal, capabilities)
    return Caller(identity, principal, identity, capabilities)


_cached_caller = lru_cache(maxsize=1024)(_modern_caller)  # clients declare the same with every request


def _identity(principal: str, capabilities: bytes) -> str:
    """A principal and what its client can be asked."""
    mark = hashlib.sha256(request_meta.asking(capabilities)).hexdigest()[:12]
    return f"principal:{principal}:{mark}"
