"""The resource's `spec.servers`: one MCP server.

CEL rules are beside the fields that they are about; `crd` puts them into the schema.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from .environment import MAX_ENV, EnvFromSource, EnvVar
from .network import Egress
from .packages import CACHE_ALLOWS_SEVERAL, Package
from .quantities import Duration, Quantity
from .remote import Header, RemoteURL
from .storage import SHAREABLE, Storage
from .tools import ToolRules
from .types import ATOMIC, NAME, ImageReference, KeySelector, Model, PullPolicy, cel, list_map
from .workload import Autoscaling, Resources

RESERVED_SERVER_NAMES: Final = ("gateway", "peers", "config", "keys", "bridge")


class Server(Model):
    """One MCP server: an ordinary stdio program in an ordinary image or a package, or a remote one at a URL."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "[has(self.image), has(self.url), has(self.__package__)].filter(given, given).size() == 1",
                "a server needs exactly one of image (a program in a container), package (a program from npm or PyPI) and url (a "
                "remote server)",
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
                "storage that only one pod can mount allows no replicas or autoscaling: remove them, or set accessModes: "
                "[ReadWriteMany] if its class supports that",
            ),
            (
                "(self.replicas == 1 && !has(self.autoscaling)) || " + CACHE_ALLOWS_SEVERAL.replace("SERVER", "self"),
                "a package.cache that only one pod can mount allows no replicas or autoscaling: remove them, or set accessModes: "
                "[ReadWriteMany] if its class supports that",
            ),
            (
                "has(self.url) || size(self.headers) == 0",
                "headers belong to a remote server: remove them, or give url in place of image",
            ),
            (
                "has(self.url) || !has(self.caBundle)",
                "caBundle belongs to a remote server: remove it, or give url in place of image",
            ),
            (
                "!has(self.__package__) || !has(self.command)",
                "command does not go with package, which has the program: write args, and package.bin if it has several programs",
            ),
            (
                "!has(self.image) || (has(self.command) && size(self.command) > 0)",
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
        json_schema_extra=NAME,
        description="Name of the server, a DNS label; with toolNames.prefix it is the prefix of its tools' names.",
    )
    image: ImageReference | None = Field(None, description="Container image with the server's program.")
    package: Package | None = Field(
        None, description="Package of npm or PyPI with the server's program, in place of an image; see also spec.packages."
    )
    url: RemoteURL | None = Field(
        None,
        description="URL of a remote server: streamable HTTP of any version, or the HTTP+SSE transport of 2024-11-05.",
    )
    headers: tuple[Header, ...] = Field(
        (), max_length=32, json_schema_extra=list_map("name"), description="Headers of all requests to a remote server."
    )
    ca_bundle: KeySelector | None = Field(None, description="As remotes.caBundle, in its place, for a remote server.")
    image_pull_policy: PullPolicy = Field("IfNotPresent", description="When the image is pulled.")
    command: tuple[Annotated[str, Field(max_length=4096)], ...] = Field(
        (),
        max_length=64,
        json_schema_extra={**ATOMIC, "x-no-default": True},
        description="The program and its first arguments. $(NAME) is replaced by the value of a variable of env.",
    )
    args: tuple[Annotated[str, Field(max_length=4096)], ...] = Field(
        (), max_length=64, json_schema_extra=ATOMIC, description="Further arguments, appended to command."
    )
    env: tuple[EnvVar, ...] = Field(
        (),
        max_length=MAX_ENV,
        json_schema_extra=list_map("name"),
        description="Environment variables of the program. Values from Secrets and ConfigMaps are read from mounted files.",
    )
    env_from: tuple[EnvFromSource, ...] = Field(
        (), max_length=16, json_schema_extra=ATOMIC, description="Secrets and ConfigMaps whose keys become variables."
    )
    resources: Resources = Field(
        default_factory=Resources, description="Resources of the server's container; absent values have defaults."
    )
    run_as_user: int | None = Field(
        None,
        ge=1,
        le=2147483647,
        description="User id of the program, for an image that requires a certain one; absent: see spec.runAs.",
    )
    writable_root_filesystem: bool = Field(
        False, description="Whether the program may write outside of /tmp and its storage; such files are lost with the pod."
    )
    tmp_size: Quantity = Field("256Mi", description="Largest size of /tmp, which holds HOME and the caches.")
    storage: tuple[Storage, ...] = Field(
        (), max_length=8, json_schema_extra=list_map("mountPath"), description="Folders that are mounted into the container."
    )
    replicas: int = Field(
        1,
        ge=1,
        le=100,
        description="Number of the server's pods (MultiPod); calls and sessions are distributed over them.",
    )
    autoscaling: Autoscaling | None = Field(None, description="Scale the server's pods by their CPU utilization (MultiPod).")
    egress: Egress | None = Field(
        None,
        description="Destinations of the server's connections. Absent: the cluster's DNS and public addresses, but no private, "
        "link-local or cluster addresses. In Sidecar mode the rules of all servers apply to each of them.",
    )
    optional: bool = Field(
        False,
        description="Whether the gateway can be Ready without the server; status.servers shows its state.",
    )
    isolation: Literal["Auto", "Shared", "Session", "Principal", "Call"] = Field(
        "Auto",
        description="Which process serves a call. Shared: one for all clients. Session: one for each client session. "
        "Principal: one for each authenticated identity. Call: one for each call. "
        "Auto: Shared for a server of the 2026-07-28 protocol, which is stateless, else Session.",
    )
    pool: int = Field(
        1, ge=1, le=16, description="Number of processes of a Shared server in each of its pods; calls are distributed over them."
    )
    warm: int = Field(
        0, ge=0, le=16, description="Number of processes that are started in advance, for servers that start slowly."
    )
    max_processes: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="Largest number of processes of a server that is not Shared; absent: 16, or fewer where its memory has no "
        "room for as many. A further session takes the place of the one "
        "that was not used for the longest time, unless all wait for an answer or read a stream; a further call waits. "
        "A remote server limits its sessions itself.",
    )
    stateless: bool = Field(
        False,
        description="Whether the server keeps nothing between calls: a process that has ended is then replaced without an error. "
        "Otherwise the next request of its client is answered with the error StateLost, once.",
    )
    idle_timeout: Duration = Field("30m", description="How long an idle process of a session or an identity is kept.")
    start_timeout: Duration = Field(
        "120s",
        description="Longest time from the start of a process to its first answer, for programs that install or load much first. "
        "Meanwhile it is not restarted, and status.servers says what it is waiting for.",
    )
    call_timeout: Duration | None = Field(None, description="Longest duration of a call; absent: limits.callTimeout.")
    tools: ToolRules = Field(
        default_factory=ToolRules,
        description="Which tools of the server are offered to clients, and with which names and descriptions.",
    )
    state: Literal["Enabled", "Disabled"] = Field(
        "Enabled", description="Disabled: the server is treated as if it were not listed; its claims are kept."
    )

    @property
    def several(self) -> bool:
        """Whether there may be more than one pod of it."""
        return self.replicas > 1 or self.autoscaling is not None

    @property
    def single(self) -> bool:
        """Whether it has storage that only one pod at a time may mount."""
        cache = self.package.cache if self.package is not None else None
        return any(storage.single for storage in self.storage) or (cache is not None and cache.single)

    @property
    def hosted(self) -> bool:
        """Whether it runs in a container that the operator creates."""
        return self.url is None
