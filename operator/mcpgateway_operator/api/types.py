"""What the resource's models are built from: strict objects, scalar types, and Kubernetes' own schema keywords.

`cel` and `list_map` put those keywords into the schema; `crd.py` carries them over.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

MAX_SERVERS = 64


def cel(*rules: tuple[str, str]) -> dict[str, Any]:
    """`x-kubernetes-validations` from (rule, message) pairs; a message names the field and the fix."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in rules]}


def exactly_one(of: str, first: str, second: str, hint: str = "") -> dict[str, Any]:
    """The rule that an object has one of two fields; `of` is the field that it is the value of."""
    return cel((f"has(self.{first}) != has(self.{second})", f"{of} needs exactly one of {first} and {second}{hint}"))


def list_map(*keys: str) -> dict[str, Any]:
    """A list whose items are told apart by these keys: merged by server-side apply, duplicates refused."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


ATOMIC: dict[str, Any] = {"x-kubernetes-list-type": "atomic"}

ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
DataKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
ImageReference = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^\S+$")]
_QUANTITY = r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"


def _quantity(value: int | str) -> int | str:
    if not re.match(_QUANTITY, str(value)):
        raise ValueError(f"{value!r} is not a quantity: write for example 100m, 0.5 or 256Mi")
    return value


Quantity = Annotated[int | str, AfterValidator(_quantity), Field(json_schema_extra={"pattern": _QUANTITY, "maxLength": 32})]
Duration = Annotated[str, Field(pattern=r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$", max_length=32)]
Origin = Annotated[str, Field(max_length=512, pattern=r"^https?://[^/\s]+$")]
RemoteURL = Annotated[str, Field(max_length=2048, pattern=r"^https?://[^\s/?#@]+(/[^\s#]*)?$")]
LabelValue = Annotated[str, Field(max_length=63, pattern=r"^([a-zA-Z0-9]([-a-zA-Z0-9_.]*[a-zA-Z0-9])?)?$")]
PullPolicy = Literal["Always", "IfNotPresent", "Never"]


class Model(BaseModel):
    """Strict about what is in it, so that `mcpgw` refuses what the API server would."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class KeySelector(Model):
    """One key of a Secret or ConfigMap in the same namespace."""

    name: ObjectName = Field(description="Name of the Secret or ConfigMap, in the gateway's own namespace.")
    key: DataKey = Field(description="The key whose value is used.")


class ObjectSelector(Model):
    """A whole Secret or ConfigMap in the same namespace."""

    name: ObjectName = Field(description="Name of the Secret or ConfigMap, in the gateway's own namespace.")
