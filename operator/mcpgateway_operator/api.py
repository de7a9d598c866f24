"""MCPGateway v1alpha1: the single source of the CRD, and what a stored object is parsed into.

Names and shapes follow the Kubernetes API conventions. Field descriptions are the reference manual (`kubectl explain`).
`cel` and `list_map` put Kubernetes' own keywords into the schema; `crd.py` carries them over.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

GROUP = "mcpgateway.dev"
VERSION = "v1alpha1"
KIND = "MCPGateway"
PLURAL = "mcpgateways"
API_VERSION = f"{GROUP}/{VERSION}"

MAX_SERVERS = 64
MAX_ENV = 64
RESERVED_SERVER_NAMES = ("gateway", "peers", "config", "keys", "bridge")


def cel(*rules: tuple[str, str]) -> dict[str, Any]:
    """`x-kubernetes-validations` from (rule, message) pairs; a message names the field and the fix."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in rules]}


def list_map(*keys: str) -> dict[str, Any]:
    """A list whose items are told apart by these keys: merged by server-side apply, duplicates refused."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


ATOMIC: dict[str, Any] = {"x-kubernetes-list-type": "atomic"}

ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
DataKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
ImageReference = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^\S+$")]
_QUANTITY = r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"


def _quantity(value: int | str) -> int | str:
    if not re.match(_QUANTITY, str(value)):
        raise ValueError(f"{value!r} is not a quantity: write for example 100m, 0.5 or 256Mi")
    return value


Quantity = Annotated[int | str, AfterValidator(_quantity), Field(json_schema_extra={"pattern": _QUANTITY, "maxLength": 32})]
Duration = Annotated[str, Field(pattern=r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$", max_length=32)]
Origin = Annotated[str, Field(max_length=512, pattern=r"^https?://[^/\s]+$")]
PullPolicy = Literal["Always", "IfNotPresent", "Never"]


class Model(BaseModel):
    """Strict about what is in it, so that `mcpgw` refuses what the API server would."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class KeySelector(Model):
    """One key of a Secret or ConfigMap in the same namespace."""

    name: ObjectName = Field(description="Name of the Secret or ConfigMap, in the gateway's own namespace.")
    key: DataKey = Field(description="The key whose value is used.")


class ObjectSelector(Model):
    """A whole Secret or ConfigMap in the same namespace."""

    name: ObjectName = Field(description="Name of the Secret or ConfigMap, in the gateway's own namespace.")


class EnvVarSource(Model):
    """Where a variable's value comes from."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "has(self.secretKeyRef) != has(self.configMapKeyRef)",
                "valueFrom needs exactly one of secretKeyRef and configMapKeyRef",
            )
        )
    )
    secret_key_ref: KeySelector | None = Field(None, description="A key of a Secret.")
    config_map_key_ref: KeySelector | None = Field(None, description="A key of a ConfigMap.")


class EnvVar(Model):
    """One environment variable of a server."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "has(self.value) != has(self.valueFrom)",
                "env needs exactly one of value and valueFrom; an empty variable is value: ''",
            )
        )
    )
    name: str = Field(min_length=1, max_length=128, pattern=r"^[-._a-zA-Z][-._a-zA-Z0-9]*$", description="Name of the variable.")
    value: str | None = Field(
        None, max_length=4096, description="Its value; $(NAME) stands for an earlier variable, $$ for one dollar sign."
    )
    value_from: EnvVarSource | None = Field(None, description="Take the value from a Secret or a ConfigMap.")


