"""The principal of a request from its bearer token, and the checks of its Host and Origin.

Source: RFC 6750; RFC 9110 section 7.2; RFC 6454. MCP specification, "Streamable HTTP", security warning.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Final

from ..config import Auth

ANONYMOUS = "anonymous"
_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
# An IPv6 address in brackets, or a name or IPv4 address, and a port. Anything else, user information above all, is refused:
# different readers would take different parts of it for the host.
_HOST: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,255}))(?::[0-9]{0,5})?")
_ORIGIN: Final = re.compile(r"https?://(.*)", re.IGNORECASE)


class TokenTable:
    """The accepted tokens, kept as digests; a file that is missing or empty accepts nothing."""

    def __init__(self, auth: Auth) -> None:
        self._auth = auth
        self._digests: dict[bytes, str] = {}
        self.missing: tuple[str, ...] = ()
        self.reload()

    def reload(self) -> None:
        """Read the files again; they change when a Secret does."""
        digests: dict[bytes, str] = {}
        missing = []
        for token in self._auth.tokens:
            try:
                value = Path(token.file).read_bytes().strip()
            except OSError:
                value = b""
            if value:
                digests[hashlib.sha256(value).digest()] = token.name
            else:
                missing.append(token.reference or token.file)
        self._digests, self.missing = digests, tuple(missing)

    def principal(self, authorization: bytes) -> str | None:
        """The name behind an Authorization header; None is 401."""
        scheme, _, value = authorization.partition(b" ")
        principal = None
        if scheme.lower() == b"bearer":
            # by digest: what the look-up compares, and how long it takes, reveals nothing about a token
            principal = self._digests.get(hashlib.sha256(value.strip()).digest())
        if principal is None and self._auth.allow_unauthenticated:
            return ANONYMOUS
        return principal


@lru_cache(maxsize=256)
def host_allowed(host: bytes, allowed: tuple[str, ...]) -> bool:
    """Whether a Host header names this gateway. An address cannot be rebound by DNS, another name can."""
    name = host_name(host)
    if name is None:
        return False
    return name in _LOOPBACK_NAMES or name in allowed or _is_address(name)


def origin_allowed(origin: bytes, host: bytes, allowed: Collection[str]) -> bool:
    """Whether a browser's page may send requests: it has the same host, or is listed."""
    text = origin.decode("latin-1")
    if text in allowed:
        return True
    match = _ORIGIN.fullmatch(text)
    name = host_name(match[1].encode("latin-1")) if match else None
    if match is None or name is None:
        return False
    same = match[1].lower() == host.decode("latin-1").lower()
    return same or (name in _LOOPBACK_NAMES and host_name(host) in _LOOPBACK_NAMES)


def host_name(host: bytes) -> str | None:
    """The name or address in a Host header, in lower case and without brackets; None if it is malformed."""
    match = _HOST.fullmatch(host.decode("latin-1"))
    return (match[1] or match[2]).lower() if match else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
