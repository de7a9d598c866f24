"""The resource's `spec.servers`: what is said of one MCP server.

CEL rules stand beside the fields that they are about; `crd.py` carries them over.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from .types import (
    ATOMIC,
    Duration,
    ImageReference,
    KeySelector,
    Model,
    ObjectSelector,
    PullPolicy,
    Quantity,
    RemoteURL,
    cel,
    exactly_one,
    list_map,
)
from .workload import SHAREABLE, Autoscaling, Egress, Resources, Storage

MAX_ENV = 64
RESERVED_HEADERS = (
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "last-event-id",
    "transfer-encoding",
    "upgrade",
)
RESERVED_SERVER_NAMES = ("gateway", "peers", "config", "keys", "bridge")


class EnvVarSource(Model):
    """Where a variable's value comes from."""

    model_config = ConfigDict(json_schema_extra=exactly_one("valueFrom", "secretKeyRef", "configMapKeyRef"))
    secret_key_ref: KeySelector | None = Field(None, description="A key of a Secret.")
    config_map_key_ref: KeySelector | None = Field(None, description="A key of a ConfigMap.")


class EnvVar(Model):
    """One environment variable of a server."""

    model_config = ConfigDict(json_schema_extra=exactly_one("env", "value", "valueFrom", "; an empty variable is value: ''"))
    name: str = Field(min_length=1, max_length=128, pattern=r"^[-._a-zA-Z][-._a-zA-Z0-9]*$", description="Name of the variable.")
    value: str | None = Field(
        None, max_length=4096, description="Its value; $(NAME) stands for an earlier variable, $$ for one dollar sign."
    )
    value_from: EnvVarSource | None = Field(None, description="Take the value from a Secret or a ConfigMap.")


class EnvFromSource(Model):
    """All keys of a Secret or ConfigMap as variables."""

    model_config = ConfigDict(json_schema_extra=exactly_one("envFrom", "secretRef", "configMapRef"))
    prefix: str = Field("", max_length=64, pattern=r"^([-._a-zA-Z][-._a-zA-Z0-9]*)?$", description="Put before each name.")
    secret_ref: ObjectSelector | None = Field(None, description="A Secret.")
    config_map_ref: ObjectSelector | None = Field(None, description="A ConfigMap.")


class Header(Model):
    """One header of all requests to a remote server."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "has(self.value) != has(self.valueFrom)",
                "headers needs exactly one of value and valueFrom; what is secret belongs into valueFrom",
            ),
            (
                "!self.name.matches('(?i)^(mcp-.*|" + "|".join(RESERVED_HEADERS) + ")$')",
                "headers may not set what the protocol itself sets (mcp-…, " + ", ".join(RESERVED_HEADERS) + "): remove it",
            ),
        )
    )
    name: str = Field(min_length=1, max_length=128, pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", description="Name of the header.")
    value: str | None = Field(None, max_length=4096, pattern=r"^[\x20-\x7e]*$", description="Its value.")
    value_from: EnvVarSource | None = Field(
        None, description="Take the value from a Secret or a ConfigMap; a changed one is used within seconds."
    )


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
    """One MCP server: an ordinary stdio program in an ordinary image, or a remote one at a URL."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "has(self.image) != has(self.url)",
                "a server needs exactly one of image (a program in a container) and url (a remote server)",
            ),
            (
                "!has(self.url) || !(has(self.command) || size(self.args) + size(self.env) + size(self.envFrom) > 0)",
                "command, args, env and envFrom belong to a container: remove them, or url",
            ),
            (
                "!has(self.url) || !(size(self.storage) > 0 || self.replicas > 1 || has(self.autoscaling) || has(self.runAsUser) "
                "|| self.writableRootFilesystem)",
                "storage, replicas, autoscaling, runAsUser and writableRootFilesystem belong to a container: remove them, or url",
            ),
            (
                "self.replicas == 1 || !has(self.autoscaling)",
                "autoscaling decides how many pods there are: remove replicas, or autoscaling",
            ),
            (
                f"(self.replicas == 1 && !has(self.autoscaling)) || self.storage.all(kept, {SHAREABLE})",
                "storage that only one pod can mount allows no replicas or autoscaling: remove them, or say accessModes: "
                "[ReadWriteMany] if its class has that",
            ),
            (
                "has(self.url) || size(self.headers) == 0",
                "headers belong to a remote server: remove them, or give url in place of image",
            ),
            (
                "has(self.url) || (has(self.command) && size(self.command) > 0)",
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
    image: ImageReference | None = Field(None, description="Container image that has the server's program.")
    url: RemoteURL | None = Field(
        None,
        description="Where a remote server is: streamable HTTP of any version, or the HTTP+SSE transport of 2024-11-05.",
    )
    headers: tuple[Header, ...] = Field(
        (), max_length=32, json_schema_extra=list_map("name"), description="Headers of all requests to a remote server."
    )
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
    run_as_user: int | None = Field(
        None, ge=1, le=2147483647, description="User id of the program, for an image that needs a certain one; absent: 65532."
    )
    writable_root_filesystem: bool = Field(
        False, description="Whether the program may write beside /tmp and its storage; what it writes there goes with its pod."
    )
    tmp_size: Quantity = Field("256Mi", description="What /tmp, with HOME and the caches, may hold at most.")
    storage: tuple[Storage, ...] = Field(
        (), max_length=8, json_schema_extra=list_map("mountPath"), description="Folders that the program finds or keeps."
    )
    replicas: int = Field(
        1,
        ge=1,
        le=100,
        description="Pods of the server (MultiPod); calls and sessions are spread over them.",
    )
    autoscaling: Autoscaling | None = Field(None, description="Let the CPU decide how many pods there are (MultiPod).")
    egress: Egress | None = Field(
        None,
        description="What the server may reach on the network. Absent: DNS and public addresses, but nothing private, link-local "
        "or in the cluster. In Sidecar mode all servers share what one of them may.",
    )
    optional: bool = Field(
        False,
        description="Whether the gateway is Ready without it; status.servers says when it is away.",
    )
    isolation: Literal["Auto", "Shared", "Session", "Principal", "Call"] = Field(
        "Auto",
        description="Which process serves a call. Shared: one for all clients. Session: one for each client session. "
        "Principal: one for each identity that connects. Call: one for each call. "
        "Auto: Shared for a server of the 2026-07-28 protocol, which is stateless, else Session.",
    )
    pool: int = Field(1, ge=1, le=16, description="Processes that share the calls of a Shared server, in each of its pods.")
    warm: int = Field(0, ge=0, le=16, description="Processes kept started ahead, for servers that take long to start.")
    max_processes: int = Field(
        16,
        ge=1,
        le=1000,
        description="Most processes of a server that is not Shared; who comes after that waits for one. "
        "A remote server bounds its sessions itself.",
    )
    idle_timeout: Duration = Field("30m", description="How long a process of a session or identity is kept without use.")
    call_timeout: Duration | None = Field(None, description="Longest time that one call may take; absent: limits.callTimeout.")
    tools: ToolRules = Field(default_factory=ToolRules, description="Which tools of the server clients see, and as what.")
    state: Literal["Enabled", "Disabled"] = Field("Enabled", description="Disabled: as if the server were not listed.")

    @property
    def several(self) -> bool:
        """Whether there may be more than one pod of it."""
        return self.replicas > 1 or self.autoscaling is not None

    @property
    def single(self) -> bool:
        """Whether it has storage that only one pod at a time may mount."""
        return any(storage.single for storage in self.storage)

    @property
    def hosted(self) -> bool:
        """Whether it runs here, in a container of its own."""
        return self.url is None
