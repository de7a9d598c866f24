"""Every reason that the operator itself gives in a condition, an event or a server's lastError. The manual: docs/conditions.md.

Others pass through: of the gateway's reports, of the kubelet and of the API server. Source of the form: Kubernetes API
conventions, "Typical status properties" (CamelCase, one word).
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """A machine-readable reason."""

    # Accepted
    VALID = "Valid"
    INVALID = "Invalid"
    # ResolvedRefs
    RESOLVED = "Resolved"
    PENDING = "Pending"
    MISSING_REFERENCE = "MissingReference"
    # Programmed
    PROGRAMMED = "Programmed"
    PROGRESSING = "Progressing"
    ROLLOUT_FAILED = "RolloutFailed"
    PAUSED = "Paused"
    CONFIGURATION_PENDING = "ConfigurationPending"
    ROLLOUT_QUEUED = "RolloutQueued"
    ROLLOUT_HALTED = "RolloutHalted"
    CONFLICT = "Conflict"
    AWAITING_DELETION = "AwaitingDeletion"
    FORBIDDEN = "Forbidden"
    REJECTED = "Rejected"
    API_DISABLED = "APIDisabled"
    API_NOT_INSTALLED = "APINotInstalled"
    DRIFT_CONTESTED = "DriftContested"
    # ManagedElsewhere
    MANAGED_ELSEWHERE = "ManagedElsewhere"
    # Ready
    OPERATOR_UNINSTALLED = "OperatorUninstalled"
    SERVERS_READY = "ServersReady"
    SERVER_NOT_READY = "ServerNotReady"
    SCALED_TO_ZERO = "ScaledToZero"
    GATEWAY_NOT_READY = "GatewayNotReady"
    SERVICE_MISSING = "ServiceMissing"
    STATUS_UNREACHABLE = "StatusUnreachable"
    CONFIGURATION_REFUSED = "ConfigurationRefused"
    # lastError of a server
    PODS_REJECTED = "PodsRejected"
    UNSCHEDULABLE = "Unschedulable"
    TOOLS_CHANGED = "ToolsChanged"
    TOOLS_PENDING = "ToolsPending"
