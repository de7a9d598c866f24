"""The resource's fields about who reaches the gateway, and how."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from .types import ATOMIC, LabelValue, Model, ObjectName, cel
from .workload import Cidr

AnnotationValue = Annotated[str, Field(max_length=4096)]
_DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_DNS_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
HostName = Annotated[str, Field(min_length=1, max_length=253, pattern=_DNS_NAME)]


class Service(Model):
    """The Service in front of the gateway."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "!has(self.nodePort) || self.type != 'ClusterIP'",
                "service.nodePort needs service.type: NodePort or LoadBalancer",
            ),
            (
                # The default of the whole, {}, is judged before its members have theirs.
                "(!has(self.loadBalancerClass) && (!has(self.loadBalancerSourceRanges) || "
                "size(self.loadBalancerSourceRanges) == 0)) || self.type == 'LoadBalancer'",
                "service.loadBalancerClass and loadBalancerSourceRanges need service.type: LoadBalancer",
            ),
        )
    )
    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = Field("ClusterIP", description="Type of the Service.")
    port: int = Field(8811, ge=1, le=65535, description="Port that clients connect to.")
    node_port: int | None = Field(None, ge=1, le=65535, description="Port on every node; absent: the cluster chooses one.")
    load_balancer_class: str | None = Field(
        None, max_length=317, pattern=r"^\S+$", description="Which load balancer controller; absent: the cluster's default."
    )
    load_balancer_source_ranges: tuple[Cidr, ...] = Field(
        (), max_length=32, json_schema_extra=ATOMIC, description="Clients' addresses that the load balancer lets in; empty: all."
    )
    annotations: dict[str, AnnotationValue] = Field(
        default_factory=dict,
        max_length=32,
        description="Annotations of the Service, for load balancer controllers.",
        json_schema_extra=cel(
            (
                "self.all(key, !key.contains('kubernetes.io/') || key.startsWith('service.beta.kubernetes.io/'))",
                "service.annotations may not set kubernetes.io keys other than service.beta.kubernetes.io/…",
            )
        ),
    )


class Ingress(Model):
    """An Ingress in front of the Service. Its host is allowed without being listed in allowedHosts."""

    host: HostName = Field(description="Host name that clients use.")
    class_name: ObjectName | None = Field(None, description="The IngressClass; absent: the cluster's default.")
    path: str = Field("/", max_length=256, pattern=r"^/[^\s{}]*$", description="Prefix of the paths that go to the gateway.")
    tls_secret_name: ObjectName | None = Field(None, description="A Secret with the host's certificate; absent: plain HTTP.")
    annotations: dict[str, AnnotationValue] = Field(
        default_factory=dict,
        max_length=32,
        description="Annotations of the Ingress, for its controller.",
        json_schema_extra=cel(
            (
                "self.all(key, !key.endsWith('-snippet') && !key.endsWith('-snippets') && !key.contains('mcpgateway.dev/'))",
                "ingress.annotations may not set mcpgateway.dev keys, nor snippets of the controller's configuration",
            )
        ),
    )


class ParentReference(Model):
    """A Gateway that the route attaches to; the Gateway's own allowedRoutes decide whether it may."""

    name: ObjectName = Field(description="Name of the Gateway.")
    namespace: str | None = Field(None, max_length=63, pattern=_DNS_LABEL, description="Its namespace; absent: this one.")
    section_name: ObjectName | None = Field(None, description="One of its listeners; absent: all.")
    port: int | None = Field(None, ge=1, le=65535, description="One of its ports; absent: all.")


class HTTPRoute(Model):
    """A Gateway API route to the Service. Its host names are allowed without being listed in allowedHosts."""

    parent_refs: tuple[ParentReference, ...] = Field(
        min_length=1, max_length=8, json_schema_extra=ATOMIC, description="The Gateways that it attaches to."
    )
    hostnames: tuple[HostName, ...] = Field(
        (), max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"}, description="Host names; empty: the listeners'."
    )


class LabelSelector(Model):
    """Namespaces or pods by their labels; empty: all."""

    match_labels: dict[str, LabelValue] = Field(default_factory=dict, max_length=16, description="Labels that they must have.")


class Peer(Model):
    """Somebody on the network, as in a NetworkPolicy."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "has(self.cidr) != (has(self.namespaceSelector) || has(self.podSelector))",
                "a peer needs either cidr, or namespaceSelector and podSelector, one or both",
            )
        )
    )
    namespace_selector: LabelSelector | None = Field(None, description="Namespaces of the pods; absent: this one.")
    pod_selector: LabelSelector | None = Field(None, description="The pods; absent: all of those namespaces.")
    cidr: Cidr | None = Field(None, description="A range of addresses outside of the cluster.")


class NetworkPolicy(Model):
    """Who may talk to whom, where the cluster's network enforces it."""

    enabled: bool = Field(True, description="Whether there are NetworkPolicies.")
    ingress_from: tuple[Peer, ...] = Field(
        (), max_length=32, json_schema_extra=ATOMIC, description="Who may connect to the gateway's port; empty: everybody."
    )


class Monitoring(Model):
    """Who reads the metrics."""

    service_monitor: bool = Field(False, description="Whether there is a ServiceMonitor for the Prometheus operator.")
    scrapers: tuple[Peer, ...] = Field(
        (),
        max_length=8,
        json_schema_extra=ATOMIC,
        description="Who may connect to the metrics' port, if the network policy is enabled; empty: nobody but the operator.",
    )
