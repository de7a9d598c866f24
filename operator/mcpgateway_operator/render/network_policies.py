"""The rules of NetworkPolicies. Pure.

A policy applies after a Service's address translation: to addresses and ports of pods, never of a Service.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Any

from ..api.network import Egress, EgressRule, Peer
from ..api.servers import Server
from . import naming
from .context import Platform

# Address ranges that are not public: IANA's special-purpose registries (RFC 6890), and those that translators and tunnels map to
# IPv4 addresses: NAT64 (RFC 6052, RFC 8215), 6to4 (RFC 3056) and Teredo (RFC 4380). 0.0.0.0/8 is the host itself (RFC 1122).
_PRIVATE_V4 = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/3",
)
_PRIVATE_V6 = (
    "::/127",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "2001::/32",
    "2002::/16",
    "fc00::/7",
    "fe80::/10",
    "ff00::/8",
)

Rule = dict[str, Any]


def dns_peer(text: str) -> Rule:
    """Who answers DNS requests: pods by NAMESPACE/LABEL=VALUE, or an address range. Raises: ValueError."""
    try:
        return {"ipBlock": {"cidr": str(ipaddress.ip_network(text, strict=False))}}
    except ValueError:
        namespace, _, selector = text.partition("/")
        label, _, value = selector.partition("=")
        if not (namespace and label and value):
            raise ValueError(
                f"{text!r} is neither NAMESPACE/LABEL=VALUE nor an address range, for example kube-system/k8s-app=kube-dns"
            ) from None
        return {
            "namespaceSelector": _selector({"kubernetes.io/metadata.name": namespace}),
            "podSelector": _selector({label: value}),
        }


def to_dns(platform: Platform) -> Rule:
    """To the cluster's DNS, and to nothing else that listens on its port."""
    ports = [{"port": port, "protocol": protocol} for port in platform.dns_ports for protocol in ("UDP", "TCP")]
    return {"to": [dns_peer(text) for text in platform.dns], "ports": ports}


def public(cluster_cidrs: Iterable[str]) -> Rule:
    """To all addresses except private ones and the cluster's own."""
    own = [str(ipaddress.ip_network(cidr, strict=False)) for cidr in cluster_cidrs]
    v4 = (*_PRIVATE_V4, *(cidr for cidr in own if ":" not in cidr and cidr not in _PRIVATE_V4))
    v6 = (*_PRIVATE_V6, *(cidr for cidr in own if ":" in cidr and cidr not in _PRIVATE_V6))
    return {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": list(v4)}}, {"ipBlock": {"cidr": "::/0", "except": list(v6)}}]}


def server_egress(servers: Iterable[Server], platform: Platform, registries: Egress) -> list[Rule]:
    """The union of what these servers may connect to, DNS included, and the registries for those with a package.

    A policy cannot tell an initContainer from the pod's other containers: what installs may be reached by what runs.
    """
    rules: list[Rule] = [to_dns(platform)]
    for server in servers:
        wanted = [public(platform.cidrs)] if server.egress is None else _destinations(server.egress, platform)
        wanted += _destinations(registries, platform) if server.package is not None else []
        rules += [rule for rule in wanted if rule not in rules]
    return rules


def _destinations(egress: Egress, platform: Platform) -> list[Rule]:
    return [*([public(platform.cidrs)] if egress.public else []), *(_allowed(rule) for rule in egress.allow)]


def _allowed(rule: EgressRule) -> Rule:
    to: Rule = {"to": [_peer(rule)]}
    return to | {"ports": [{"port": port, "protocol": "TCP"} for port in rule.ports]} if rule.ports else to


def to_bridges(gateway: str) -> Rule:
    """From the gateway to its servers' pods."""
    pods = {"podSelector": {"matchLabels": naming.selector(gateway, "server")}}
    return {"to": [pods], "ports": [{"port": naming.BRIDGE_PORT, "protocol": "TCP"}]}


def from_gateway(gateway: str) -> Rule:
    """From the gateway to a bridge: nothing else may use the server behind it."""
    pods = {"podSelector": {"matchLabels": naming.selector(gateway, "gateway")}}
    return {"from": [pods], "ports": [{"port": naming.BRIDGE_PORT, "protocol": "TCP"}]}


def from_clients(peers: Sequence[Peer]) -> Rule:
    """To the gateway's port; from everywhere if there are no peers."""
    ports: Rule = {"ports": [{"port": naming.CLIENT_PORT, "protocol": "TCP"}]}
    return ports | {"from": [_peer(peer) for peer in peers]} if peers else ports


def from_observers(operator_namespace: str, scrapers: Sequence[Peer]) -> list[Rule]:
    """To the port with status and metrics: from the operator, if it runs in the cluster, and from scrapers."""
    peers = [_peer(peer) for peer in scrapers]
    if operator_namespace:
        namespace = {"matchLabels": {"kubernetes.io/metadata.name": operator_namespace}}
        peers.insert(0, {"namespaceSelector": namespace, "podSelector": {"matchLabels": {naming.NAME: naming.MANAGER}}})
    return [{"from": peers, "ports": [{"port": naming.INTERNAL_PORT, "protocol": "TCP"}]}] if peers else []


def _peer(peer: Peer) -> Rule:
    if peer.cidr is not None:
        return {"ipBlock": {"cidr": peer.cidr}}
    out: Rule = {}
    if peer.namespace_selector is not None:
        out["namespaceSelector"] = _selector(peer.namespace_selector.match_labels)
    if peer.pod_selector is not None:
        out["podSelector"] = _selector(peer.pod_selector.match_labels)
    return out


def _selector(labels: dict[str, str]) -> Rule:
    return {"matchLabels": labels} if labels else {}
