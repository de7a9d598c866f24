"""The resource's fields about tools: their names, which of them are offered, and with which descriptions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from .types import ATOMIC, NO_SPACE, Model, cel, list_map, wanted

Glob = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^\S+$", json_schema_extra=NO_SPACE)]
ToolPinning = Literal["Off", "Warn", "Enforce"]


class ToolNames(Model):
    """How the tools of several servers are named in one list."""

    prefix: Literal["Always", "OnConflict", "Never"] = Field(
        "Always",
        description="When the name of a tool begins with the name of its server. Never: of two tools with the same name, the "
        "first one is offered.",
    )
    separator: Literal["_", "-", "__"] = Field("_", description="Separator of the server's name and the tool's name.")


class ToolOverride(Model):
    """Another name or description of one tool."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "has(self.rename) || has(self.description)",
                "tools.overrides needs rename or description: without either it changes nothing",
            )
        )
    )
    name: str = Field(min_length=1, max_length=128, description="Name of the tool at its server.")
    rename: str | None = Field(
        None,
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9_-]+$",
        json_schema_extra=wanted("a name of letters, digits, _ and -"),
        description="Name for clients, before any prefix.",
    )
    description: str | None = Field(None, min_length=1, max_length=4096, description="Description for clients.")


class ToolRules(Model):
    """Which tools of a server are offered to clients, and with which names and descriptions."""

    allow: tuple[Glob, ...] = Field(
        (), max_length=64, json_schema_extra=ATOMIC, description="Names or globs of the tools that are offered; empty: all."
    )
    deny: tuple[Glob, ...] = Field(
        (),
        max_length=64,
        json_schema_extra=ATOMIC,
        description="Names or globs of tools that are not offered, even if allow matches them.",
    )
    overrides: tuple[ToolOverride, ...] = Field(
        (), max_length=64, json_schema_extra=list_map("name"), description="Other names or descriptions for single tools."
    )
