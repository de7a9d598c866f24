"""The resource's fields about the folders of a server: claims for storage, Secrets, ConfigMaps and empty folders."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from .quantities import Quantity
from .types import ATOMIC, Model, ObjectName, ObjectSelector, cel, wanted

AccessMode = Literal["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"]
AccessModes = Annotated[tuple[AccessMode, ...], Field(min_length=1, max_length=4, json_schema_extra=ATOMIC)]


def access_modes(given: AccessModes | None) -> AccessModes:
    """Those of a claim: one node's where none is given."""
    return given or ("ReadWriteOnce",)


def of_one_pod(given: AccessModes | None) -> bool:
    """Whether a claim with these modes can be mounted by one pod at a time only."""
    return not any(mode.endswith("Many") for mode in access_modes(given))


def of_several_pods(claim: str) -> str:
    """CEL: the opposite, of the field that `claim` names."""
    return f"(has({claim}.accessModes) && {claim}.accessModes.exists(mode, mode.endsWith('Many')))"


SHAREABLE: Final = (  # CEL: whether several pods may mount the storage `kept`
    f"(!(has(kept.size) || has(kept.claimName)) || {of_several_pods('kept')})"
)
_OUR_PATHS = ("/mcp-bridge", "/mcp-package", "/run/mcpgateway", "/proc", "/sys", "/dev")


class EmptyDir(Model):
    """A folder that lives as long as its pod."""

    size_limit: Quantity = Field("1Gi", description="Largest size of its content.")


class Storage(Model):
    """A folder of a server: a claim for storage, or the content of a Secret, a ConfigMap or an empty folder."""

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
        json_schema_extra=wanted("an absolute path of letters, digits, -, _ and ., without '..', for example /data"),
        description="Path in the server's container: an absolute path without '..'.",
    )
    size: Quantity | None = Field(None, description="Size of a PersistentVolumeClaim that the operator creates, for example 1Gi.")
    storage_class_name: ObjectName | None = Field(None, description="StorageClass of the claim; absent: the cluster's default.")
    access_modes: AccessModes | None = Field(
        None,
        description="Access modes of the claim; absent: ReadWriteOnce. Without a mode of several nodes, one pod at a time mounts "
        "the claim.",
    )
    on_delete: Literal["Delete", "Retain"] | None = Field(
        None,
        description="Whether the claim is deleted with the MCPGateway; absent: Delete. A retained claim is adopted by a later "
        "MCPGateway and server of the same names. Removing a server never deletes its claim.",
    )
    claim_name: ObjectName | None = Field(None, description="Name of an existing PersistentVolumeClaim.")
    config_map: ObjectSelector | None = Field(None, description="The keys of a ConfigMap as files.")
    secret: ObjectSelector | None = Field(None, description="The keys of a Secret as files.")
    empty_dir: EmptyDir | None = Field(None, description="An empty folder.")

    @property
    def single(self) -> bool:
        """Whether only one pod at a time may mount it."""
        claimed = self.size is not None or self.claim_name is not None
        return claimed and of_one_pod(self.access_modes)
