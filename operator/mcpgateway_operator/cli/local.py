"""The files of `mcpgw up`: references, laid out like a kubelet's mounts, and tokens and keys in the user's state folder."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path

from ..render import bridge_keys
from ..render.mounts import header_references, references
from .bad_input import BadInputError
from .documents import Documents, Gateway

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mcpgateway"
STATE = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "mcpgateway"


def state_folder(gateway: str) -> Path:
    """A private folder for one gateway."""
    folder = STATE / gateway
    (folder / "keys").mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    private_file(folder / "keys" / "k1", secrets.token_bytes(32))
    _write_key_pair(folder)
    return folder


def _write_key_pair(state: Path) -> None:
    """The private key for the gateway and the public key for the bridges: both are new when either is missing."""
    private, public = private_keys(state) / bridge_keys.PRIVATE, public_keys(state) / bridge_keys.PUBLIC
    if not (private.exists() and public.exists()):
        pair = bridge_keys.key_pair(secrets.token_bytes(bridge_keys.SEED_BYTES))
        private_file(private, pair.private, keep=False)
        private_file(public, pair.public, keep=False)


def private_keys(state: Path) -> Path:
    """The folder of the gateway's private key."""
    return state / "bridge-keys"


def public_keys(state: Path) -> Path:
    """The folder of the public key that bridges accept."""
    return state / "gateway-keys"


def private_file(path: Path, content: bytes, *, keep: bool = True) -> bytes:
    """A file with mode 0600; with `keep` an existing one stays. Returns: its content."""
    if keep and path.exists():
        return path.read_bytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_bytes(content)
    fresh.replace(path)
    return content


def variable(secret: str, key: str) -> str:
    """The environment variable with the value of a Secret's key."""
    return "MCPGW_SECRET_" + re.sub(r"[^A-Z0-9]", "_", f"{secret}_{key}".upper())


def value_of(documents: Documents, kind: str, name: str, key: str) -> bytes:
    """A referenced value: from the files, else from the environment. Raises: BadInputError that names the variable."""
    data = documents.data.get((kind, name), {})
    if key in data:
        return data[key]
    if kind == "secrets" and variable(name, key) in os.environ:
        return os.environ[variable(name, key)].encode()
    if kind == "secrets":
        raise BadInputError(
            f"Secret {name!r}, key {key!r}, is neither in the files nor in the environment: set {variable(name, key)}"
        )
    raise BadInputError(f"ConfigMap {name!r}, key {key!r}, is not in the files: add it")


def write_references(documents: Documents, gateway: Gateway, folder: Path) -> None:
    """Write the values that the servers refer to. Raises: BadInputError."""
    for server in gateway.spec.enabled:
        for (kind, name), keys in (*references(server).items(), *header_references([server]).items()):
            for key in keys if keys is not None else _all_keys(documents, kind, name):
                private_file(folder / kind / name / key, value_of(documents, kind, name, key), keep=False)


def _all_keys(documents: Documents, kind: str, name: str) -> Iterable[str]:
    data = documents.data.get((kind, name))
    if data is None:
        label = "Secret" if kind == "secrets" else "ConfigMap"
        raise BadInputError(f"{label} {name!r} is not in the files: envFrom needs all of its keys, so add the object")
    return data


def write_tokens(documents: Documents, gateway: Gateway, state: Path) -> dict[str, str]:
    """Write the tokens into the state folder; a token without a value is generated once. Returns: token by name."""
    out = {}
    for token in gateway.spec.auth.tokens:
        reference = token.secret_key_ref
        path = token_file(state, reference.name, reference.key)
        try:
            given = private_file(path, value_of(documents, "secrets", reference.name, reference.key), keep=False)
        except BadInputError:
            given = private_file(path, secrets.token_urlsafe(24).encode())
        out[token.name] = given.decode().strip()
    return out


def token_file(state: Path, secret: str, key: str) -> Path:
    """The file of a token."""
    return state / "tokens" / secret / key
