"""Who may: host, origin and bearer token of a request, before any JSON-RPC."""

from __future__ import annotations

from collections.abc import Mapping

from .answer import Headers
from .auth import TokenTable, host_allowed, origin_allowed
from .config import Config

SESSION_HEADER = b"mcp-session-id"


class Denied(Exception):
    """An HTTP-level refusal, before any JSON-RPC."""

    def __init__(self, status: int, message: str, headers: Headers | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers or []


def admit(headers: Mapping[bytes, bytes], *, config: Config, tokens: TokenTable) -> str:
    """The principal of a request that may proceed. Raises: Denied."""
    host = headers.get(b"host", b"")
    if not host_allowed(host, config.allowed_hosts):
        raise Denied(421, f"host {host.decode('latin-1')[:80]!r} is not served here: add it to spec.allowedHosts")
    origin = headers.get(b"origin")
    if origin is not None and not origin_allowed(origin, host, config.allowed_origins):
        raise Denied(403, f"origin {origin.decode('latin-1')[:80]!r} is not allowed: add it to spec.allowedOrigins")
    principal = tokens.principal(headers.get(b"authorization", b""))
    if principal is None:
        raise Denied(401, "a valid bearer token is needed", [(b"www-authenticate", b'Bearer realm="mcp"')])
    return principal
