"""How clients and scrapers reach a gateway: Services, Ingress, HTTPRoute, ServiceMonitor. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..api.spec import Spec
from . import naming
from .context import Gateway
from .templating import View, gateway_meta, manifest

# Controllers go to pods past the Service and its affinity, and MCP clients keep no cookies. Without a session the client's
# identity counts, because a process may belong to it. (ingress-nginx, "Annotations", custom NGINX upstream hashing)
INGRESS_AFFINITY = {"nginx.ingress.kubernetes.io/upstream-hash-by": "$http_mcp_session_id$http_authorization"}


@dataclass(frozen=True, slots=True)
class GatewayServiceView(View):
    """The Service in front of the gateway."""

    template: ClassVar[str] = "gateway-service"
    selector: Mapping[str, str]
    annotations: Mapping[str, str]
    type: str
    port: int
    node_port: int | None
    load_balancer_class: str | None
    load_balancer_source_ranges: Sequence[str]
    session_affinity: bool  # several replicas


@dataclass(frozen=True, slots=True)
class PeersServiceView(View):
    """The headless Service of the gateway's pods."""

    template: ClassVar[str] = "peers-service"
    selector: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class IngressView(View):
    """An Ingress in front of the Service."""

    template: ClassVar[str] = "ingress"
    annotations: Mapping[str, str]
    host: str
    path: str
    class_name: str | None
    tls_secret_name: str | None
    service: str


@dataclass(frozen=True, slots=True)
class HTTPRouteView(View):
    """A Gateway API route to the Service."""

    template: ClassVar[str] = "http-route"
    parent_refs: Sequence[Mapping[str, Any]]
    hostnames: Sequence[str]
    path: str
    service: str
    port: int


@dataclass(frozen=True, slots=True)
class ServiceMonitorView(View):
    """A ServiceMonitor for the Prometheus operator."""

    template: ClassVar[str] = "service-monitor"
    selector: Mapping[str, str]


def services(gateway: Gateway) -> Iterator[dict[str, Any]]:
    """The gateway's Services."""
    service, selector = gateway.spec.service, naming.selector(gateway.name, "gateway")
    yield manifest(
        GatewayServiceView(
            gateway_meta(gateway),
            selector=selector,
            annotations=service.annotations,
            type=service.type,
            port=service.port,
            node_port=service.node_port,
            load_balancer_class=service.load_balancer_class,
            load_balancer_source_ranges=service.load_balancer_source_ranges,
            session_affinity=gateway.spec.several,
        )
    )
    yield manifest(PeersServiceView(gateway_meta(gateway, naming.peers(gateway.name)), selector))


def routes(gateway: Gateway) -> Iterator[dict[str, Any]]:
    """The optional objects that lead to the Services."""
    spec, meta = gateway.spec, gateway_meta(gateway)
    if (ingress := spec.ingress) is not None:
        yield manifest(
            IngressView(
                meta,
                annotations=ingress_annotations(spec),
                host=ingress.host,
                path=ingress.path,
                class_name=ingress.class_name,
                tls_secret_name=ingress.tls_secret_name,
                service=gateway.name,
            )
        )
    if spec.http_route is not None:
        parents = [parent.model_dump(by_alias=True, exclude_none=True) for parent in spec.http_route.parent_refs]
        yield manifest(
            HTTPRouteView(meta, parents, spec.http_route.hostnames, spec.http_route.path, gateway.name, spec.service.port)
        )
    if spec.monitoring.service_monitor:
        yield manifest(ServiceMonitorView(meta, naming.selector(gateway.name, "gateway")))


def ingress_annotations(spec: Spec) -> Mapping[str, str]:
    """The resource's own annotations of the Ingress, and those that keep each session on one of several pods."""
    own = spec.ingress.annotations if spec.ingress else {}
    return {**INGRESS_AFFINITY, **own} if spec.several else own
