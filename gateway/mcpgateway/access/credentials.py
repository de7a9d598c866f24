"""Who is asking: bearer tokens from mounted files, and the Host and Origin of a request.

Source: RFC 6750; MCP specification, "Streamable HTTP", security warning (Origin must be checked, DNS rebinding).
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Collection, Sequence
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from ..config import Auth

ANONYMOUS = "anonymous"
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


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
        found = None
        if scheme.lower() == b"bearer":
            # by digest: what the look-up compares, and how long it takes, says nothing about a token
            found = self._digests.get(hashlib.sha256(value.strip()).digest())
        if found is None and self._auth.allow_unauthenticated:
            return ANONYMOUS
        return found


@lru_cache(maxsize=256)
def host_allowed(host: bytes, allowed: tuple[str, ...]) -> bool:
    """Whether a Host header names us. An address cannot be rebound by DNS, a foreign name can."""
    name = _host_name(host)
    if name is None:
        return False
    return name in _LOOPBACK_NAMES or name in allowed or _is_address(name)


def origin_allowed(origin: bytes, host: bytes, allowed: Collection[str]) -> bool:
    """Whether a browser's page may talk to us: same host, or named."""
    text = origin.decode("latin-1")
    if text in allowed:
        return True
    try:
        split = urlsplit(text)
        name = split.hostname
    except ValueError:
        return False
    if split.scheme not in ("http", "https") or not name:
        return False
    return split.netloc.encode("latin-1") == host or (name in _LOOPBACK_NAMES and _host_name(host) in _LOOPBACK_NAMES)


def _host_name(host: bytes) -> str | None:
    try:
        return urlsplit("//" + host.decode("latin-1")).hostname
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def joined(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by name; one that is repeated is joined by a comma, as RFC 9110 section 5.3 says."""
    out: dict[bytes, bytes] = {}
    for name, value in headers:
        out[name] = out[name] + b", " + value if name in out else value
    return out
