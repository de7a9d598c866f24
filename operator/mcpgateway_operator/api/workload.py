"""The resource's fields about pods: compute resources, scheduling, scaling, and what the servers keep."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from .types import ATOMIC, Model, ObjectName, ObjectSelector, Quantity, cel

AccessMode = Literal["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"]
SHAREABLE = (  # CEL: whether several pods may have the storage `kept`
    "(!(has(kept.size) || has(kept.claimName)) || "
    "(has(kept.accessModes) && kept.accessModes.exists(mode, mode.endsWith('Many'))))"
)
_OUR_PATHS = ("/mcp-bridge", "/run/mcpgateway", "/proc", "/sys", "/dev")


class ResourceList(Model):
    """Amounts of compute resources."""

    cpu: Quantity | None = Field(None, description="CPU, for example 100m.")
    memory: Quantity | None = Field(None, description="Memory, for example 256Mi.")


class Resources(Model):
    """Requests and limits of one container."""

    requests: ResourceList = Field(default_factory=ResourceList, description="What the scheduler sets aside.")
    limits: ResourceList = Field(default_factory=ResourceList, description="What the container may use at most.")


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


_RANGE = ("self.minReplicas <= self.maxReplicas", "autoscaling.minReplicas must not be more than autoscaling.maxReplicas")


class Autoscaling(Model):
    """A HorizontalPodAutoscaler decides how many pods there are; the operator leaves their number alone."""

    model_config = ConfigDict(json_schema_extra=cel(_RANGE))
    min_replicas: int = Field(1, ge=1, le=100, description="Fewest pods.")
    max_replicas: int = Field(ge=1, le=100, description="Most pods.")
    cpu_utilization: int = Field(80, ge=1, le=1000, description="Wanted mean use of the CPU request, in percent.")


class GatewayAutoscaling(Autoscaling):
    """How many pods the gateway has, by their CPU and by their calls."""

    model_config = ConfigDict(json_schema_extra=cel(_RANGE))
    calls_in_flight: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="Wanted mean of the gateway's metric mcpgateway_calls_in_flight per pod. The cluster needs an adapter that "
        "serves it as custom.metrics.k8s.io, as prometheus-adapter does.",
    )


class PodDisruptionBudget(Model):
    """How much of the gateway may be away while nodes are drained. There is a budget from two pods on."""

    enabled: bool = Field(True, description="Whether there is a PodDisruptionBudget.")
    max_unavailable: int = Field(1, ge=1, le=100, description="Most pods that may be away.")


class EmptyDir(Model):
    """A folder that lives as long as its pod."""

    size_limit: Quantity = Field("1Gi", description="What it may hold at most.")


class Storage(Model):
    """A folder of a server: a claim for storage, or what a Secret, a ConfigMap or an empty folder holds."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "[has(self.size), has(self.claimName), has(self.configMap), has(self.secret), has(self.emptyDir)]"
                ".filter(given, given).size() == 1",
                "storage needs exactly one of size, claimName, configMap, secret and emptyDir",
            ),
            (
                "has(self.size) || !(has(self.storageClassName) || has(self.onDelete))",
                "storageClassName and onDelete belong to storage with a size: remove them, or give a size",
            ),
            (
                "has(self.size) || has(self.claimName) || !has(self.accessModes)",
                "accessModes belong to storage with a size or a claimName: remove them",
            ),
            (
                "self.mountPath != '/tmp' && " + str(list(_OUR_PATHS)) + ".all(own, self.mountPath != own && "
                "!self.mountPath.startsWith(own + '/'))",
                "storage.mountPath must not be /tmp, nor in " + ", ".join(_OUR_PATHS) + ": choose another folder",
            ),
        )
    )
    mount_path: str = Field(
        max_length=256,
        pattern=r"^(/\.?[A-Za-z0-9_-][A-Za-z0-9._-]*)+$",
        description="Where the server finds it: an absolute path without '..'.",
    )
    size: Quantity | None = Field(None, description="Size of a PersistentVolumeClaim that is made, for example 1Gi.")
    storage_class_name: ObjectName | None = Field(None, description="Its StorageClass; absent: the cluster's default.")
    access_modes: tuple[AccessMode, ...] | None = Field(
        None,
        min_length=1,
        max_length=4,
        json_schema_extra=ATOMIC,
        description="How the claim may be mounted; absent: ReadWriteOnce. What not every node can write keeps to one pod.",
    )
    on_delete: Literal["Delete", "Retain"] | None = Field(
        None,
        description="What becomes of the claim when the MCPGateway is deleted; absent: Delete. One that is retained is found "
        "again by a later MCPGateway and server of the same names. No claim goes because its server does.",
    )
    claim_name: ObjectName | None = Field(None, description="An existing PersistentVolumeClaim.")
    config_map: ObjectSelector | None = Field(None, description="The files of a ConfigMap.")
    secret: ObjectSelector | None = Field(None, description="The files of a Secret.")
    empty_dir: EmptyDir | None = Field(None, description="An empty folder.")

    @property
    def single(self) -> bool:
        """Whether only one pod at a time may have it."""
        claimed = self.size is not None or self.claim_name is not None
        return claimed and not any(mode.endswith("Many") for mode in self.access_modes or ())


Cidr = Annotated[
    str,
    Field(
        max_length=49,
        json_schema_extra=cel(("isCIDR(self)", "cidr must be a range of addresses, for example 203.0.113.0/24 or 2001:db8::/32")),
    ),
]


class EgressRule(Model):
    """Where a server may connect to."""

    cidr: Cidr = Field(description="A range of addresses.")
    ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = Field(
        (), max_length=16, json_schema_extra=ATOMIC, description="TCP ports; empty: all ports and protocols."
    )


class Egress(Model):
    """What a server may reach besides DNS."""

    allow: tuple[EgressRule, ...] = Field(
        (), max_length=32, json_schema_extra=ATOMIC, description="Ranges of addresses; empty: DNS only."
    )
