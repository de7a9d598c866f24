"""The resource's fields about environment variables, and the source of a value: a Secret or a ConfigMap."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from .types import KeySelector, Model, ObjectSelector, exactly_one, wanted

MAX_ENV = 64
_VARIABLE = wanted("letters, digits, _, - and ., that do not begin with a digit")


class EnvVarSource(Model):
    """The source of a value."""

    model_config = ConfigDict(json_schema_extra=exactly_one("valueFrom", "secretKeyRef", "configMapKeyRef"))
    secret_key_ref: KeySelector | None = Field(None, description="A key of a Secret.")
    config_map_key_ref: KeySelector | None = Field(None, description="A key of a ConfigMap.")


class EnvVar(Model):
    """One environment variable of a server."""

    model_config = ConfigDict(json_schema_extra=exactly_one("env", "value", "valueFrom", "; an empty variable is value: ''"))
    name: str = Field(
        min_length=1,
        max_length=128,
        pattern=r"^[-._a-zA-Z][-._a-zA-Z0-9]*$",
        json_schema_extra=_VARIABLE,
        description="Name of the variable.",
    )
    value: str | None = Field(
        None,
        max_length=4096,
        description="Value of the variable; $(NAME) is replaced by the value of an earlier variable, $$ by one dollar sign.",
    )
    value_from: EnvVarSource | None = Field(None, description="Take the value from a Secret or a ConfigMap.")


class EnvFromSource(Model):
    """All keys of a Secret or ConfigMap as variables."""

    model_config = ConfigDict(json_schema_extra=exactly_one("envFrom", "secretRef", "configMapRef"))
    prefix: str = Field(
        "",
        max_length=64,
        pattern=r"^([-._a-zA-Z][-._a-zA-Z0-9]*)?$",
        json_schema_extra=_VARIABLE,
        description="Prefix of each name.",
    )
    secret_ref: ObjectSelector | None = Field(None, description="A Secret.")
    config_map_ref: ObjectSelector | None = Field(None, description="A ConfigMap.")
