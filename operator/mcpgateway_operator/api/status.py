"""The status of an MCPGateway."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .types import MAX_SERVERS, Model, list_map


class ConditionStatus(Model):
    """metav1.Condition."""

    type: str = Field(
        max_length=63,
        description="Accepted, ResolvedRefs, Programmed, Ready; Reconciling, Stalled, ManagedElsewhere while true.",
    )
    status: Literal["True", "False", "Unknown"] = Field(description="True, False or Unknown.")
    observed_generation: int | None = Field(None, description="Generation of the resource that the condition is about.")
    last_transition_time: str = Field(
        max_length=32, json_schema_extra={"format": "date-time"}, description="When status last changed."
    )
    reason: str = Field(max_length=128, description="CamelCase reason, see docs/conditions.md.")
    message: str = Field(max_length=4096, description="Explanation, and what to do.")


class LastError(Model):
    """The last error of a server."""

    reason: str = Field(max_length=128, description="CamelCase reason, see docs/conditions.md.")
    message: str = Field(max_length=2048, description="What happened.")
    time: str = Field(max_length=32, json_schema_extra={"format": "date-time"}, description="Time of the first occurrence.")


class InstalledPackage(Model):
    """The package that a server's program is from."""

    name: str = Field(max_length=224, description="npm:NAME or pypi:NAME.")
    version: str = Field(max_length=64, description="Its version.")
    integrity: str | None = Field(
        None,
        max_length=80,
        description="Digest of the package and all that it needs, as its registry has them; absent before it is installed. The "
        "annotation packages.mcpgateway.dev/SERVER of the MCPGateway enforces it.",
    )


class ServerState(Model):
    """Observed state of one server."""

    name: str = Field(max_length=40, description="Name of the server.")
    state: str = Field(
        max_length=32, description="Ready, Pending, Connecting, Restarting, Unresponsive, Degraded, Failed, Quarantined, Unknown."
    )
    era: str | None = Field(None, max_length=16, description="legacy (initialize) or modern (2026-07-28 and later).")
    protocol_version: str | None = Field(None, max_length=32, description="Negotiated protocol version.")
    isolation: str | None = Field(None, max_length=16, description="Shared, Session, Principal or Call.")
    tools: int = Field(0, description="Number of tools.")
    prompts: int = Field(0, description="Number of prompts.")
    resources: int = Field(0, description="Number of resources.")
    digest: str | None = Field(None, max_length=80, description="Digest of all tool definitions of the server.")
    package: InstalledPackage | None = Field(None, description="The package of the server, if it is one.")
    processes: int = Field(0, description="Number of running processes.")
    restarts: int = Field(0, description="Number of processes that have ended unexpectedly since the gateway started.")
    failed_starts: int = Field(
        0, description="Number of processes that could not be started for a client since the gateway started."
    )
    last_error: LastError | None = Field(None, description="Last error; kept after recovery.")


class Status(Model):
    """Observed state of the gateway."""

    observed_generation: int | None = Field(None, description="Generation of the spec that this status is about.")
    url: str | None = Field(None, max_length=1024, description="URL for clients.")
    replicas: int | None = Field(None, description="Number of the gateway's pods, for the scale subresource.")
    selector: str | None = Field(None, max_length=1024, description="Label selector of the gateway's pods.")
    ready_servers: str | None = Field(
        None, max_length=16, description="Number of ready servers, of the enabled ones, for example 2/3."
    )
    tool_count: int | None = Field(None, description="Number of tools that are offered to clients.")
    version: str | None = Field(None, max_length=64, description="Version of the operator that rendered the gateway.")
    operator: str | None = Field(
        None, max_length=128, description="Operator that manages the gateway, as NAMESPACE/RELEASE; others stand back."
    )
    conditions: tuple[ConditionStatus, ...] = Field(
        (),
        max_length=16,
        json_schema_extra={**list_map("type"), "x-no-default": True},
        description="Conditions, see docs/conditions.md.",
    )
    orphaned_claims: tuple[Annotated[str, Field(max_length=253)], ...] = Field(
        (),
        max_length=512,
        json_schema_extra={"x-kubernetes-list-type": "atomic", "x-no-default": True},
        description="PersistentVolumeClaims of removed servers; the operator never deletes one.",
    )
    servers: tuple[ServerState, ...] = Field(
        (),
        max_length=MAX_SERVERS,
        json_schema_extra={**list_map("name"), "x-no-default": True},
        description="One entry for each enabled server.",
    )
