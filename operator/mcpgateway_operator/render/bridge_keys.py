"""The key pair by which a gateway proves itself to its bridges. Pure: the randomness comes from the caller.

Source: RFC 8410 (Ed25519 in PKCS #8 and SubjectPublicKeyInfo) and RFC 7468 (PEM); docs/bridge-protocol.md, "Proof".
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final

SEED_BYTES: Final = 32
PRIVATE: Final = "private.pem"  # keys of the Secret, and names of the files
PUBLIC: Final = "public.pem"

GATEWAY_FOLDER: Final = "/etc/mcpgateway/bridge-keys"  # in the gateway's container: the private key
SERVER_FOLDER: Final = "/run/mcpgateway/gateway-keys"  # in a server's container: the public key

_PKCS8_PREFIX: Final = bytes.fromhex("302e020100300506032b657004220420")
_SPKI_PREFIX: Final = bytes.fromhex("302a300506032b6570032100")


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An Ed25519 key pair as PEM files."""

    private: bytes
    public: bytes


def key_pair(seed: bytes) -> KeyPair:
    """The key pair of a seed of SEED_BYTES random bytes (RFC 8032, section 5.1.5)."""
    from nacl.signing import SigningKey  # here, because few processes make a key

    public = bytes(SigningKey(seed).verify_key)
    return KeyPair(_pem("PRIVATE KEY", _PKCS8_PREFIX + seed), _pem("PUBLIC KEY", _SPKI_PREFIX + public))


def _pem(label: str, der: bytes) -> bytes:
    """Both kinds fit into a single line of 64 characters."""
    return f"-----BEGIN {label}-----\n{base64.b64encode(der).decode()}\n-----END {label}-----\n".encode()
