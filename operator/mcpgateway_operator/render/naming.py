"""Names, labels, selectors and ports. Objects are told apart by labels, never by their names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from ..api.group import GROUP

MANAGER = "mcpgateway-operator"
HANDOVER = f"{MANAGER}-handover"  # field manager that keeps a Deployment's replicas while their owner changes
STANDBY = f"{MANAGER}-standby"  # field manager of what an operator says of a gateway that another one manages
CLIENT_PORT = 8811
INTERNAL_PORT = 8812
BRIDGE_PORT = 4444
HEALTH_PORT = 9444

COMPONENT = "app.kubernetes.io/component"
INSTANCE = "app.kubernetes.io/instance"
MANAGED_BY = "app.kubernetes.io/managed-by"
NAME = "app.kubernetes.io/name"
SERVER = f"{GROUP}/server"
INSTALL = "install-package-"  # and the server's name: the initContainer that installs its package
INTEGRITY = f"packages.{GROUP}/"  # and the server's name: the annotation that approves what is installed
PIN = f"tools.{GROUP}/"  # and the server's name: the annotation that approves its tools
CONFIG_SYNC = f"{GROUP}/config-sync"  # an annotation of pods whose change makes the kubelet refresh their volumes

_MAX_CHILD = 52  # leaves room for a ReplicaSet's and a pod's suffixes within a label's 63 characters


def child(gateway: str, part: str) -> str:
    """The name of a server's objects: `<gateway>-<server>`, cut with a hash when it is too long."""
    name = f"{gateway}-{part}"
    if len(name) <= _MAX_CHILD:
        return name
    mark = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: _MAX_CHILD - 9].rstrip('-')}-{mark}"


def places(gateway: str, servers: Iterable[tuple[str, bool]], *, sidecar: bool) -> frozenset[str]:
    """The names of a gateway's objects that those of another gateway can have, too (`observe.places`).

    `servers`: those in containers, by name and by whether they keep a claim. The other names, of ConfigMaps and Secrets, end in a
    word that no server may be called, and in nothing that varies with the gateway.
    """
    apart = (child(gateway, server) for server, keeps in servers if keeps or not sidecar)
    return frozenset((gateway, peers(gateway), *apart))


def place(manifest: Mapping[str, Any]) -> str:
    """The place that a rendered object belongs to: its server's, else that of its own name, else the gateway's."""
    metadata = manifest["metadata"]
    gateway, server = metadata["labels"][INSTANCE], metadata["labels"].get(SERVER)
    if server is not None:
        return child(gateway, server)
    return str(metadata["name"]) if metadata["name"] == peers(gateway) else str(gateway)


def peers(gateway: str) -> str:
    """The headless Service of the gateway's pods."""
    return f"{gateway}-peers"


def claim(gateway: str, server: str, path: str) -> str:
    """The name of a server's claim for storage, the same for each gateway and server of the same names and the same folder."""
    return child(gateway, f"{server}-{hashlib.sha256(path.encode()).hexdigest()[:8]}")


def config_map(gateway: str) -> str:
    """The ConfigMap with the gateway's configuration."""
    return f"{gateway}-config"


def server_container(server: str) -> str:
    """The container of a server, in either mode."""
    return f"mcp-{server}"


def install_container(server: str) -> str:
    """The initContainer that installs a server's package, in either mode."""
    return f"{INSTALL}{server}"


def keys_secret(gateway: str, uid: str) -> str:
    """The Secret with the gateway's keys: another one for each uid."""
    return f"{gateway}-keys-{uid[:8]}"


def bridge_keys_secret(gateway: str, uid: str) -> str:
    """The further Secret with the key pair for bridges: the first one is immutable, and may be older than the pair."""
    return f"{keys_secret(gateway, uid)}-2"


def volume(kind: str, server: str, target: str) -> str:
    """A volume's name, distinct for each kind of reference, server and referenced object."""
    mark = hashlib.sha256(f"{kind}/{target}".encode()).hexdigest()[:8]
    return f"{kind}-{server}-{mark}"


def selector(gateway: str, component: str) -> dict[str, str]:
    """The labels of a selector, which is immutable."""
    return {NAME: "mcpgateway", INSTANCE: gateway, COMPONENT: component}


def labels(gateway: str, component: str) -> dict[str, str]:
    """The labels of every object."""
    return {**selector(gateway, component), MANAGED_BY: MANAGER}


def server_selector(gateway: str, server: str) -> dict[str, str]:
    """The pods of one server in MultiPod mode."""
    return {**selector(gateway, "server"), SERVER: server}


def pins(annotations: Mapping[str, str]) -> dict[str, str]:
    """The approved digests by server, from an MCPGateway's annotations."""
    return {key.removeprefix(PIN): value for key, value in annotations.items() if key.startswith(PIN)}


def integrities(annotations: Mapping[str, str]) -> dict[str, str]:
    """The approved digests of packages by server, from an MCPGateway's annotations; several are separated by commas."""
    return {key.removeprefix(INTEGRITY): value for key, value in annotations.items() if key.startswith(INTEGRITY)}


def service_hosts(gateway: str, namespace: str) -> tuple[str, ...]:
    """The names of a Service inside a cluster; the cluster domain is assumed to be the usual cluster.local."""
    qualified = f"{gateway}.{namespace}"
    return (gateway, qualified, f"{qualified}.svc", f"{qualified}.svc.cluster.local")
