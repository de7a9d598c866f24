"""The files of `mcpgw up`: references, laid out like a kubelet's mounts, and tokens and keys in the user's state folder."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..render import bridge_keys
from ..render.mounts import references, remote_references
from .documents import Documents, Gateway
from .folders import CACHE as CACHE
from .folders import STATE as STATE


def user_path() -> str:
    """The user's PATH."""
    return os.environ.get("PATH", os.defpath)


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


def value_of(documents: Documents, kind: str, name: str, key: str) -> bytes | None:
    """A referenced value: from the files, else from the environment; None if it is in neither."""
    value = documents.data.get((kind, name), {}).get(key)
    if value is None and kind == "secrets" and variable(name, key) in os.environ:
        return os.environ[variable(name, key)].encode()
    return value


def missing_values(documents: Documents, gateway: Gateway) -> dict[str, list[str]]:
    """What servers refer to and is not there: messages by server, each with the fix."""
    missing: dict[str, list[str]] = {}
    for server, kind, name, key in _references(documents, gateway):
        if key is None or value_of(documents, kind, name, key) is None:
            messages = missing.setdefault(server, [])
            message = _absence(server, kind, name, key)
            if message not in messages:
                messages.append(message)
    return missing


def _absence(server: str, kind: str, name: str, key: str | None) -> str:
    label = "Secret" if kind == "secrets" else "ConfigMap"
    if key is None:
        return f"server {server!r}: {label} {name!r} is not in the files: envFrom needs all of its keys, so add the object"
    if kind == "secrets":
        place = f"{label} {name!r}, key {key!r}, is neither in the files nor in the environment"
        return f"server {server!r}: {place}: set {variable(name, key)}"
    return f"server {server!r}: {label} {name!r}, key {key!r}, is not in the files: add it"


def write_references(documents: Documents, gateway: Gateway, folder: Path) -> None:
    """Make the folder hold the values that the servers refer to; one that is missing has no file, as in a kubelet's mount."""
    wanted = {}
    for _, kind, name, key in _references(documents, gateway):
        if key is not None and (value := value_of(documents, kind, name, key)) is not None:
            wanted[folder / kind / name / key] = value
    for file in [file for file in folder.glob("*/*/*") if file not in wanted]:
        file.unlink()
    for file, value in wanted.items():
        if not file.exists() or file.read_bytes() != value:
            private_file(file, value, keep=False)


def write_values(documents: Documents, kind: str, name: str, keys: Iterable[str], folder: Path) -> None:
    """Write those values of an object that are given."""
    for key in keys:
        value = value_of(documents, kind, name, key)
        if value is not None:
            private_file(folder / key, value, keep=False)


def _references(documents: Documents, gateway: Gateway) -> Iterator[tuple[str, str, str, str | None]]:
    """The (server, kind, name, key) of all references; the key of an object that is needed whole and is not there is None."""
    for server in gateway.spec.enabled:
        for (kind, name), keys in (*references(server).items(), *remote_references(gateway.spec.remotes, [server]).items()):
            if keys is not None:
                yield from ((server.name, kind, name, key) for key in sorted(keys))
            elif (kind, name) in documents.data:
                yield from ((server.name, kind, name, key) for key in documents.data[kind, name])
            else:
                yield server.name, kind, name, None


def write_tokens(documents: Documents, gateway: Gateway, state: Path) -> dict[str, str]:
    """Write the tokens into the state folder; a token without a value is generated once. Returns: token by name."""
    out = {}
    for token in gateway.spec.auth.tokens:
        reference = token.secret_key_ref
        path = token_file(state, reference.name, reference.key)
        given = value_of(documents, "secrets", reference.name, reference.key)
        value = private_file(path, secrets.token_urlsafe(24).encode()) if given is None else private_file(path, given, keep=False)
        out[token.name] = value.decode(errors="replace").strip()
    return out


def token_file(state: Path, secret: str, key: str) -> Path:
    """The file of a token."""
    return state / "tokens" / secret / key