class EnvFromSource(Model):
    """All keys of a Secret or ConfigMap as variables."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "has(self.secretRef) != has(self.configMapRef)",
                "envFrom needs exactly one of secretRef and configMapRef",
            )
        )
    )
    prefix: str = Field("", max_length=64, pattern=r"^([-._a-zA-Z][-._a-zA-Z0-9]*)?$", description="Put before each name.")
    secret_ref: ObjectSelector | None = Field(None, description="A Secret.")
    config_map_ref: ObjectSelector | None = Field(None, description="A ConfigMap.")


class ResourceList(Model):
    """Amounts of compute resources."""

    cpu: Quantity | None = Field(None, description="CPU, for example 100m.")
    memory: Quantity | None = Field(None, description="Memory, for example 256Mi.")


class Resources(Model):
    """Requests and limits of one container."""

    requests: ResourceList = Field(default_factory=ResourceList, description="What the scheduler sets aside.")
    limits: ResourceList = Field(default_factory=ResourceList, description="What the container may use at most.")


Glob = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^\S+$")]


class ToolOverride(Model):
    """What clients see of one tool in place of the server's own words."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "has(self.rename) || has(self.description)",
                "tools.overrides needs rename or description: without either it changes nothing",
            )
        )
    )
    name: str = Field(min_length=1, max_length=128, description="The tool's name at its server.")
    rename: str | None = Field(
        None,
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9_-]+$",
        description="Its name for clients, before any prefix.",
    )
    description: str | None = Field(None, min_length=1, max_length=4096, description="Its description for clients.")


class ToolRules(Model):
    """Which tools of a server clients see, and as what."""

    allow: tuple[Glob, ...] = Field(
        (), max_length=64, json_schema_extra=ATOMIC, description="Names or globs of the tools that are offered; empty: all."
    )
    deny: tuple[Glob, ...] = Field(
        (), max_length=64, json_schema_extra=ATOMIC, description="Names or globs of tools that are not offered, also if allowed."
    )
    overrides: tuple[ToolOverride, ...] = Field(
        (), max_length=64, json_schema_extra=list_map("name"), description="Other names or descriptions for single tools."
    )


