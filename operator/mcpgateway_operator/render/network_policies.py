"""The rules of NetworkPolicies. Pure.

A policy applies after a Service's address translation: to addresses and ports of pods, never of a Service.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Any

from ..api.network import EgressRule, Peer
from ..api.servers import Server
from . import naming

# Address ranges that are not public: IANA's special-purpose registries (RFC 6890), and those mapped to them (RFC 6052).
_PRIVATE_V4 = (
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
_PRIVATE_V6 = ("::1/128", "64:ff9b::/96", "fc00::/7", "fe80::/10", "ff00::/8")

Rule = dict[str, Any]

DNS: Rule = {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}


def public(cluster_cidrs: Iterable[str]) -> Rule:
    """To all addresses except private ones and the cluster's own."""
    own = [str(ipaddress.ip_network(cidr, strict=False)) for cidr in cluster_cidrs]
    v4 = (*_PRIVATE_V4, *(cidr for cidr in own if ":" not in cidr and cidr not in _PRIVATE_V4))
    v6 = (*_PRIVATE_V6, *(cidr for cidr in own if ":" in cidr and cidr not in _PRIVATE_V6))
    return {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": list(v4)}}, {"ipBlock": {"cidr": "::/0", "except": list(v6)}}]}


def server_egress(servers: Iterable[Server], cluster_cidrs: Iterable[str]) -> list[Rule]:
    """The union of what these servers may connect to, DNS included."""
    rules: list[Rule] = [DNS]
    for server in servers:
        wanted = [public(cluster_cidrs)] if server.egress is None else [_allowed(rule) for rule in server.egress.allow]
        rules += [rule for rule in wanted if rule not in rules]
    return rules


def _allowed(rule: EgressRule) -> Rule:
    to: Rule = {"to": [{"ipBlock": {"cidr": rule.cidr}}]}
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
