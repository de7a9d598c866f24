"""Autoscalers and disruption budgets. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ..api.servers import Server
from ..api.workload import Autoscaling, GatewayAutoscaling
from . import naming
from .context import Gateway
from .templating import Meta, View, gateway_meta, manifest, server_meta

_SERVER_MAX_UNAVAILABLE = 1


@dataclass(frozen=True, slots=True)
class AutoscalerView(View):
    """The HorizontalPodAutoscaler of the Deployment of the same name."""

    template: ClassVar[str] = "autoscaler"
    container: str
    min_replicas: int
    max_replicas: int
    cpu_utilization: int
    calls_in_flight: int | None


@dataclass(frozen=True, slots=True)
class DisruptionBudgetView(View):
    """The PodDisruptionBudget of the pods of a selector."""

    template: ClassVar[str] = "disruption-budget"
    selector: Mapping[str, str]
    max_unavailable: int


def gateway_scale(gateway: Gateway) -> Iterator[dict[str, Any]]:
    """The gateway's."""
    spec, meta = gateway.spec, gateway_meta(gateway)
    if spec.autoscaling is not None:
        yield _autoscaler(meta, "gateway", spec.autoscaling)
    if spec.several and spec.pod_disruption_budget.enabled:
        selector = naming.selector(gateway.name, "gateway")
        yield manifest(DisruptionBudgetView(meta, selector, spec.pod_disruption_budget.max_unavailable))


def server_scale(gateway: Gateway, server: Server) -> Iterator[dict[str, Any]]:
    """MultiPod: one server's."""
    meta = server_meta(gateway, server.name)
    if server.autoscaling is not None:
        yield _autoscaler(meta, naming.server_container(server.name), server.autoscaling)
    if server.several and gateway.spec.pod_disruption_budget.enabled:
        selector = naming.server_selector(gateway.name, server.name)
        yield manifest(DisruptionBudgetView(meta, selector, _SERVER_MAX_UNAVAILABLE))


def _autoscaler(meta: Meta, container: str, wanted: Autoscaling) -> dict[str, Any]:
    return manifest(
        AutoscalerView(
            meta,
            container=container,
            min_replicas=wanted.min_replicas,
            max_replicas=wanted.max_replicas,
            cpu_utilization=wanted.cpu_utilization,
            calls_in_flight=wanted.calls_in_flight if isinstance(wanted, GatewayAutoscaling) else None,
        )
    )
