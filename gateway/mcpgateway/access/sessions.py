"""Session ids that any replica can verify: signed tokens, so that there is no table to share.

Source: MCP specification 2025-11-25, "Session Management": visible ASCII, secure random, bound to the user, 404 when unknown.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct
from collections import Counter, OrderedDict
from collections.abc import Container
from dataclasses import dataclass, field

from .keyring import KeyRing

_HEAD = struct.Struct(">16s8sQ10s")  # random id, principal, issued at (Unix seconds), protocol version
_PURPOSE = b"mcp-session"
_MAX_ENDED = 100_000
_MAX_CAPABILITIES = 600  # bytes: a token has at most 1 KiB


@dataclass(frozen=True, slots=True)
class Session:
    """One legacy client's session."""

    id: str
    principal: str
    version: str
    capabilities: bytes = b"{}"  # the client's, a JSON object
    token: str = field(default="", repr=False)  # a secret


@dataclass(slots=True)
class _Live:
    """A session in use here, and when it was used last (Unix seconds)."""

    session: Session
    issued: int
    used: float


class TooManySessionsError(Exception):
    """No further session can begin now."""


class Sessions:
    """Issues and recognises sessions, and counts those that are in use at this gateway.

    One that is not counted here is still valid: another replica, or this one before it was restarted, has issued it.
    Half of the limit is for whoever comes first; of the other half each principal has a share that others cannot use.
    """

    def __init__(
        self, ring: KeyRing, *, ttl: float, idle_timeout: float = 1800.0, limit: int = 10_000, principals: int = 1
    ) -> None:
        self._ring = ring
        self.ttl, self.idle_timeout = ttl, idle_timeout  # seconds from a session's beginning, and from its last use
        self.limit = limit  # sessions in use at once
        self.principals = principals  # how many there can be
        self._live: dict[str, _Live] = {}  # by token; its signature has been verified
        self._counts: Counter[str] = Counter()  # by principal
        self._ended: OrderedDict[str, None] = OrderedDict()

    @property
    def count(self) -> int:
        """How many are in use here."""
        return len(self._live)

    def count_of(self, principal: str) -> int:
        """How many of a principal's are in use here."""
        return self._counts[principal]

    def _has_room(self, principal: str) -> bool:
        """Whether one more of a principal's can begin without using another one's share."""
        share = self.limit // (2 * max(1, self.principals))
        if self.full or self._counts[principal] < share:
            return not self.full
        beyond = sum(max(0, count - share) for count in self._counts.values())
        return beyond < self.limit - share * self.principals

    @property
    def full(self) -> bool:
        """Whether no further one can begin."""
        return len(self._live) >= self.limit

    def issue(self, *, principal: str, version: str, now: float, capabilities: bytes = b"{}") -> str:
        """A new session's token. Capabilities that would make it too long are left out: then they are not used.

        Raises: TooManySessionsError.
        """
        if not self._has_room(principal):
            raise TooManySessionsError
        payload = _HEAD.pack(secrets.token_bytes(16), _digest(principal), int(now), version.encode())
        token = self._ring.sign(payload + (capabilities if len(capabilities) <= _MAX_CAPABILITIES else b"{}"), _PURPOSE)
        self._adopt(token, principal, now)
        return token

    def find(self, token: str, *, principal: str, now: float) -> Session | None:
        """The session of a token; None if it is foreign, forged, expired, ended or another principal's.

        One that has been idle for too long is returned until it is ended: `over` also considers other uses than this.
        """
        live = self._live.get(token) or self._adopt(token, principal, now)
        if live is None or live.session.principal != principal or now - live.issued > self.ttl:
            return None
        live.used = now
        return live.session

    def _adopt(self, token: str, principal: str, now: float) -> _Live | None:
        """Count a session that is used for the first time here; None if it is not this principal's, or not valid."""
        payload = self._ring.verify(token, _PURPOSE)
        if payload is None or len(payload) < _HEAD.size:
            return None
        random, owner, issued, version = _HEAD.unpack_from(payload)
        id = random.hex()
        if id in self._ended or not hmac.compare_digest(owner, _digest(principal)):
            return None
        capabilities = payload[_HEAD.size :] or b"{}"
        session = Session(id=id, principal=principal, version=version.decode(), capabilities=capabilities, token=token)
        if self.full:  # it continues: only new ones are refused, and one that is not counted any more can return
            self._discard(next(iter(self._live)))
        live = self._live[token] = _Live(session, issued, now)
        self._counts[principal] += 1
        return live

    def _discard(self, token: str) -> None:
        live = self._live.pop(token, None)
        if live is not None:
            principal = live.session.principal
            self._counts[principal] -= 1
            if not self._counts[principal]:
                del self._counts[principal]

    def over(self, *, now: float, busy: Container[str]) -> list[Session]:
        """The sessions whose time is up; those with the ids that are `busy` are in use, even if their clients send nothing."""
        over = []
        for live in self._live.values():
            if live.session.id in busy:
                live.used = now
            if now - live.used > self.idle_timeout or now - live.issued > self.ttl:
                over.append(live.session)
        return over

    def end(self, session: Session) -> None:
        """Remember that a session was ended, by its client or because its time was up."""
        self._discard(session.token)
        self._ended[session.id] = None
        if len(self._ended) > _MAX_ENDED:
            self._ended.popitem(last=False)


def _digest(principal: str) -> bytes:
    return hashlib.sha256(principal.encode()).digest()[:8]
