"""The NetworkPolicies of a gateway and its servers; their rules: network_policies. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..api.servers import Server
from . import naming, network_policies
from .context import Gateway
from .network_policies import Rule
from .templating import View, gateway_meta, manifest, server_meta


@dataclass(frozen=True, slots=True)
class NetworkPolicyView(View):
    """A policy for the pods of a selector."""

    template: ClassVar[str] = "network-policy"
    selector: Mapping[str, str]
    ingress: Sequence[Rule]
    egress: Sequence[Rule]


def gateway_policy(gateway: Gateway) -> Iterator[dict[str, Any]]:
    """The policy of the gateway's pods."""
    spec, context = gateway.spec, gateway.context
    if not spec.network_policy.enabled:
        return
    remote = [server for server in gateway.servers if not server.hosted]
    servers = gateway.servers if gateway.sidecar else remote
    egress = network_policies.server_egress(servers, context.platform, spec.packages.egress)
    ingress = [
        network_policies.from_clients(spec.network_policy.ingress_from),
        *network_policies.from_observers(context.operator_namespace, spec.monitoring.scrapers),
    ]
    if not gateway.sidecar:
        egress.append(network_policies.to_bridges(gateway.name))
    yield manifest(NetworkPolicyView(gateway_meta(gateway), naming.selector(gateway.name, "gateway"), ingress, egress))


def server_policy(gateway: Gateway, server: Server) -> Iterator[dict[str, Any]]:
    """MultiPod: the policy of a server's pods."""
    if gateway.spec.network_policy.enabled:
        selector = naming.server_selector(gateway.name, server.name)
        ingress = [network_policies.from_gateway(gateway.name)]
        egress = network_policies.server_egress([server], gateway.context.platform, gateway.spec.packages.egress)
        yield manifest(NetworkPolicyView(server_meta(gateway, server.name), selector, ingress, egress))
