"""Who may: host, origin, bearer token and session of a request, before any JSON-RPC."""

from __future__ import annotations

import time
from collections.abc import Mapping

from ..config import Config
from ..protocol import jsonrpc
from ..requests.responder import Headers
from .audit import Audit, Entry
from .credentials import TokenTable, host_allowed, origin_allowed
from .keyring import KeyRing
from .sessions import Session, Sessions, TooManySessionsError

SESSION_HEADER = b"mcp-session-id"
_ASKED = (b"host", b"origin", b"authorization")  # the headers that decide
_MAX_ADMITTED = 1024


class Denied(Exception):
    """An HTTP-level refusal, before any JSON-RPC."""

    def __init__(self, status: int, message: str, headers: Headers | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers or []


class Admission:
    """Decides who may, by the configuration in force."""

    def __init__(self, config: Config, keys: KeyRing) -> None:
        self._config = config
        self.tokens = TokenTable(config.auth)
        self.sessions = Sessions(
            keys, ttl=config.session_ttl, idle_timeout=config.session_idle_timeout, limit=config.max_sessions
        )
        self.audit: Audit | None = None  # None: nobody wants to read it
        self._admitted: dict[tuple[bytes | None, ...], str] = {}  # who may, by what they have said of themselves

    def configure(self, config: Config) -> None:
        """Take a changed configuration."""
        if config.auth != self._config.auth:
            self.tokens = TokenTable(config.auth)
        self._admitted.clear()
        self.sessions.ttl, self.sessions.idle_timeout = config.session_ttl, config.session_idle_timeout
        self.sessions.limit = config.max_sessions
        self._config = config

    def reload(self) -> None:
        """Read the tokens again."""
        self.tokens.reload()
        self._admitted.clear()

    def admit(self, headers: Mapping[bytes, bytes]) -> str:
        """The principal of a request that may proceed. Raises: Denied."""
        said = tuple(map(headers.get, _ASKED))
        principal = self._admitted.get(said)
        if principal is None:
            principal = self._judge(headers)
            if len(self._admitted) >= _MAX_ADMITTED:
                self._admitted.clear()
            self._admitted[said] = principal
        return principal

    def _judge(self, headers: Mapping[bytes, bytes]) -> str:
        host = headers.get(b"host", b"")
        if not host_allowed(host, self._config.allowed_hosts):
            raise Denied(421, f"host {host.decode('latin-1')[:80]!r} is not served here: add it to spec.allowedHosts")
        origin = headers.get(b"origin")
        if origin is not None and not origin_allowed(origin, host, self._config.allowed_origins):
            raise Denied(403, f"origin {origin.decode('latin-1')[:80]!r} is not allowed: add it to spec.allowedOrigins")
        principal = self.tokens.principal(headers.get(b"authorization", b""))
        if principal is None:
            raise Denied(401, "a valid bearer token is needed", [(b"www-authenticate", b'Bearer realm="mcp"')])
        return principal

    def session(self, headers: Mapping[bytes, bytes], principal: str) -> Session:
        """The session of a legacy request. Raises: Denied (400 without one, 404 for one that is not known)."""
        token = headers.get(SESSION_HEADER, b"").decode("latin-1")
        if not token:
            raise Denied(400, "the header Mcp-Session-Id is missing: send initialize first")
        session = self.sessions.find(token, principal=principal, now=time.time())
        if session is None:
            raise Denied(404, "this session is not known or has ended: send initialize again")
        return session

    def new_session(self, principal: str, version: str, capabilities: bytes) -> str:
        """The token of a session that begins. Raises: Denied (503 if there are too many)."""
        sessions = self.sessions
        try:
            return sessions.issue(principal=principal, version=version, now=time.time(), capabilities=capabilities)
        except TooManySessionsError:
            message = f"{sessions.limit} sessions are in use (spec.limits.maxSessions): end one with DELETE, or come back later"
            raise Denied(503, message, [(b"retry-after", b"30")]) from None

    def refusal(self, denied: Denied) -> bytes:
        """What is said to somebody who may not; it is written down."""
        if self.audit is not None:
            self.audit.add(Entry(time=time.time(), outcome="denied", code=denied.status, message=denied.message))
        return jsonrpc.failure(b"null", jsonrpc.INVALID_REQUEST, denied.message)
