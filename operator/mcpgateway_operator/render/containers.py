"""The containers of a pod, and what all pods share. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..api.servers import Server
from ..api.workload import Resources, Toleration
from . import bridge_keys, naming, packages
from .bridge_flags import bridge_access, bridge_environment, bridge_needs, bridge_package, bridge_processes
from .context import Gateway
from .mounts import Mount, gateway_mounts, server_mounts
from .packages import InstallView, package_mount

_SERVER_RESOURCES = ({"cpu": "10m", "memory": "64Mi"}, {"memory": "512Mi"})
_GATEWAY_RESOURCES = ({"cpu": "50m", "memory": "64Mi"}, {"memory": "256Mi"})


@dataclass(frozen=True, slots=True)
class PodView:
    """What every pod has from the spec."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    image_pull_secrets: Sequence[Mapping[str, str]]
    fixed_ids: bool  # else the platform assigns user, group and file system group
    node_selector: Mapping[str, str]
    tolerations: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class ImageView:
    """The image of the gateway, which also has the bridge."""

    image: str
    pull_policy: str


@dataclass(frozen=True, slots=True)
class GatewayContainerView:
    """The gateway's container, beside its image."""

    args: Sequence[str]
    resources: Mapping[str, Any]
    mounts: Sequence[Mount]


@dataclass(frozen=True, slots=True)
class ServerContainerView:
    """A server's container with its volumes."""

    name: str
    image: str | None
    pull_policy: str
    exposed: bool  # its ports are the pod's own: MultiPod
    args: Sequence[str]
    resources: Mapping[str, Any]
    tmp: str  # name of the volume for /tmp
    tmp_size: int | str
    user: int | None
    read_only: bool
    mounts: Sequence[Mount]
    install: InstallView | None  # of a package


def pod(gateway: Gateway, labels: Mapping[str, str]) -> PodView:
    """A pod with these labels of ours."""
    spec = gateway.spec
    return PodView(
        labels={**spec.pod_labels, **labels},
        annotations=spec.pod_annotations,
        image_pull_secrets=[{"name": secret.name} for secret in spec.image_pull_secrets],
        fixed_ids=(spec.run_as or gateway.context.platform.run_as) == "Fixed",
        node_selector=spec.node_selector,
        tolerations=[_toleration(toleration) for toleration in spec.tolerations],
    )


def image(gateway: Gateway) -> ImageView:
    """The image of the gateway and the bridge."""
    return ImageView(gateway.image, gateway.spec.image_pull_policy)


def gateway_container(gateway: Gateway) -> GatewayContainerView:
    """The gateway's container."""
    args = [
        "--config=/etc/mcpgateway/config/config.json",
        "--keys=/etc/mcpgateway/keys",
        f"--bridge-keys={bridge_keys.GATEWAY_FOLDER}",
        f"--listen=:{naming.CLIENT_PORT}",
        f"--internal=:{naming.INTERNAL_PORT}",
        "--drain-delay=3",
    ]
    if gateway.sidecar:
        args.append("--binding=/etc/mcpgateway/binding/binding.json")
    resources = _resources(gateway.spec.resources, _GATEWAY_RESOURCES)
    return GatewayContainerView(args, resources, gateway_mounts(gateway.spec, gateway.servers))


def server_container(gateway: Gateway, server: Server, index: int | None) -> ServerContainerView:
    """A server's container; `index` is its place in a Sidecar pod, None in a pod of its own."""
    return ServerContainerView(
        name=naming.server_container(server.name),
        image=server.image if server.package is None else packages.runner(gateway),
        pull_policy=server.image_pull_policy,
        exposed=index is None,
        # The kubelet expands $(VAR) in args by the container's variables; these are the bridge's to expand.
        args=[flag.replace("$", "$$") for flag in _bridge_args(server, index, proven=gateway.context.operated and index is None)],
        resources=_resources(server.resources, _SERVER_RESOURCES),
        tmp=f"tmp-{server.name}",
        tmp_size=server.tmp_size,
        user=server.run_as_user,
        read_only=not server.writable_root_filesystem,
        mounts=server_mounts(gateway.name, server) + ([] if server.package is None else [package_mount(gateway.name, server)]),
        install=packages.install(gateway, server),
    )


def _bridge_args(server: Server, index: int | None, *, proven: bool) -> list[str]:
    """`proven`: its pod is not ready before the gateway has had an answer of this server."""
    host, offset = ("", 0) if index is None else ("127.0.0.1", index)
    return [
        "serve",
        f"--listen={host}:{naming.BRIDGE_PORT + offset}",
        f"--health={host}:{naming.HEALTH_PORT + offset}",
        *(["--await-answer"] if proven else []),
        *bridge_access(server.name, bridge_keys.SERVER_FOLDER),
        *bridge_processes(server),
        *bridge_environment(server),
        *bridge_needs(server),
        *bridge_package(server),
        "--",
        *server.command,
        *server.args,
    ]


def _toleration(toleration: Toleration) -> dict[str, Any]:
    """Without empty fields: the API server would return the object without them."""
    fields = toleration.model_dump(by_alias=True, exclude_none=True)
    return {name: value for name, value in fields.items() if value != ""}


def _resources(given: Resources, defaults: tuple[dict[str, str], dict[str, str]]) -> dict[str, Any]:
    requests, limits = defaults
    wanted = given.model_dump(exclude_none=True)
    return {"requests": {**requests, **wanted["requests"]}, "limits": {**limits, **wanted["limits"]}}
