"""The input of a rendering: a spec, and what it depends on beside the spec. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from .. import __version__
from ..api.servers import Server
from ..api.spec import Spec
from ..api.workload import RunAs


@dataclass(frozen=True, slots=True)
class Platform:
    """What the operator is told of its cluster; the defaults are those of most clusters."""

    cidrs: tuple[str, ...] = ()  # address ranges of pods and Services outside of the private ranges
    dns: tuple[str, ...] = ("kube-system/k8s-app=kube-dns", "169.254.20.10/32")  # who answers: NAMESPACE/LABEL=VALUE or a range
    dns_ports: tuple[int, ...] = (53,)
    run_as: RunAs = "Fixed"  # where spec.runAs is absent


RUNNER: Final = f"ghcr.io/mcpgateway/runner:{__version__}"


@dataclass(frozen=True, slots=True)
class Context:
    """What a rendering depends on beside the spec."""

    name: str
    namespace: str
    uid: str
    image: str  # the operator's default for spec.image
    runner: str = RUNNER  # the operator's default for spec.packages.runnerImage
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # MultiPod: HOST:PORT of the pods, by server
    arriving: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # MultiPod: those of pods that are to take over
    awaited: tuple[str, ...] = ()  # servers that a new gateway pod must reach before it takes over
    operated: bool = True  # an operator keeps the configuration up to date
    quarantined: frozenset[str] = frozenset()  # Sidecar: servers whose image cannot be pulled
    pins: Mapping[str, str] = field(default_factory=dict)  # approved digests of tools, by server
    integrities: Mapping[str, str] = field(default_factory=dict)  # approved digests of packages, by server
    services: frozenset[str] | None = None  # names of Services that are known to be the gateway's own; None: all that it wants
    hosts: tuple[str, ...] = ()  # host names of the Service's load balancer
    operator_namespace: str = ""  # of the operator's pod; empty: not in the cluster
    platform: Platform = field(default_factory=Platform)


@dataclass(frozen=True, slots=True)
class Gateway:
    """One gateway to render."""

    spec: Spec
    context: Context

    @property
    def name(self) -> str:
        """The name of the MCPGateway, and of the gateway's own objects."""
        return self.context.name

    @property
    def sidecar(self) -> bool:
        """Whether the servers run in the gateway's pod."""
        return self.spec.mode == "Sidecar"

    @property
    def servers(self) -> tuple[Server, ...]:
        """The servers that are rendered, in the order of their names."""
        return tuple(s for s in self.spec.enabled if not (self.sidecar and s.name in self.context.quarantined))

    @property
    def hosted(self) -> tuple[Server, ...]:
        """Those that run in a container."""
        return tuple(server for server in self.servers if server.hosted)

    @property
    def image(self) -> str:
        """The image of the gateway and the bridge."""
        return self.spec.image or self.context.image
