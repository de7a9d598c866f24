"""The Deployments of a gateway and its servers, and the Services of the servers. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..api.servers import Server
from . import naming
from .configmaps import binding_name
from .containers import (
    GatewayContainerView,
    ImageView,
    PodView,
    ServerContainerView,
    gateway_container,
    image,
    pod,
    server_container,
)
from .context import Gateway
from .templating import View, gateway_meta, manifest, server_meta


@dataclass(frozen=True, slots=True)
class Rollout:
    """How the pods of a Deployment are counted and replaced."""

    replicas: int | None  # None: an autoscaler decides
    several: bool  # there may be more than one: spread them over nodes
    single: bool  # it has storage that only one pod can mount


@dataclass(frozen=True, slots=True)
class GatewayDeploymentView(View):
    """The gateway's Deployment; in Sidecar mode with the servers' containers and a binding."""

    template: ClassVar[str] = "gateway-deployment"
    selector: Mapping[str, str]
    rollout: Rollout
    pod: PodView
    image: ImageView
    gateway: GatewayContainerView
    config: str  # name of a ConfigMap
    keys: str  # name of a Secret
    bridge_keys: str  # name of a Secret
    binding: str | None  # name of a ConfigMap
    sidecars: Sequence[ServerContainerView]


@dataclass(frozen=True, slots=True)
class ServerDeploymentView(View):
    """MultiPod: the Deployment of one server."""

    template: ClassVar[str] = "server-deployment"
    selector: Mapping[str, str]
    rollout: Rollout
    pod: PodView
    image: ImageView
    bridge_keys: str  # name of a Secret
    server: ServerContainerView


@dataclass(frozen=True, slots=True)
class ServerServiceView(View):
    """MultiPod: the headless Service of one server."""

    template: ClassVar[str] = "server-service"
    selector: Mapping[str, str]


def gateway_deployment(gateway: Gateway) -> dict[str, Any]:
    """The gateway's Deployment."""
    spec, meta = gateway.spec, gateway_meta(gateway)
    sidecars = [server_container(gateway, s, index) for index, s in enumerate(gateway.hosted)] if gateway.sidecar else []
    return manifest(
        GatewayDeploymentView(
            meta,
            selector=naming.selector(gateway.name, "gateway"),
            rollout=Rollout(
                replicas=None if spec.autoscaling else spec.replicas,
                several=spec.several,
                single=gateway.sidecar and any(server.single for server in gateway.hosted),
            ),
            pod=pod(gateway, meta.labels),
            image=image(gateway),
            gateway=gateway_container(gateway),
            config=naming.config_map(gateway.name),
            keys=naming.keys_secret(gateway.name, gateway.context.uid),
            bridge_keys=naming.bridge_keys_secret(gateway.name, gateway.context.uid),
            binding=binding_name(gateway) if gateway.sidecar else None,
            sidecars=sidecars,
        )
    )


def server_deployment(gateway: Gateway, server: Server) -> dict[str, Any]:
    """MultiPod: the Deployment of one server."""
    meta = server_meta(gateway, server.name)
    return manifest(
        ServerDeploymentView(
            meta,
            selector=naming.server_selector(gateway.name, server.name),
            rollout=Rollout(None if server.autoscaling else server.replicas, server.several, server.single),
            pod=pod(gateway, meta.labels),
            image=image(gateway),
            bridge_keys=naming.bridge_keys_secret(gateway.name, gateway.context.uid),
            server=server_container(gateway, server, None),
        )
    )


def server_service(gateway: Gateway, server: Server) -> dict[str, Any]:
    """MultiPod: the Service of one server."""
    selector = naming.server_selector(gateway.name, server.name)
    return manifest(ServerServiceView(server_meta(gateway, server.name), selector))
