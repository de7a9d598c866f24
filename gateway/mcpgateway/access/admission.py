"""Access checks of a request before any JSON-RPC: host, origin, bearer token and session."""

from __future__ import annotations

import time
from collections.abc import Mapping

from ..config import Config
from ..protocol import jsonrpc
from .audit import Audit, Entry
from .challenges import challenge
from .credentials import ANONYMOUS, TokenTable, host_allowed, host_name, origin_allowed
from .keyring import KeyRing
from .sessions import Session, Sessions, TooManySessionsError

SESSION_HEADER = b"mcp-session-id"
_DECISIVE = (b"host", b"origin", b"authorization")  # the headers that decide
_MAX_ADMITTED = 1024

ResponseHeaders = list[tuple[bytes, bytes]]


class Denied(Exception):
    """An HTTP-level refusal, before any JSON-RPC."""

    def __init__(self, status: int, message: str, headers: ResponseHeaders | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers or []


class Admission:
    """Decides which requests are served, by the configuration in force."""

    def __init__(self, config: Config, keys: KeyRing) -> None:
        self._config = config
        self.tokens = TokenTable(config.auth)
        self.sessions = Sessions(
            keys,
            ttl=config.session_ttl,
            idle_timeout=config.session_idle_timeout,
            limit=config.max_sessions,
            principals=_principals(config),
        )
        self.audit: Audit | None = None  # None: disabled
        self._admitted: dict[tuple[bytes | None, ...], str] = {}  # principals by the headers that decided

    def configure(self, config: Config) -> None:
        """Take a changed configuration."""
        if config.auth != self._config.auth:
            self.tokens = TokenTable(config.auth)
        self._admitted.clear()
        self.sessions.ttl, self.sessions.idle_timeout = config.session_ttl, config.session_idle_timeout
        self.sessions.limit, self.sessions.principals = config.max_sessions, _principals(config)
        self._config = config

    def reload(self) -> None:
        """Read the tokens again."""
        self.tokens.reload()
        self._admitted.clear()

    def admit(self, headers: Mapping[bytes, bytes]) -> str:
        """The principal of a request that may proceed. Raises: Denied."""
        decisive = tuple(map(headers.get, _DECISIVE))
        principal = self._admitted.get(decisive)
        if principal is None:
            principal = self._judge(headers)
            if len(self._admitted) >= _MAX_ADMITTED:
                self._admitted.clear()
            self._admitted[decisive] = principal
        return principal

    def accepts_origin(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a web page of the header Origin, which is there, may read the response."""
        return origin_allowed(headers[b"origin"], headers.get(b"host", b""), self._config.allowed_origins)

    def check_source(self, headers: Mapping[bytes, bytes]) -> None:
        """Raises: Denied (400, 421, 403) for a host that is not served here, or the origin of a page that may send nothing."""
        host = headers.get(b"host", b"")
        if host_name(host) is None:
            raise Denied(400, f"the header Host is {host.decode('latin-1')[:80]!r}: it must be NAME or NAME:PORT")
        if not host_allowed(host, self._config.allowed_hosts):
            raise Denied(421, f"host {host.decode('latin-1')[:80]!r} is not served here: add it to spec.allowedHosts")
        if b"origin" in headers and not self.accepts_origin(headers):
            origin = headers[b"origin"]
            raise Denied(403, f"origin {origin.decode('latin-1')[:80]!r} is not allowed: add it to spec.allowedOrigins")

    def _judge(self, headers: Mapping[bytes, bytes]) -> str:
        self.check_source(headers)
        authorization = headers.get(b"authorization", b"")
        principal = self.tokens.principal(authorization)
        if principal is None:
            message, value = challenge(authorization)
            raise Denied(401, message, [(b"www-authenticate", value)])
        return principal

    def session(self, headers: Mapping[bytes, bytes], principal: str) -> Session:
        """The session of a legacy request. Raises: Denied (400 without a session id, 404 for one that is not valid)."""
        token = headers.get(SESSION_HEADER, b"").decode("latin-1")
        if not token:
            raise Denied(400, "the header Mcp-Session-Id is missing: send initialize first")
        session = self.sessions.find(token, principal=principal, now=time.time())
        if session is None:
            raise Denied(404, "this session does not exist or has ended: send initialize again")
        return session

    def new_session(self, principal: str, version: str, capabilities: bytes) -> str:
        """The token of a session that begins. Raises: Denied (503 if too many are in use, in total or by this principal)."""
        sessions = self.sessions
        try:
            return sessions.issue(principal=principal, version=version, now=time.time(), capabilities=capabilities)
        except TooManySessionsError:
            message = (
                f"{sessions.count_of(principal)} sessions of this principal are in use, "
                f"{sessions.count} of {sessions.limit} in all (spec.limits.maxSessions): end one with DELETE, or try again later"
            )
            raise Denied(503, message, [(b"retry-after", b"30")]) from None

    def refusal(self, denied: Denied) -> bytes:
        """The body of a refusal, which is also audited."""
        if self.audit is not None:
            self.audit.add(Entry(time=time.time(), outcome="denied", code=denied.status, message=denied.message))
        return jsonrpc.failure(b"null", jsonrpc.INVALID_REQUEST, denied.message)


def _principals(config: Config) -> int:
    """How many principals there can be."""
    return len({token.name for token in config.auth.tokens} | ({ANONYMOUS} if config.auth.allow_unauthenticated else set()))
