"""MCPGateway v1alpha1: the single source of the CRD, and what a stored object is parsed into.

Names and shapes follow the Kubernetes API conventions. Field descriptions are the reference manual (`kubectl explain`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from .exposure import HTTPRoute, Ingress, Monitoring, NetworkPolicy, Service
from .servers import Server
from .types import (
    ATOMIC,
    MAX_SERVERS,
    Duration,
    ImageReference,
    KeySelector,
    LabelValue,
    Model,
    ObjectName,
    ObjectSelector,
    Origin,
    PullPolicy,
    Quantity,
    cel,
    list_map,
)
from .workload import SHAREABLE, GatewayAutoscaling, PodDisruptionBudget, Resources, Toleration

GROUP = "mcpgateway.dev"
VERSION = "v1alpha1"
KIND = "MCPGateway"
PLURAL = "mcpgateways"
API_VERSION = f"{GROUP}/{VERSION}"
CRD_NAME = f"{PLURAL}.{GROUP}"


class Token(Model):
    """One bearer token that clients may present."""

    name: str = Field(
        min_length=1,
        max_length=63,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        description="Name of the identity that the token stands for.",
    )
    secret_key_ref: KeySelector = Field(description="The Secret's key that holds the token.")


class Auth(Model):
    """Who may connect."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "!self.allowUnauthenticated || size(self.tokens) == 0",
                "auth.allowUnauthenticated: true makes auth.tokens meaningless: remove one of them",
            ),
        )
    )
    tokens: tuple[Token, ...] = Field(
        (), max_length=32, json_schema_extra=list_map("name"), description="Accepted bearer tokens, each in a Secret."
    )
    allow_unauthenticated: bool = Field(False, description="Serve clients without any credentials.")


class ToolNames(Model):
    """How the tools of several servers share one list."""

    prefix: Literal["Always", "OnConflict", "Never"] = Field(
        "Always", description="When a tool's name begins with its server's. Never: of two equal names the first one is offered."
    )
    separator: Literal["_", "-", "__"] = Field("_", description="Between the server's name and the tool's.")


class Audit(Model):
    """What is written down about requests."""

    level: Literal["None", "Metadata"] = Field(
        "None",
        description="Metadata: the gateway writes a JSON line for each request to its standard output: who asked for what, and "
        "the outcome; never arguments or results.",
    )


class Sessions(Model):
    """Sessions of clients that speak a protocol version with sessions, up to 2025-11-25."""

    ttl: Duration = Field("24h", description="How long after its beginning a session may be used.")
    idle_timeout: Duration = Field(
        "30m", description="How long a session is kept without use: without a call on its way, and without an open stream."
    )


class Limits(Model):
    """What clients may ask for."""

    request_bytes: Quantity = Field("4Mi", description="Largest request body; a larger one is refused with 413.")
    call_timeout: Duration = Field(
        "60s", description="Longest time that one call may take, where its server does not say otherwise."
    )
    max_sessions: int = Field(
        10_000, ge=1, le=1_000_000, description="Sessions in use at once in one gateway pod; a further one is refused with 503."
    )


