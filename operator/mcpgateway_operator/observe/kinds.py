"""The kinds of objects that a gateway consists of: their API paths, and which of them a cluster may lack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..api.group import GROUP, KIND, PLURAL, VERSION


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind. An `option` is the chart's value that lets the operator manage it."""

    kind: str
    group: str
    version: str
    plural: str
    option: str = ""
    field: str = ""  # of the spec, that makes the operator create one

    @property
    def path(self) -> str:
        """The API's path, up to the namespace."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"


CLAIM: Final = "PersistentVolumeClaim"
GATEWAY: Final = Resource(KIND, GROUP, VERSION, PLURAL)
POD: Final = Resource("Pod", "", "v1", "pods")
CHILDREN: Final = (
    Resource("Deployment", "apps", "v1", "deployments"),
    Resource("Service", "", "v1", "services"),
    Resource("ConfigMap", "", "v1", "configmaps"),
    Resource(CLAIM, "", "v1", "persistentvolumeclaims"),
    Resource("NetworkPolicy", "networking.k8s.io", "v1", "networkpolicies"),
    Resource("PodDisruptionBudget", "policy", "v1", "poddisruptionbudgets"),
    Resource("HorizontalPodAutoscaler", "autoscaling", "v2", "horizontalpodautoscalers"),
    Resource("Ingress", "networking.k8s.io", "v1", "ingresses", "ingress", "ingress"),
    Resource("HTTPRoute", "gateway.networking.k8s.io", "v1", "httproutes", "httpRoute", "httpRoute"),
    Resource("ServiceMonitor", "monitoring.coreos.com", "v1", "servicemonitors", "serviceMonitor", "monitoring.serviceMonitor"),
)
OTHERS: Final = (
    GATEWAY,
    POD,
    Resource("Secret", "", "v1", "secrets"),
    Resource("Event", "", "v1", "events"),
    Resource("Lease", "coordination.k8s.io", "v1", "leases"),
)
BY_KIND: Final = {resource.kind: resource for resource in (*CHILDREN, *OTHERS)}
OPTIONS: Final = tuple(resource.option for resource in CHILDREN if resource.option)


def managed(options: frozenset[str]) -> tuple[Resource, ...]:
    """The kinds of children that the operator may manage with these options."""
    return tuple(resource for resource in CHILDREN if not resource.option or resource.option in options)
