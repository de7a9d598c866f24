"""Session ids that any replica can verify: signed tokens, so that there is no table to share.

Source: MCP specification 2025-11-25, "Session Management": visible ASCII, secure random, bound to the user, 404 when unknown.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import struct
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

_HEAD = struct.Struct(">16s8sQ10s")  # random id, principal, issued at (Unix seconds), protocol version
_PURPOSE = b"mcp-session"
_MAX_ENDED = 100_000
_MAX_KNOWN = 10_000
_MAX_CAPABILITIES = 600  # bytes: a token has at most 1 KiB


@dataclass(frozen=True, slots=True)
class Session:
    """One legacy client's session."""

    id: str
    principal: str
    version: str
    capabilities: bytes = b"{}"  # the client's, a JSON object


@dataclass(frozen=True, slots=True)
class _Token:
    """What a token whose signature was good says."""

    id: str
    owner: bytes  # digest of the principal
    issued: int  # Unix seconds
    version: str
    capabilities: bytes


class KeyRing:
    """Signing keys by id; the last one in sorted order signs, all of them verify, so that keys can be rotated."""

    def __init__(self, keys: dict[str, bytes]) -> None:
        self._keys = dict(sorted(keys.items())) or {"0": secrets.token_bytes(32)}
        self._current = list(self._keys)[-1]

    @classmethod
    def load(cls, folder: Path | None) -> KeyRing:
        """Read one key a file. Without any, the key is this process's own, and sessions end with it."""
        files = sorted(folder.iterdir()) if folder and folder.is_dir() else []
        return cls({f.name: f.read_bytes() for f in files if f.is_file() and not f.name.startswith(".")})

    def sign(self, payload: bytes, purpose: bytes) -> str:
        """`<key id>.<payload>.<signature>`, each of visible ASCII; good for one purpose only."""
        return ".".join((self._current, _b64(payload), _b64(self._mac(self._current, payload, purpose))))

    def verify(self, token: str, purpose: bytes) -> bytes | None:
        """The payload of a token that one of our keys signed for this purpose, else None."""
        key, _, rest = token.partition(".")
        body, _, signature = rest.partition(".")
        if key not in self._keys or len(token) > 1024:
            return None
        try:
            payload, mac = _unb64(body), _unb64(signature)
        except ValueError:
            return None
        return payload if hmac.compare_digest(mac, self._mac(key, payload, purpose)) else None

    def _mac(self, key: str, payload: bytes, purpose: bytes) -> bytes:
        return hmac.digest(self._keys[key], purpose + b"\0" + payload, "sha256")


class Sessions:
    """Issues and recognises sessions."""

    def __init__(self, ring: KeyRing, *, ttl: float) -> None:
        self._ring, self.ttl = ring, ttl  # ttl: seconds from a session's beginning
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._known: OrderedDict[str, _Token] = OrderedDict()  # tokens whose signature has been seen to be good

    def issue(self, *, principal: str, version: str, now: float, capabilities: bytes = b"{}") -> str:
        """A new session's token. Capabilities that would make it too long are left out: then nobody makes use of them."""
        payload = _HEAD.pack(secrets.token_bytes(16), _digest(principal), int(now), version.encode())
        return self._ring.sign(payload + (capabilities if len(capabilities) <= _MAX_CAPABILITIES else b"{}"), _PURPOSE)

    def find(self, token: str, *, principal: str, now: float) -> Session | None:
        """The session of a token; None if it is foreign, forged, expired, ended or another principal's."""
        known = self._known.get(token)
        if known is None:
            known = self._verified(token)
            if known is None:
                return None
            self._known[token] = known
            if len(self._known) > _MAX_KNOWN:
                self._known.popitem(last=False)
        if not hmac.compare_digest(known.owner, _digest(principal)) or now - known.issued > self.ttl:
            return None
        session = Session(id=known.id, principal=principal, version=known.version, capabilities=known.capabilities)
        return None if session.id in self._ended else session

    def _verified(self, token: str) -> _Token | None:
        payload = self._ring.verify(token, _PURPOSE)
        if payload is None or len(payload) < _HEAD.size:
            return None
        random, owner, issued, version = _HEAD.unpack_from(payload)
        return _Token(random.hex(), owner, issued, version.decode(), payload[_HEAD.size :] or b"{}")

    def end(self, session: Session) -> None:
        """Remember that a session was ended by its client."""
        self._ended[session.id] = None
        if len(self._ended) > _MAX_ENDED:
            self._ended.popitem(last=False)


def _digest(principal: str) -> bytes:
    return hashlib.sha256(principal.encode()).digest()[:8]


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
