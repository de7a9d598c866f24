"""The status of an MCPGateway: what the operator has seen."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .types import MAX_SERVERS, Model, list_map


class ConditionStatus(Model):
    """metav1.Condition."""

    type: str = Field(max_length=63, description="Accepted, ResolvedRefs, Programmed, Ready; Reconciling and Stalled while true.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    observed_generation: int | None = Field(None, description="The generation that it was found for.")
    last_transition_time: str = Field(
        max_length=32, json_schema_extra={"format": "date-time"}, description="When status last changed."
    )
    reason: str = Field(max_length=128, description="CamelCase reason, see docs/conditions.md.")
    message: str = Field(max_length=4096, description="What it means, for people.")


class LastError(Model):
    """Why a server was last found wanting."""

    reason: str = Field(max_length=128, description="CamelCase reason, see docs/conditions.md.")
    message: str = Field(max_length=2048, description="What happened.")
    time: str = Field(max_length=32, json_schema_extra={"format": "date-time"}, description="When it was first seen.")


class ServerState(Model):
    """What is known about one server."""

    name: str = Field(max_length=40, description="Name of the server.")
    state: str = Field(
        max_length=32, description="Ready, Pending, Connecting, Restarting, Unresponsive, Failed, Quarantined, Unknown."
    )
    era: str | None = Field(None, max_length=16, description="legacy (initialize) or modern (2026-07-28 and later).")
    protocol_version: str | None = Field(None, max_length=32, description="Protocol version spoken with the server.")
    isolation: str | None = Field(None, max_length=16, description="Shared, Session, Principal or Call.")
    tools: int = Field(0, description="Tools offered.")
    prompts: int = Field(0, description="Prompts offered.")
    resources: int = Field(0, description="Resources offered.")
    digest: str | None = Field(None, max_length=80, description="Hash of all tools as the server describes them.")
    processes: int = Field(0, description="Processes running now.")
    restarts: int = Field(0, description="Processes that ended unexpectedly since the gateway started.")
    last_error: LastError | None = Field(None, description="The last thing that went wrong; kept after recovery.")


class Status(Model):
    """What is."""

    observed_generation: int | None = Field(None, description="The generation of spec that this status is about.")
    url: str | None = Field(None, max_length=1024, description="Where clients inside the cluster connect.")
    replicas: int | None = Field(None, description="Pods of the gateway, for the scale subresource.")
    selector: str | None = Field(None, max_length=1024, description="Label selector of the gateway's pods.")
    ready_servers: str | None = Field(None, max_length=16, description="Servers that answer, of those enabled.")
    tool_count: int | None = Field(None, description="Tools that clients see.")
    version: str | None = Field(None, max_length=64, description="Version of the operator that rendered the gateway.")
    conditions: tuple[ConditionStatus, ...] = Field(
        (), max_length=16, json_schema_extra={**list_map("type"), "x-no-default": True}, description="See docs/conditions.md."
    )
    orphaned_claims: tuple[Annotated[str, Field(max_length=253)], ...] = Field(
        (),
        max_length=512,
        json_schema_extra={"x-kubernetes-list-type": "atomic", "x-no-default": True},
        description="PersistentVolumeClaims that no server has any more; the operator never deletes one.",
    )
    servers: tuple[ServerState, ...] = Field(
        (),
        max_length=MAX_SERVERS,
        json_schema_extra={**list_map("name"), "x-no-default": True},
        description="One entry for each enabled server.",
    )
