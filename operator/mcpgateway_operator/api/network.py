"""The resource's fields about network policies: peers of the gateway, and egress of the servers."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from .types import ATOMIC, LabelValue, Model, cel, qualified_keys

Cidr = Annotated[
    str,
    Field(
        max_length=49,
        json_schema_extra=cel(("isCIDR(self)", "cidr must be a range of addresses, for example 203.0.113.0/24 or 2001:db8::/32")),
    ),
]


class LabelSelector(Model):
    """Namespaces or pods by their labels; empty: all."""

    match_labels: dict[str, LabelValue] = Field(
        default_factory=dict,
        max_length=16,
        description="Required labels.",
        json_schema_extra=cel(qualified_keys("matchLabels")),
    )


class Peer(Model):
    """A peer, as in a NetworkPolicy."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "has(self.cidr) != (has(self.namespaceSelector) || has(self.podSelector))",
                "a peer needs either cidr, or namespaceSelector and podSelector, one or both",
            )
        )
    )
    namespace_selector: LabelSelector | None = Field(None, description="Namespaces of the pods; absent: the gateway's own.")
    pod_selector: LabelSelector | None = Field(None, description="The pods; absent: all pods of the namespaces.")
    cidr: Cidr | None = Field(None, description="An address range outside of the cluster, never of Services.")


class NetworkPolicy(Model):
    """The NetworkPolicies of the gateway and its servers. They need a network plugin that enforces policies."""

    enabled: bool = Field(True, description="Whether the operator creates NetworkPolicies.")
    ingress_from: tuple[Peer, ...] = Field(
        (),
        max_length=32,
        json_schema_extra=ATOMIC,
        description="Peers that may connect to the gateway's client port; empty: all.",
    )


class Monitoring(Model):
    """Access to the metrics."""

    service_monitor: bool = Field(False, description="Whether the operator creates a ServiceMonitor for the Prometheus operator.")
    scrapers: tuple[Peer, ...] = Field(
        (),
        max_length=8,
        json_schema_extra=ATOMIC,
        description="Peers that may connect to the metrics port while network policies are enabled; empty: only the operator.",
    )


class EgressRule(Peer):
    """A destination of a server's connections: pods, by the labels of their namespace and their own, or an address range."""

    ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = Field(
        (),
        max_length=16,
        json_schema_extra=ATOMIC,
        description="TCP ports of the destination itself; empty: all ports and protocols.",
    )


class Egress(Model):
    """The destinations of a server's connections, besides the cluster's DNS."""

    public: bool = Field(False, description="Whether public addresses are allowed, too.")
    allow: tuple[EgressRule, ...] = Field(
        (),
        max_length=32,
        json_schema_extra=ATOMIC,
        description="Allowed destinations. For a Service of the cluster, select its pods by namespaceSelector and podSelector, "
        "with the port that they listen on. Empty: DNS, and public addresses if public is true.",
    )
