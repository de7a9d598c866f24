"""Signatures of what clients carry for the gateway: session ids, request states, names of tasks. Keys can be rotated."""

from __future__ import annotations

import base64
import hmac
import secrets
from pathlib import Path
from typing import Final

_MAX_TOKEN: Final = 1024  # characters


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
        return self._token(self._current, payload, purpose)

    def verify(self, token: str, purpose: bytes) -> bytes | None:
        """The payload of a token that one of these keys signed for this purpose, else None.

        Only the spelling that was issued is accepted: base64 has several for the same bytes (RFC 4648 section 3.5), and with
        them one session would have several ids.
        """
        if len(token) > _MAX_TOKEN or not token.isascii():
            return None
        key, _, rest = token.partition(".")
        if key not in self._keys:
            return None
        try:
            payload = _unb64(rest.partition(".")[0])
        except ValueError:
            return None
        return payload if hmac.compare_digest(token, self._token(key, payload, purpose)) else None

    def _token(self, key: str, payload: bytes, purpose: bytes) -> str:
        return ".".join((key, _b64(payload), _b64(self._mac(key, payload, purpose))))

    def _mac(self, key: str, payload: bytes, purpose: bytes) -> bytes:
        return hmac.digest(self._keys[key], purpose + b"\0" + payload, "sha256")


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
