"""The resource's fields about how clients reach the gateway: Service, Ingress and HTTPRoute."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from .network import Cidr
from .types import ATOMIC, DNS_LABEL, NAME, QUALIFIED, QUALIFIED_NAME, HostName, Model, ObjectName, cel, qualified_keys, wanted

PathPrefix = Annotated[
    str,
    Field(
        max_length=256,
        pattern=r"^/([-A-Za-z0-9._~!$&'()*+,;=:@]+/)*[-A-Za-z0-9._~!$&'()*+,;=:@]*$",
        json_schema_extra=wanted("a path of plain segments, for example /team-a"),
    ),
]
AnnotationValue = Annotated[str, Field(max_length=4096)]


class Service(Model):
    """The Service in front of the gateway."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "!has(self.nodePort) || self.type != 'ClusterIP'",
                "service.nodePort needs service.type: NodePort or LoadBalancer",
            ),
            (
                # The default of the object, {}, is validated before its fields have their defaults.
                "(!has(self.loadBalancerClass) && (!has(self.loadBalancerSourceRanges) || "
                "size(self.loadBalancerSourceRanges) == 0)) || self.type == 'LoadBalancer'",
                "service.loadBalancerClass and loadBalancerSourceRanges need service.type: LoadBalancer",
            ),
        )
    )
    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = Field("ClusterIP", description="Type of the Service.")
    port: int = Field(8811, ge=1, le=65535, description="Port for clients.")
    node_port: int | None = Field(None, ge=1, le=65535, description="Port on every node; absent: the cluster allocates one.")
    load_balancer_class: str | None = Field(
        None,
        max_length=317,
        pattern=QUALIFIED_NAME,
        json_schema_extra=QUALIFIED,
        description="Load balancer implementation; absent: the cluster's default.",
    )
    load_balancer_source_ranges: tuple[Cidr, ...] = Field(
        (), max_length=32, json_schema_extra=ATOMIC, description="Client addresses that the load balancer accepts; empty: all."
    )
    annotations: dict[str, AnnotationValue] = Field(
        default_factory=dict,
        max_length=32,
        description="Annotations of the Service, for load balancer controllers. The operator has a list of allowed ones, which "
        "the chart's allowedAnnotations.service extends.",
        json_schema_extra=cel(qualified_keys("service.annotations")),
    )


class Ingress(Model):
    """An Ingress in front of the Service. Its host need not be listed in allowedHosts."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("!self.host.matches('^[0-9.]+$')", "ingress.host must be a host name, not an address: an Ingress takes no addresses")
        )
    )
    host: HostName = Field(description="Host name for clients.")
    class_name: ObjectName | None = Field(None, description="IngressClass; absent: the cluster's default.")
    path: PathPrefix = Field(
        "/", description="Path prefix of the requests to the gateway, which serves them with it and without it: PATH/mcp."
    )
    tls_secret_name: ObjectName | None = Field(
        None, description="Secret with the certificate of the host; absent: HTTP without TLS."
    )
    annotations: dict[str, AnnotationValue] = Field(
        default_factory=dict,
        max_length=32,
        description="Annotations of the Ingress, for the Ingress controller. The operator has a list of allowed ones, which the "
        "chart's allowedAnnotations.ingress extends.",
        json_schema_extra=cel(qualified_keys("ingress.annotations")),
    )


class ParentReference(Model):
    """A Gateway that the route attaches to, if the Gateway's allowedRoutes permit it."""

    name: ObjectName = Field(description="Name of the Gateway.")
    namespace: str | None = Field(
        None,
        max_length=63,
        pattern=DNS_LABEL,
        json_schema_extra=NAME,
        description="Namespace of the Gateway; absent: the MCPGateway's own.",
    )
    section_name: ObjectName | None = Field(None, description="Name of one listener; absent: all listeners.")
    port: int | None = Field(None, ge=1, le=65535, description="Port of one listener; absent: all ports.")


class HTTPRoute(Model):
    """A Gateway API route to the Service. Its host names need not be listed in allowedHosts."""

    parent_refs: tuple[ParentReference, ...] = Field(
        min_length=1, max_length=8, json_schema_extra=ATOMIC, description="Gateways that the route attaches to."
    )
    hostnames: tuple[HostName, ...] = Field(
        (),
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "set"},
        description="Host names; empty: those of the listeners.",
    )
    path: PathPrefix = Field(
        "/", description="Path prefix of the requests to the gateway, which serves them with it and without it: PATH/mcp."
    )
