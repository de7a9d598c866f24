"""What servers and the gateway take from Secrets and ConfigMaps, and where it is mounted. Pure.

References are optional projected volumes: an absent one is reported by whoever reads it, and holds up no pod.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..api.servers import Server
from ..api.spec import Spec
from ..api.workload import Storage
from . import naming
from .gateway_config import origin

REFS = "/run/mcpgateway/refs"
TOKENS = "/etc/mcpgateway/tokens"  # and secret headers: all values that the gateway itself needs

References = dict[tuple[str, str], set[str] | None]  # (secrets | configmaps, name) → keys, None for all of them


@dataclass(frozen=True, slots=True)
class Mount:
    """A volume and where a container finds it."""

    volume: str
    path: str
    kind: str  # of the volume: projected, emptyDir or persistentVolumeClaim
    source: dict[str, Any]
    read_only: bool = True


def references(server: Server) -> References:
    """What a server's environment refers to."""
    whole = [
        *(("secrets", source.secret_ref.name, None) for source in server.env_from if source.secret_ref),
        *(("configmaps", source.config_map_ref.name, None) for source in server.env_from if source.config_map_ref),
    ]
    return _collected([*whole, *(origin(variable.value_from) for variable in server.env if variable.value_from)])


def header_references(servers: Iterable[Server]) -> References:
    """What the headers for remote servers refer to."""
    return _collected(_header_keys(servers))


def stored(storage: Storage) -> tuple[str, str] | None:
    """The Secret or ConfigMap that a folder shows: its kind (secrets | configmaps) and name."""
    if storage.secret is not None:
        return "secrets", storage.secret.name
    return ("configmaps", storage.config_map.name) if storage.config_map is not None else None


def server_mounts(gateway: str, server: Server) -> list[Mount]:
    """All that a server's container finds beside /tmp and the bridge."""
    return [
        *(_reference("ref", server.name, kind, name, keys, REFS) for (kind, name), keys in references(server).items()),
        *(_folder(gateway, server, storage) for storage in server.storage),
    ]


def gateway_mounts(spec: Spec, servers: Iterable[Server]) -> list[Mount]:
    """The tokens and secret headers that the gateway reads."""
    tokens = [("secrets", token.secret_key_ref.name, token.secret_key_ref.key) for token in spec.auth.tokens]
    wanted = _collected([*tokens, *_header_keys(servers)])
    return [_reference("token", "gateway", kind, name, keys, TOKENS) for (kind, name), keys in wanted.items()]


def mounted(kind: str, name: str, key: str) -> str:
    """Where the gateway finds a key."""
    return f"{TOKENS}/{kind}/{name}/{key}"


def _collected(wanted: Iterable[tuple[str, str, str | None]]) -> References:
    found: References = {}
    for kind, name, key in wanted:
        known = found.get((kind, name), set())
        found[kind, name] = None if key is None or known is None else known | {key}
    return dict(sorted(found.items()))


def _header_keys(servers: Iterable[Server]) -> list[tuple[str, str, str]]:
    return [origin(header.value_from) for server in servers for header in server.headers if header.value_from]


def _reference(prefix: str, server: str, kind: str, name: str, keys: set[str] | None, root: str) -> Mount:
    volume = naming.volume(prefix, server, f"{kind}/{name}")
    return Mount(volume, f"{root}/{kind}/{name}", "projected", _optional(kind, name, keys))


def _optional(kind: str, name: str, keys: set[str] | None) -> dict[str, Any]:
    source: dict[str, Any] = {"name": name, "optional": True}
    if keys is not None:
        source["items"] = [{"key": key, "path": key} for key in sorted(keys)]
    return {"sources": [{"secret" if kind == "secrets" else "configMap": source}]}


def _folder(gateway: str, server: Server, storage: Storage) -> Mount:
    volume, path = naming.volume("data", server.name, storage.mount_path), storage.mount_path
    shown = stored(storage)
    if shown is not None:
        return Mount(volume, path, "projected", _optional(*shown, None))
    if storage.empty_dir is not None:
        return Mount(volume, path, "emptyDir", {"sizeLimit": storage.empty_dir.size_limit}, read_only=False)
    claim = storage.claim_name or naming.claim(gateway, server.name, path)
    return Mount(volume, path, "persistentVolumeClaim", {"claimName": claim}, read_only=False)
