"""The resource's fields about pods: compute resources, scheduling and scaling."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from .quantities import Quantity
from .types import QUALIFIED, QUALIFIED_NAME, LabelValue, Model, cel

RunAs = Literal["Fixed", "Assigned"]


class ResourceList(Model):
    """Amounts of compute resources."""

    cpu: Quantity | None = Field(None, description="CPU, for example 100m.")
    memory: Quantity | None = Field(None, description="Memory, for example 256Mi.")


class Resources(Model):
    """Requests and limits of one container."""

    requests: ResourceList = Field(default_factory=ResourceList, description="Amounts that the scheduler reserves.")
    limits: ResourceList = Field(default_factory=ResourceList, description="Largest amounts that the container may use.")


class Toleration(Model):
    """A taint that the pods tolerate, as in Kubernetes."""

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
    key: str = Field(
        "",
        max_length=317,
        pattern=rf"^$|{QUALIFIED_NAME}",
        json_schema_extra=QUALIFIED,
        description="Key of the taint; empty: all keys.",
    )
    operator: Literal["Exists", "Equal"] = Field(
        "Equal", description="Equal: the value of the taint must match. Exists: any value matches."
    )
    value: LabelValue = Field("", description="Value of the taint.")
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = Field(
        "", description="Effect of the taint; empty: all effects."
    )
    toleration_seconds: int | None = Field(
        None, ge=0, le=2147483647, description="How long a running pod stays on a node with the taint; absent: without limit."
    )


_RANGE = ("self.minReplicas <= self.maxReplicas", "autoscaling.minReplicas must not be more than autoscaling.maxReplicas")


class Autoscaling(Model):
    """A HorizontalPodAutoscaler that sets the number of pods; the operator does not change it."""

    model_config = ConfigDict(json_schema_extra=cel(_RANGE))
    min_replicas: int = Field(1, ge=1, le=100, description="Smallest number of pods.")
    max_replicas: int = Field(ge=1, le=100, description="Largest number of pods.")
    cpu_utilization: int = Field(
        80, ge=1, le=1000, description="Target for the mean CPU utilization, in percent of the CPU request."
    )


class GatewayAutoscaling(Autoscaling):
    """A HorizontalPodAutoscaler of the gateway, by CPU and by calls in flight."""

    model_config = ConfigDict(json_schema_extra=cel(_RANGE))
    calls_in_flight: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="Target for the mean of the gateway's metric mcpgateway_calls_in_flight per pod. The cluster needs an "
        "adapter that serves it as custom.metrics.k8s.io, as prometheus-adapter does.",
    )


class PodDisruptionBudget(Model):
    """The PodDisruptionBudget of the gateway. It exists while there may be two or more pods."""

    enabled: bool = Field(True, description="Whether the operator creates a PodDisruptionBudget.")
    max_unavailable: int = Field(1, ge=1, le=100, description="Largest number of unavailable pods during an eviction.")
