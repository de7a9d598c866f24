"""References to Secrets and ConfigMaps, and the volumes of servers and the gateway. Pure.

References are optional projected volumes: an absent object does not delay the pod; the bridge or the gateway reports it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..api.remote import Remotes
from ..api.servers import Server
from ..api.spec import Spec
from ..api.storage import Storage
from . import naming
from .gateway_config import ca_bundle, origin

REFS = "/run/mcpgateway/refs"
TOKENS = "/etc/mcpgateway/tokens"  # and values of headers: all references of the gateway itself

References = dict[tuple[str, str], set[str] | None]  # (secrets | configmaps, name) → keys, None for all of them


@dataclass(frozen=True, slots=True)
class Mount:
    """A volume and its path in a container."""

    volume: str
    path: str
    kind: str  # of the volume: projected, emptyDir or persistentVolumeClaim
    source: dict[str, Any]
    read_only: bool = True


def references(server: Server) -> References:
    """The references of a server's environment."""
    whole = [
        *(("secrets", source.secret_ref.name, None) for source in server.env_from if source.secret_ref),
        *(("configmaps", source.config_map_ref.name, None) for source in server.env_from if source.config_map_ref),
    ]
    return _collected([*whole, *(origin(variable.value_from) for variable in server.env if variable.value_from)])


def remote_references(remotes: Remotes, servers: Iterable[Server]) -> References:
    """The references of remote servers: headers, certificate authorities, and the credentials of their proxy."""
    return _collected(_remote_keys(remotes, servers))


def stored(storage: Storage) -> tuple[str, str] | None:
    """The Secret or ConfigMap of a folder: its kind (secrets | configmaps) and name."""
    if storage.secret is not None:
        return "secrets", storage.secret.name
    return ("configmaps", storage.config_map.name) if storage.config_map is not None else None


def server_mounts(gateway: str, server: Server) -> list[Mount]:
    """The mounts of a server's container beside /tmp and the bridge."""
    return [
        *(reference("ref", server.name, kind, name, keys, REFS) for (kind, name), keys in references(server).items()),
        *(_folder(gateway, server, storage) for storage in server.storage),
    ]


def gateway_mounts(spec: Spec, servers: Iterable[Server]) -> list[Mount]:
    """The tokens and secret headers that the gateway reads."""
    tokens = [("secrets", token.secret_key_ref.name, token.secret_key_ref.key) for token in spec.auth.tokens]
    wanted = _collected([*tokens, *_remote_keys(spec.remotes, servers)])
    return [reference("token", "gateway", kind, name, keys, TOKENS) for (kind, name), keys in wanted.items()]


def mounted(kind: str, name: str, key: str) -> str:
    """The path of a key in the gateway's container."""
    return f"{TOKENS}/{kind}/{name}/{key}"


def reference(prefix: str, server: str, kind: str, name: str, keys: set[str] | None, root: str) -> Mount:
    """A reference as an optional volume; `keys` None: all of them."""
    volume = naming.volume(prefix, server, f"{kind}/{name}")
    return Mount(volume, f"{root}/{kind}/{name}", "projected", _optional(kind, name, keys))


def _collected(wanted: Iterable[tuple[str, str, str | None]]) -> References:
    references: References = {}
    for kind, name, key in wanted:
        keys = references.get((kind, name), set())
        references[kind, name] = None if key is None or keys is None else keys | {key}
    return dict(sorted(references.items()))


def _remote_keys(remotes: Remotes, servers: Iterable[Server]) -> list[tuple[str, str, str]]:
    remote = [server for server in servers if not server.hosted]
    keys = [origin(header.value_from) for server in remote for header in server.headers if header.value_from]
    bundles = (ca_bundle(remotes, server) for server in remote)
    keys += [("configmaps", bundle.name, bundle.key) for bundle in bundles if bundle]
    if remote and remotes.proxy and remotes.proxy.credentials:
        secret = remotes.proxy.credentials
        keys.append(("secrets", secret.name, secret.key))
    return keys


def _optional(kind: str, name: str, keys: set[str] | None) -> dict[str, Any]:
    source: dict[str, Any] = {"name": name, "optional": True}
    if keys is not None:
        source["items"] = [{"key": key, "path": key} for key in sorted(keys)]
    return {"sources": [{"secret" if kind == "secrets" else "configMap": source}]}


def _folder(gateway: str, server: Server, storage: Storage) -> Mount:
    volume, path = naming.volume("data", server.name, storage.mount_path), storage.mount_path
    given = stored(storage)
    if given is not None:
        return Mount(volume, path, "projected", _optional(*given, None))
    if storage.empty_dir is not None:
        return Mount(volume, path, "emptyDir", {"sizeLimit": storage.empty_dir.size_limit}, read_only=False)
    claim = storage.claim_name or naming.claim(gateway, server.name, path)
    return Mount(volume, path, "persistentVolumeClaim", {"claimName": claim}, read_only=False)