class Server(Model):
    """One MCP server: an ordinary stdio program in an ordinary image."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "has(self.command) && size(self.command) > 0",
                "command is required with image, because the bridge starts the program itself: take the image's own, which "
                "`docker image inspect -f '{{json .Config.Entrypoint}} {{json .Config.Cmd}}' IMAGE` shows",
            ),
            (
                "!(self.name in " + str(list(RESERVED_SERVER_NAMES)) + ")",
                "name is reserved for the gateway's own objects (" + ", ".join(RESERVED_SERVER_NAMES) + "): choose another",
            ),
        )
    )
    name: str = Field(
        min_length=1,
        max_length=40,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        description="Name of the server, a DNS label; with toolNames.prefix it begins the names of its tools.",
    )
    image: ImageReference = Field(description="Container image that has the server's program.")
    image_pull_policy: PullPolicy = Field("IfNotPresent", description="When the image is pulled.")
    command: tuple[Annotated[str, Field(max_length=4096)], ...] = Field(
        (),
        max_length=64,
        json_schema_extra={**ATOMIC, "x-no-default": True},
        description="The program and its first arguments. $(NAME) stands for a variable of env.",
    )
    args: tuple[Annotated[str, Field(max_length=4096)], ...] = Field(
        (), max_length=64, json_schema_extra=ATOMIC, description="Further arguments, appended to command."
    )
    env: tuple[EnvVar, ...] = Field(
        (),
        max_length=MAX_ENV,
        json_schema_extra=list_map("name"),
        description="Environment of the program. Values from Secrets and ConfigMaps reach it through mounted files.",
    )
    env_from: tuple[EnvFromSource, ...] = Field(
        (), max_length=16, json_schema_extra=ATOMIC, description="Secrets and ConfigMaps whose keys become variables."
    )
    resources: Resources = Field(
        default_factory=Resources, description="Resources of the server's container; what is left out has a default."
    )
    isolation: Literal["Auto", "Shared", "Session", "Principal", "Call"] = Field(
        "Auto",
        description="Which process serves a call. Shared: one for all clients. Session: one for each client session. "
        "Principal: one for each identity that connects. Call: one for each call. "
        "Auto: Shared for a server of the 2026-07-28 protocol, which is stateless, else Session.",
    )
    pool: int = Field(1, ge=1, le=16, description="Processes that share the calls of a Shared server.")
    warm: int = Field(0, ge=0, le=16, description="Processes kept started ahead, for servers that take long to start.")
    max_processes: int = Field(
        16,
        ge=1,
        le=1000,
        description="Most processes of a server that is not Shared; who comes after that waits for one.",
    )
    idle_timeout: Duration = Field("30m", description="How long a process of a session or identity is kept without use.")
    call_timeout: Duration = Field("60s", description="Longest time that one call may take.")
    tools: ToolRules = Field(default_factory=ToolRules, description="Which tools of the server clients see, and as what.")
    state: Literal["Enabled", "Disabled"] = Field("Enabled", description="Disabled: as if the server were not listed.")


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
    image_pull_policy: PullPolicy = Field("IfNotPresent", description="When the gateway's image is pulled.")
    image_pull_secrets: tuple[ObjectSelector, ...] = Field(
        (), max_length=8, json_schema_extra=list_map("name"), description="Secrets for private registries, used by every pod."
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
    servers: tuple[Server, ...] = Field(
        min_length=1, max_length=MAX_SERVERS, json_schema_extra=list_map("name"), description="The MCP servers."
    )

    @property
    def enabled(self) -> tuple[Server, ...]:
        """The servers that are wanted, in the order of their names."""
        return tuple(sorted((s for s in self.servers if s.state == "Enabled"), key=lambda s: s.name))


class ConditionStatus(Model):
    """metav1.Condition."""

    type: str = Field(max_length=63, description="Accepted, ResolvedRefs, Programmed, Ready; Reconciling and Stalled while true.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    observed_generation: int | None = Field(None, description="The generation that it was found for.")
    last_transition_time: str = Field(
        max_length=32, json_schema_extra={"format": "date-time"}, description="When status last changed."
    )
    reason: str = Field(max_length=128, description="CamelCase reason, see docs/status.md.")
    message: str = Field(max_length=4096, description="What it means, for people.")


class LastError(Model):
    """Why a server was last found wanting."""

    reason: str = Field(max_length=128, description="CamelCase reason, see docs/status.md.")
    message: str = Field(max_length=2048, description="What happened.")
    time: str = Field(max_length=32, json_schema_extra={"format": "date-time"}, description="When it was first seen.")


class ServerState(Model):
    """What is known about one server."""

    name: str = Field(max_length=40, description="Name of the server.")
    state: str = Field(max_length=32, description="Ready, Connecting, Restarting, Failed, Quarantined or Unknown.")
    era: str | None = Field(None, max_length=16, description="legacy (initialize) or modern (2026-07-28 and later).")
    protocol_version: str | None = Field(None, max_length=32, description="Protocol version spoken with the server.")
    isolation: str | None = Field(None, max_length=16, description="Shared, Session, Principal or Call.")
    tools: int = Field(0, description="Tools offered.")
    prompts: int = Field(0, description="Prompts offered.")
    resources: int = Field(0, description="Resources offered.")
    digest: str | None = Field(None, max_length=80, description="Hash of all tools as the server describes them.")
    processes: int = Field(0, description="Processes running now.")
    restarts: int = Field(0, description="Processes that ended unexpectedly since the gateway started.")
    last_error: LastError | None = Field(None, description="The last thing that went wrong; kept after recovery.")


class Status(Model):
    """What is."""

    observed_generation: int | None = Field(None, description="The generation of spec that this status is about.")
    url: str | None = Field(None, max_length=1024, description="Where clients inside the cluster connect.")
    replicas: int | None = Field(None, description="Pods of the gateway, for the scale subresource.")
    selector: str | None = Field(None, max_length=1024, description="Label selector of the gateway's pods.")
    ready_servers: str | None = Field(None, max_length=16, description="Servers that answer, of those enabled.")
    tool_count: int | None = Field(None, description="Tools that clients see.")
    version: str | None = Field(None, max_length=64, description="Version of the operator that rendered the gateway.")
    conditions: tuple[ConditionStatus, ...] = Field(
        (), max_length=16, json_schema_extra={**list_map("type"), "x-no-default": True}, description="See docs/status.md."
    )
    servers: tuple[ServerState, ...] = Field(
        (),
        max_length=MAX_SERVERS,
        json_schema_extra={**list_map("name"), "x-no-default": True},
        description="One entry for each enabled server.",
    )


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
