"""The resource's fields about who may connect, and about the record of requests."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from .types import NAME, KeySelector, Model, cel, list_map


class Token(Model):
    """One bearer token that clients may present."""

    name: str = Field(
        min_length=1,
        max_length=63,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        json_schema_extra=NAME,
        description="Name of the identity that the token stands for.",
    )
    secret_key_ref: KeySelector = Field(description="The key of a Secret that holds the token.")


class Auth(Model):
    """Who may connect."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "!self.allowUnauthenticated || size(self.tokens) == 0",
                "auth.allowUnauthenticated: true makes auth.tokens meaningless: remove one of them",
            ),
        )
    )
    tokens: tuple[Token, ...] = Field(
        (), max_length=32, json_schema_extra=list_map("name"), description="Accepted bearer tokens, each in a Secret."
    )
    allow_unauthenticated: bool = Field(False, description="Serve clients without credentials.")


class Audit(Model):
    """The record of requests."""

    level: Literal["None", "Metadata"] = Field(
        "None",
        description="Metadata: the gateway writes one JSON line for each request to its standard output, with the identity, the "
        "method, the name and the outcome, but never arguments or results. None: no record.",
    )
