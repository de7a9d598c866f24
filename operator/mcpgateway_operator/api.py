"""MCPGateway v1alpha1: the single source of the CRD, and what a stored object is parsed into.

Names and shapes follow the Kubernetes API conventions. Field descriptions are the reference manual (`kubectl explain`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from .schema import (
    ATOMIC,
    MAX_SERVERS,
    ImageReference,
    KeySelector,
    LabelValue,
    Model,
    ObjectName,
    ObjectSelector,
    Origin,
    PullPolicy,
    cel,
    list_map,
)
from .servers import Resources, Server

GROUP = "mcpgateway.dev"
VERSION = "v1alpha1"
KIND = "MCPGateway"
PLURAL = "mcpgateways"
API_VERSION = f"{GROUP}/{VERSION}"


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


class Service(Model):
    """The Service in front of the gateway."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = Field("ClusterIP", description="Type of the Service.")
    port: int = Field(8811, ge=1, le=65535, description="Port that clients connect to.")
    annotations: dict[str, Annotated[str, Field(max_length=4096)]] = Field(
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


class Toleration(Model):
    """A taint of nodes that the pods put up with, as in Kubernetes."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("self.operator != 'Exists' || self.value == ''", "a toleration with operator Exists has no value: leave it out"),
            ("self.operator == 'Exists' || self.key != ''", "a toleration without a key needs operator: Exists, for all taints"),
            (
                "!has(self.tolerationSeconds) || self.effect == 'NoExecute'",
                "tolerationSeconds is for effect: NoExecute, which is the one that evicts",
            ),
        )
    )
    key: str = Field("", max_length=317, pattern=r"^\S*$", description="The taint's key; absent: all.")
    operator: Literal["Exists", "Equal"] = Field("Equal", description="Equal: the value must be the same.")
    value: str = Field("", max_length=63, pattern=r"^\S*$", description="The taint's value.")
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = Field("", description="The taint's effect; empty: all.")
    toleration_seconds: int | None = Field(None, ge=0, le=2147483647, description="How long a pod stays on a tainted node.")


class Spec(Model):
    """What is wanted."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "has(self.auth) && (self.auth.allowUnauthenticated || size(self.auth.tokens) > 0)",
                "spec.auth needs tokens; to let in everybody who can reach the gateway, say allowUnauthenticated: true",
            ),
        )
    )
    mode: Literal["MultiPod", "Sidecar"] = Field(
        "MultiPod", description="MultiPod: a pod for each server. Sidecar: all servers in the gateway's pod."
    )
    replicas: int = Field(1, ge=0, le=100, description="Pods of the gateway.")
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
    audit: Audit = Field(default_factory=Audit, description="The record of who asked for what.")
    servers: tuple[Server, ...] = Field(
        min_length=1, max_length=MAX_SERVERS, json_schema_extra=list_map("name"), description="The MCP servers."
    )

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