class Spec(Model):
    """What is wanted."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "has(self.auth) && (self.auth.allowUnauthenticated || size(self.auth.tokens) > 0)",
                "spec.auth needs tokens; to let in everybody who can reach the gateway, say allowUnauthenticated: true",
            ),
            (
                "self.mode == 'MultiPod' || self.servers.all(one, one.replicas == 1 && !has(one.autoscaling))",
                "servers[].replicas and autoscaling need mode: MultiPod; in Sidecar mode the servers are in the gateway's pod",
            ),
            (
                "self.mode == 'MultiPod' || (self.replicas <= 1 && !has(self.autoscaling)) || self.servers.all(one, "
                f"one.storage.all(kept, {SHAREABLE}))",
                "in Sidecar mode, storage that only one pod can mount allows no replicas or autoscaling: say mode: MultiPod, or "
                "remove them",
            ),
        )
    )
    mode: Literal["MultiPod", "Sidecar"] = Field(
        "MultiPod", description="MultiPod: a pod for each server. Sidecar: all servers in the gateway's pod."
    )
    replicas: int = Field(1, ge=0, le=100, description="Pods of the gateway; left alone while autoscaling is set.")
    autoscaling: GatewayAutoscaling | None = Field(None, description="Let load decide how many pods the gateway has.")
    pod_disruption_budget: PodDisruptionBudget = Field(
        default_factory=PodDisruptionBudget, description="What remains of the gateway while nodes are drained."
    )
    image: ImageReference | None = Field(None, description="Image of the gateway and the bridge; absent: the operator's.")
    paused: bool = Field(
        False, description="True: the operator changes nothing but the status, until it is false again; what runs goes on."
    )
    image_pull_policy: PullPolicy = Field("IfNotPresent", description="When the gateway's image is pulled.")
    image_pull_secrets: tuple[ObjectSelector, ...] = Field(
        (), max_length=8, json_schema_extra=list_map("name"), description="Secrets for private registries, used by every pod."
    )
    node_selector: dict[str, LabelValue] = Field(
        default_factory=dict, max_length=16, description="Labels that a node must have, for every pod."
    )
    tolerations: tuple[Toleration, ...] = Field(
        (), max_length=16, json_schema_extra=ATOMIC, description="Taints of nodes that every pod puts up with."
    )
    pod_labels: dict[str, LabelValue] = Field(
        default_factory=dict,
        max_length=32,
        description="Further labels of every pod.",
        json_schema_extra=cel(
            (
                "self.all(key, !key.startsWith('app.kubernetes.io/') && !key.contains('mcpgateway.dev/'))",
                "podLabels may not set app.kubernetes.io or mcpgateway.dev keys: the operator finds its pods by them",
            )
        ),
    )
    pod_annotations: dict[str, Annotated[str, Field(max_length=4096)]] = Field(
        default_factory=dict,
        max_length=32,
        description="Annotations of every pod.",
        json_schema_extra=cel(
            (
                "self.all(key, !key.contains('mcpgateway.dev/') && (!key.contains('kubernetes.io/') "
                "|| key.startsWith('cluster-autoscaler.kubernetes.io/')))",
                "podAnnotations may not set mcpgateway.dev keys, nor kubernetes.io keys but cluster-autoscaler.kubernetes.io/…",
            )
        ),
    )
    resources: Resources = Field(default_factory=Resources, description="Resources of the gateway's container.")
    service: Service = Field(default_factory=Service, description="The Service in front of the gateway.")
    ingress: Ingress | None = Field(None, description="An Ingress in front of the Service.")
    http_route: HTTPRoute | None = Field(None, description="A Gateway API route in front of the Service.")
    network_policy: NetworkPolicy = Field(default_factory=NetworkPolicy, description="Who may talk to whom.")
    monitoring: Monitoring = Field(default_factory=Monitoring, description="Who reads the metrics.")
    auth: Auth = Field(default_factory=Auth, json_schema_extra={"x-no-default": True}, description="Who may connect.")
    allowed_hosts: tuple[ObjectName, ...] = Field(
        (),
        max_length=32,
        json_schema_extra={"x-kubernetes-list-type": "set"},
        description="Host names that clients may use besides the Service's names, loopback names and addresses.",
    )
    allowed_origins: tuple[Origin, ...] = Field(
        (),
        max_length=32,
        json_schema_extra={"x-kubernetes-list-type": "set"},
        description="Origins of web pages that may connect, for example https://app.example.com.",
    )
    tool_names: ToolNames = Field(default_factory=ToolNames, description="How tools are named.")
    tool_pinning: Literal["Off", "Warn", "Enforce"] = Field(
        "Off",
        description="When a server describes its tools in other words. Warn: an event and the server's lastError say so. "
        "Enforce: tools are offered only while an annotation of the MCPGateway, tools.mcpgateway.dev/SERVER, has their digest.",
    )
    sessions: Sessions = Field(default_factory=Sessions, description="Clients' sessions.")
    limits: Limits = Field(default_factory=Limits, description="What clients may ask for.")
    audit: Audit = Field(default_factory=Audit, description="The record of who asked for what.")
    servers: tuple[Server, ...] = Field(
        min_length=1, max_length=MAX_SERVERS, json_schema_extra=list_map("name"), description="The MCP servers."
    )

    @property
    def several(self) -> bool:
        """Whether there may be more than one gateway pod."""
        return self.replicas > 1 or self.autoscaling is not None

    @property
    def enabled(self) -> tuple[Server, ...]:
        """The servers that are wanted, in the order of their names."""
        return tuple(sorted((s for s in self.servers if s.state == "Enabled"), key=lambda s: s.name))


class InvalidSpecError(Exception):
    """A stored spec that cannot be used; the message names each field, value and fix."""


def parse_spec(raw: Any) -> Spec:
    """Parse a spec. Raises: InvalidSpecError."""
    try:
        return Spec.model_validate(raw)
    except ValidationError as error:
        lines = [f"spec.{_path(item['loc'])}: {item['msg']}" for item in error.errors(include_url=False)[:8]]
        raise InvalidSpecError("; ".join(lines)) from error


def _path(location: tuple[int | str, ...]) -> str:
    out = ""
    for part in location:
        out += f"[{part}]" if isinstance(part, int) else f".{part}"
    return out.lstrip(".")


_UNITS = {"m": 0.001, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}


def size(quantity: int | str) -> int:
    """A quantity as a whole number, of bytes for example."""
    text = str(quantity)
    number = text.rstrip("mkMGTi")
    return int(float(number) * _UNITS.get(text[len(number) :], 1))


def seconds(duration: str) -> float:
    """A duration's length; units ms, s, m and h may be combined, as in 1m30s."""
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    total, number, unit = 0.0, "", ""
    for char in duration + "0":
        if unit and (char.isdigit() or char == "."):
            total += float(number) * units[unit]
            number, unit = "", ""
        if char.isdigit() or char == ".":
            number += char
        else:
            unit += char
    return total
