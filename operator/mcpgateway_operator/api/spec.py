"""MCPGateway v1alpha1: the single source of the CRD, and the model that a stored object is parsed into.

Names and shapes follow the Kubernetes API conventions. Field descriptions are the reference manual (`kubectl explain`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from .auth import Audit, Auth
from .exposure import HTTPRoute, Ingress, Service
from .network import Cidr, Monitoring, NetworkPolicy
from .packages import CACHE_ALLOWS_SEVERAL, Packages
from .remote import Remotes
from .servers import Server
from .sessions import Limits, Sessions
from .storage import SHAREABLE
from .tools import ToolNames, ToolPinning
from .types import (
    ATOMIC,
    MAX_SERVERS,
    HostName,
    ImageReference,
    LabelValue,
    Model,
    ObjectSelector,
    Origin,
    PullPolicy,
    cel,
    list_map,
    qualified_keys,
)
from .workload import GatewayAutoscaling, PodDisruptionBudget, Resources, RunAs, Toleration


class Spec(Model):
    """Desired state of the gateway."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "has(self.auth) && (self.auth.allowUnauthenticated || size(self.auth.tokens) > 0)",
                "spec.auth needs tokens; to admit every client that can reach the gateway, set allowUnauthenticated: true",
            ),
            (
                "self.mode == 'MultiPod' || self.servers.all(server, server.replicas == 1 && !has(server.autoscaling))",
                "servers[].replicas and autoscaling need mode: MultiPod; in Sidecar mode the servers are in the gateway's pod",
            ),
            (
                "self.mode == 'MultiPod' || (self.replicas <= 1 && !has(self.autoscaling)) || self.servers.all(server, "
                "has(server.url) || server.state == 'Disabled' || server.stateless || server.isolation in ['Shared', 'Call'])",
                "in Sidecar mode, each pod has its own processes, so replicas or autoscaling would give one session several: set "
                "mode: MultiPod, or isolation: Shared or stateless: true for each server that keeps nothing between calls",
            ),
            (
                "self.mode == 'MultiPod' || (self.replicas <= 1 && !has(self.autoscaling)) || self.servers.all(server, "
                f"server.storage.all(kept, {SHAREABLE}) && " + CACHE_ALLOWS_SEVERAL.replace("SERVER", "server") + ")",
                "in Sidecar mode, storage that only one pod can mount allows no replicas or autoscaling: set mode: MultiPod, or "
                "remove them",
            ),
        )
    )
    mode: Literal["MultiPod", "Sidecar"] = Field(
        "MultiPod", description="MultiPod: a pod for each server. Sidecar: all servers in the gateway's pod."
    )
    replicas: int = Field(1, ge=0, le=100, description="Number of the gateway's pods; ignored while autoscaling is set.")
    autoscaling: GatewayAutoscaling | None = Field(None, description="Scale the gateway's pods by load.")
    pod_disruption_budget: PodDisruptionBudget = Field(
        default_factory=PodDisruptionBudget, description="Disruption budget of the gateway's pods."
    )
    image: ImageReference | None = Field(None, description="Image of the gateway and the bridge; absent: the operator's default.")
    paused: bool = Field(
        False,
        description="True: the operator writes nothing but the status, until it is false again; running pods are not affected.",
    )
    image_pull_policy: PullPolicy = Field("IfNotPresent", description="When the gateway's image is pulled.")
    image_pull_secrets: tuple[ObjectSelector, ...] = Field(
        (), max_length=8, json_schema_extra=list_map("name"), description="Secrets for private registries, used by every pod."
    )
    run_as: RunAs | None = Field(
        None,
        description="User, group and file system group of every pod. Fixed: 65532. Assigned: none is set, for platforms that "
        "assign them, as OpenShift does. Absent: the operator's default (the chart's runAs).",
    )
    node_selector: dict[str, LabelValue] = Field(
        default_factory=dict,
        max_length=16,
        description="Required labels of the nodes, for every pod.",
        json_schema_extra=cel(qualified_keys("nodeSelector")),
    )
    tolerations: tuple[Toleration, ...] = Field(
        (), max_length=16, json_schema_extra=ATOMIC, description="Taints that every pod tolerates."
    )
    pod_labels: dict[str, LabelValue] = Field(
        default_factory=dict,
        max_length=32,
        description="Additional labels of every pod.",
        json_schema_extra=cel(
            (
                "self.all(key, !key.startsWith('app.kubernetes.io/') && !key.contains('mcpgateway.dev/'))",
                "podLabels may not set app.kubernetes.io or mcpgateway.dev keys: the operator selects its pods by them",
            ),
            qualified_keys("podLabels"),
        ),
    )
    pod_annotations: dict[str, Annotated[str, Field(max_length=4096)]] = Field(
        default_factory=dict,
        max_length=32,
        description="Annotations of every pod. The operator has a list of allowed ones, which the chart's "
        "allowedAnnotations.pods extends.",
        json_schema_extra=cel(
            (
                "self.all(key, !key.contains('mcpgateway.dev/'))",
                "podAnnotations may not set mcpgateway.dev keys: remove them",
            ),
            qualified_keys("podAnnotations"),
        ),
    )
    resources: Resources = Field(default_factory=Resources, description="Resources of the gateway's container.")
    service: Service = Field(default_factory=Service, description="The Service in front of the gateway.")
    ingress: Ingress | None = Field(None, description="An Ingress in front of the Service.")
    http_route: HTTPRoute | None = Field(None, description="A Gateway API route in front of the Service.")
    network_policy: NetworkPolicy = Field(
        default_factory=NetworkPolicy, description="Which peers may connect to the gateway and its servers."
    )
    monitoring: Monitoring = Field(default_factory=Monitoring, description="Access to the metrics.")
    auth: Auth = Field(default_factory=Auth, json_schema_extra={"x-no-default": True}, description="Who may connect.")
    allowed_hosts: tuple[HostName, ...] = Field(
        (),
        max_length=32,
        json_schema_extra={"x-kubernetes-list-type": "set"},
        description="Host names that are accepted from clients, besides the Service's names, loopback names and addresses.",
    )
    allowed_origins: tuple[Origin, ...] = Field(
        (),
        max_length=32,
        json_schema_extra={"x-kubernetes-list-type": "set"},
        description="Accepted origins of web pages, for example https://app.example.com, which may read responses (CORS).",
    )
    trusted_proxies: tuple[Cidr, ...] = Field(
        (),
        max_length=32,
        json_schema_extra={"x-kubernetes-list-type": "set"},
        description="Addresses of proxies whose headers Forwarded, X-Forwarded-Host and X-Forwarded-Prefix are believed, for "
        "example 10.244.0.0/16; empty: none. The Ingress and the HTTPRoute of this resource need none.",
    )
    tool_names: ToolNames = Field(default_factory=ToolNames, description="Names of the tools.")
    tool_pinning: ToolPinning = Field(
        "Off",
        description="Reaction when the tool definitions of a server change. Warn: an event and the server's lastError report it. "
        "Enforce: tools are offered only while an annotation of the MCPGateway, tools.mcpgateway.dev/SERVER, has their digest.",
    )
    sessions: Sessions = Field(default_factory=Sessions, description="Sessions of clients.")
    limits: Limits = Field(default_factory=Limits, description="Limits for clients.")
    audit: Audit = Field(default_factory=Audit, description="Record of requests.")
    packages: Packages = Field(default_factory=Packages, description="Where the packages of servers come from.")
    remotes: Remotes = Field(default_factory=Remotes, description="Connections to remote servers.")
    servers: tuple[Server, ...] = Field(
        min_length=1, max_length=MAX_SERVERS, json_schema_extra=list_map("name"), description="The MCP servers."
    )

    @property
    def several(self) -> bool:
        """Whether there may be more than one gateway pod."""
        return self.replicas > 1 or self.autoscaling is not None

    @property
    def enabled(self) -> tuple[Server, ...]:
        """The enabled servers, in the order of their names."""
        return tuple(sorted((s for s in self.servers if s.state == "Enabled"), key=lambda s: s.name))
