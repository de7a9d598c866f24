"""For each reason of docs/conditions.md one command that helps. Pure.

Placeholders: {name} of the gateway, {kubectl} with the namespace, {mcpgw} with the flags of the gateway, {edit}, {server}.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_WAIT = "{kubectl} wait --for=condition=Ready mcpgateway/{name} --timeout=120s"
_LOGS = "mcpgw logs {mcpgw} {server}"
_STATUS = "mcpgw status {mcpgw} --watch"
_UPGRADE = "helm upgrade --install mcpgateway charts/mcpgateway-operator --namespace mcpgateway-system --reuse-values"
OPERATOR: Final = "kubectl get pods --all-namespaces -l app.kubernetes.io/name=mcpgateway-operator"
_PODS = "{kubectl} describe pods -l app.kubernetes.io/instance={name}"

WAITING: Final = frozenset(
    {
        "Pending",
        "Progressing",
        "ConfigurationPending",
        "AwaitingDeletion",
        "RolloutQueued",
        "NoAddress",
        "Draining",
        "Moved",
        "ReferencesChanged",
        "SessionLost",
        "TakenOver",
    }
)  # reasons that end by themselves

CONDITIONS: Final[Mapping[str, str]] = {
    "Invalid": "{edit}",
    "Pending": _WAIT,
    "Progressing": _WAIT,
    "RolloutFailed": "{edit}",
    "ConfigurationPending": _WAIT,
    "ConfigurationRefused": _UPGRADE,
    "Paused": '{kubectl} patch mcpgateway {name} --type=merge -p \'{{"spec":{{"paused":false}}}}\'',
    "ScaledToZero": "{kubectl} scale mcpgateway {name} --replicas=1",
    "GatewayNotReady": _PODS + ",app.kubernetes.io/component=gateway",
    "StatusUnreachable": "{kubectl} get networkpolicies",
    "ServerNotReady": _STATUS,
    "MissingReference": "{edit}",
    "Conflict": "{kubectl} get deployments,services,configmaps,networkpolicies -L app.kubernetes.io/instance",
    "ServiceMissing": _WAIT,
    "AwaitingDeletion": _WAIT,
    "Forbidden": _UPGRADE,
    "Rejected": "{kubectl} get resourcequotas,limitranges,events --field-selector=type=Warning",
    "APIDisabled": _UPGRADE + " --set {option}",
    "APINotInstalled": "{edit}",
    "RolloutQueued": _WAIT,
    "RolloutHalted": "kubectl get mcpgateways --all-namespaces",
    "DriftContested": "{kubectl} get deployments -l app.kubernetes.io/instance={name} -o yaml --show-managed-fields",
    "ManagedElsewhere": OPERATOR,
    "OperatorUninstalled": _UPGRADE,
}

SERVERS: Final[Mapping[str, str]] = {
    "Degraded": _LOGS,
    "Unresponsive": "{edit}",
    "StartFailed": "{edit}",
    "Exited": _LOGS,
    "CrashLoopBackOff": _LOGS,
    "Unreachable": "{edit}",
    "InvalidCABundle": "{edit}",
    "NoAddress": _PODS + ",mcpgateway.dev/server={server}",
    "Timeout": _LOGS,
    "ProtocolError": _LOGS,
    "Overloaded": "{edit}",
    "MemoryShort": "{edit}",
    "StateLost": "{edit}",
    "AccessDenied": "{edit}",
    "SessionLost": _STATUS,
    "Redirected": "{edit}",
    "InvalidHeader": "{edit}",
    "Refused": _UPGRADE,
    "TakenOver": _STATUS,
    "InvalidAddress": "{edit}",
    "InvalidConfiguration": _UPGRADE,
    "InternalError": "mcpgw report {mcpgw}",
    "Draining": _STATUS,
    "Moved": _STATUS,
    "ReferencesChanged": _STATUS,
    "Connecting": _LOGS,
    "ToolsChanged": "mcpgw approve {mcpgw} {server}",
    "ToolsPending": "mcpgw approve {mcpgw} {server}",
    "ListFailed": _LOGS,
    "ItemsHidden": "{edit}",
    "MissingReference": "{edit}",
    "Unschedulable": _PODS,
    "PodsRejected": "{kubectl} get events --field-selector=type=Warning",
    "ErrImagePull": "{edit}",
    "ImagePullBackOff": "{edit}",
    "InvalidImageName": "{edit}",
    "PackageNotFound": "{edit}",
    "VersionNotFound": "{edit}",
    "RegistryNotTrusted": "{edit}",
    "PlatformNotSupported": "{edit}",
    "RuntimeNotSupported": "{edit}",
    "RequirementsConflict": "{edit}",
    "ProgramNotFound": "{edit}",
    "RegistryUnreachable": "{edit}",
    "RegistryDenied": "{edit}",
    "DiskFull": "{edit}",
    "PackageChanged": "{edit}",
    "NoIntegrity": "{edit}",
    "RunnerIncomplete": "{edit}",
    "InstallFailed": "{edit}",
}

OTHER: Final = _PODS  # for the kubelet's and the scheduler's own reasons
EDIT_FILE: Final = "${{EDITOR:-vi}} {file}"
EDIT_RESOURCE: Final = "{kubectl} edit mcpgateway {name}"
CREATE_SECRET: Final = "{kubectl} create secret generic {secret} --from-literal={key}=VALUE"  # noqa: S105 - a command's form
CREATE_CONFIG_MAP: Final = "{kubectl} create configmap {secret} --from-literal={key}=VALUE"
LOCAL_SECRET: Final = "export {variable}=VALUE"  # noqa: S105 - a command's form
