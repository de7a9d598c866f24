"""The gateway's proof to a bridge: a signature over the bridge's challenge, the server's name and the address.

Source: docs/bridge-protocol.md, "Proof". Keys are PEM files with an Ed25519 private key in PKCS #8 (RFC 8410, section 7).
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_CONTEXT: Final = "MCP-BRIDGE/1 proof"
_CHALLENGE_BYTES: Final = 32
_PKCS8_PREFIX: Final = bytes.fromhex("302e020100300506032b657004220420")  # version 0, id-Ed25519, and the seed's two headers
_SEED_BYTES: Final = 32


class ProofError(Exception):
    """No proof can be made; the message says why and what to do."""


class BridgeKeys:
    """The private keys with which this gateway proves itself to bridges.

    Args:
        folder: A folder of PEM files, or None for a gateway that has no key. It is read for each proof, because a mounted
            Secret may appear or change. The last file in sorted order signs, so that a key can be rotated: first the bridges
            get the new public key, then the gateway gets the new private key.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def prove(self, *, challenge: str, server: str, peer: tuple[str, int]) -> Mapping[str, object]:
        """The answer to a bridge's challenge.

        Args:
            challenge: The challenge, 32 bytes in base64.
            server: The server's name.
            peer: IP address and port that the connection is to.

        Raises:
            ProofError: The challenge is malformed, or there is no usable key.
        """
        if _decoded(challenge) is None:
            raise ProofError("its bridge sent a malformed challenge")
        address = canonical_address(*peer)
        message = "\n".join((_CONTEXT, challenge, server, address)).encode()
        signature = base64.b64encode(_sign(self._seed(), message)).decode()
        return {"proof": {"server": server, "address": address, "signature": signature}}

    def _seed(self) -> bytes:
        if self._folder is None:
            raise ProofError("its bridge requires a proof, and this gateway has no key: set --bridge-keys")
        try:
            files = sorted(path for path in self._folder.iterdir() if not path.name.startswith("."))
            content = files[-1].read_text() if files else ""
        except (OSError, UnicodeDecodeError) as error:
            raise ProofError(f"its bridge requires a proof, and the gateway's key cannot be read: {error}") from error
        if not files:
            raise ProofError(
                f"its bridge requires a proof, and {self._folder} holds no key: check the Secret that is mounted there"
            )
        return _seed_of(files[-1], content)


def canonical_address(host: str, port: int) -> str:
    """`HOST:PORT` as the bridge prints its own end: RFC 5952, without a zone, IPv4-mapped addresses as IPv4."""
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    if mapped is not None or isinstance(address, ipaddress.IPv4Address):
        return f"{mapped or address}:{port}"
    return f"[{address}]:{port}"


def _decoded(challenge: str) -> bytes | None:
    try:
        raw = base64.b64decode(challenge, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if len(raw) == _CHALLENGE_BYTES else None


def _seed_of(path: Path, pem: str) -> bytes:
    """The private key's 32 bytes."""
    lines = [line.strip() for line in pem.strip().splitlines()]
    if len(lines) >= 3 and lines[0] == "-----BEGIN PRIVATE KEY-----" and lines[-1] == "-----END PRIVATE KEY-----":
        try:
            der = base64.b64decode("".join(lines[1:-1]), validate=True)
        except (binascii.Error, ValueError):
            der = b""
        if der.startswith(_PKCS8_PREFIX) and len(der) == len(_PKCS8_PREFIX) + _SEED_BYTES:
            return der[len(_PKCS8_PREFIX) :]
    raise ProofError(f"{path} is not a PEM file with an Ed25519 PRIVATE KEY (RFC 8410)")


def _sign(seed: bytes, message: bytes) -> bytes:
    """One signature for each connection, so the library is imported with the first."""
    from nacl.signing import SigningKey

    return SigningKey(seed).sign(message).signature
