"""The parts of the resource's models: strict objects, scalar types, and the schema keywords of Kubernetes.

`cel` and `list_map` put those keywords into the schema; `crd.py` carries them over.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

MAX_SERVERS = 64
WANTED: Final = "x-wanted"


def cel(*rules: tuple[str, str]) -> dict[str, Any]:
    """`x-kubernetes-validations` from (rule, message) pairs; a message names the field and the fix."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in rules]}


def wanted(words: str) -> dict[str, Any]:
    """What a pattern asks for, in words that follow "want"; for messages only, never in the published schema."""
    return {WANTED: words}


def exactly_one(of: str, first: str, second: str, hint: str = "") -> dict[str, Any]:
    """The rule that an object has one of two fields; `of` is the name of the object's field."""
    return cel((f"has(self.{first}) != has(self.{second})", f"{of} needs exactly one of {first} and {second}{hint}"))


def list_map(*keys: str) -> dict[str, Any]:
    """A list whose items are identified by these keys: server-side apply merges it, and duplicates are refused."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


ATOMIC: dict[str, Any] = {"x-kubernetes-list-type": "atomic"}

NAME = wanted("a name of a to z, 0 to 9 and -, that begins and ends with a letter or digit")
NO_SPACE = wanted("a text without spaces")
# Sources: k8s.io/apimachinery/pkg/util/validation (IsDNS1123Subdomain, IsQualifiedName, IsConfigMapKey).
_SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
QUALIFIED_NAME = rf"^({_SUBDOMAIN}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?$"
QUALIFIED = wanted("letters, digits, -, _ and ., at most 63, after a domain and / if any, for example example.com/team")


def qualified_keys(of: str) -> tuple[str, str]:
    """The rule that the keys of a map are keys of labels or annotations."""
    pattern = QUALIFIED_NAME.replace("\\", "\\\\")
    message = f"{of} needs keys of at most 63 letters, digits, -, _ and ., after a domain and / if any, as example.com/team"
    return f"self.all(key, size(key) <= 317 && key.matches('{pattern}'))", message


ObjectName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        pattern=rf"^{_SUBDOMAIN}$",
        json_schema_extra=wanted("the name of an object: a to z, 0 to 9, - and ., that begins and ends with a letter or digit"),
    ),
]
DataKey = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        pattern=r"^\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$",
        json_schema_extra=wanted("a key of letters, digits, -, _ and ., that does not begin with two dots"),
    ),
]
ImageReference = Annotated[
    str,
    Field(
        min_length=1,
        max_length=512,
        pattern=r"^\S+$",
        json_schema_extra=wanted("an image without spaces, for example ghcr.io/example/time:1.2"),
    ),
]
Origin = Annotated[
    str,
    Field(
        max_length=512,
        pattern=r"^https?://[^/\s]+$",
        json_schema_extra=wanted("an origin without a path, for example https://app.example.com"),
    ),
]
DNS_LABEL = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
_DNS_NAME = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$"
HostName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        pattern=_DNS_NAME,
        json_schema_extra=wanted("a host name in lower case, without a port, for example mcp.example.com"),
    ),
]
LabelValue = Annotated[
    str,
    Field(
        max_length=63,
        pattern=r"^([a-zA-Z0-9]([-a-zA-Z0-9_.]*[a-zA-Z0-9])?)?$",
        json_schema_extra=wanted("letters, digits, -, _ and ., that begin and end with a letter or digit"),
    ),
]
PullPolicy = Literal["Always", "IfNotPresent", "Never"]


class Model(BaseModel):
    """An object without unknown fields, so that `mcpgw` refuses what the API server would refuse."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class KeySelector(Model):
    """One key of a Secret or ConfigMap in the same namespace."""

    name: ObjectName = Field(description="Name of the Secret or ConfigMap, in the gateway's own namespace.")
    key: DataKey = Field(description="Key whose value is used.")


class ObjectSelector(Model):
    """A whole Secret or ConfigMap in the same namespace."""

    name: ObjectName = Field(description="Name of the Secret or ConfigMap, in the gateway's own namespace.")
