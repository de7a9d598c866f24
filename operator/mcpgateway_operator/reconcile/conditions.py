"""An observation → findings → metav1 conditions. Pure: the clock is an argument.

`Ready` is what the gateway reports of its own tools/list, never what is merely likely. Reasons: docs/conditions.md.
Sources: Kubernetes API conventions, "Typical status properties"; kstatus for Reconciling and Stalled, present only while true.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .. import __version__
from ..api.spec import Spec
from .finding import Finding
from .observation import Observation, Report, first_problem
from .reasons import Reason
from .rollout_state import rollout_problem

_MEMORY_SHORT = "MemoryShort"  # a reason of the gateway

_MAX_MESSAGE = 1024  # characters
_SILENT = "no gateway pod answers on its status port"
_STALLING = (Reason.ROLLOUT_HALTED, Reason.ROLLOUT_FAILED)  # and each failure to write: waiting does not help
Servers = Sequence[Mapping[str, Any]]  # entries of status.servers


def rejected(message: str) -> dict[str, Finding]:
    """The findings about a spec that cannot be used."""
    return {
        "Accepted": Finding("False", Reason.INVALID, message),
        "Ready": Finding("False", Reason.INVALID, message),
        "Stalled": Finding("True", Reason.INVALID, message),
    }


def findings(seen: Observation, servers: Servers, reports: Sequence[Report]) -> dict[str, Finding]:
    """The findings about an accepted gateway, by condition type."""
    programmed = _programmed(seen, reports)
    by_type = {
        "Accepted": Finding("True", Reason.VALID, _accepted(seen.spec)),
        "ResolvedRefs": _resolved(servers, reports),
        "Programmed": programmed,
        "Ready": _ready(seen, servers, reports),
    }
    if seen.failure is not None or programmed.reason in _STALLING:
        by_type["Stalled"] = Finding("True", programmed.reason, programmed.message)
    elif programmed.status != "True" and not seen.spec.paused:
        by_type["Reconciling"] = Finding("True", programmed.reason, programmed.message)
    return by_type


def conditions(by_type: Mapping[str, Finding], *, generation: int, previous: Mapping[str, Any], now: str) -> list[dict[str, Any]]:
    """metav1 conditions. lastTransitionTime changes only with the status."""
    before = {condition["type"]: condition for condition in previous.get("conditions") or ()}
    return [
        {
            "type": kind,
            "status": finding.status,
            "observedGeneration": generation,
            "lastTransitionTime": _since(before.get(kind), finding.status, now),
            "reason": str(finding.reason),
            "message": finding.message[:_MAX_MESSAGE],
        }
        for kind, finding in by_type.items()
    ]


def _since(before: Mapping[str, Any] | None, status: str, now: str) -> str:
    return str(before["lastTransitionTime"]) if before and before["status"] == status else now


# --- reading a stored status ----------------------------------------------------------------------------------------------


def condition_status(status: Mapping[str, Any], kind: str) -> str:
    """The status of a condition that is stored; Unknown if it is absent."""
    values = (condition["status"] for condition in status.get("conditions") or () if condition["type"] == kind)
    return str(next(values, "Unknown"))


def accepted(resource: Mapping[str, Any]) -> bool:
    """Whether an operator of this version has accepted this generation: validating five thousand again would take minutes."""
    status, generation = resource.get("status") or {}, resource["metadata"]["generation"]
    return (status.get("observedGeneration"), status.get("version")) == (generation, __version__) and any(
        condition["type"] == "Accepted" and condition["status"] == "True" and condition.get("observedGeneration") == generation
        for condition in status.get("conditions") or ()
    )


# --- one condition each ---------------------------------------------------------------------------------------------------


def _accepted(spec: Spec) -> str:
    if not spec.several:
        return "the spec is valid"
    words = ["the spec is valid; sessionAffinity: ClientIP keeps each client on one replica, where its processes run"]
    if spec.ingress is not None:
        words.append(
            "the Ingress has annotations by which ingress-nginx does so for each session; another controller ignores them and "
            "must be configured to hash by the header Mcp-Session-Id"
        )
    if spec.http_route is not None:
        words.append(
            "an HTTPRoute has no such field: configure its controller to hash by the header Mcp-Session-Id, or use one replica; "
            "otherwise calls of one session on two replicas fail with TakenOver"
        )
    return "; ".join(words)


def _resolved(servers: Servers, reports: Sequence[Report]) -> Finding:
    if not reports:
        return Finding("Unknown", Reason.PENDING, "no gateway pod has reported yet")
    missing = {f"token {name}" for name in _missing_tokens(reports)}
    for server in servers:
        error = server.get("lastError") or {}
        if server["state"] != "Ready" and error.get("reason") == Reason.MISSING_REFERENCE:
            missing.add(f"server {server['name']}: {error['message']}")
    if missing:
        return Finding("False", Reason.MISSING_REFERENCE, "; ".join(sorted(missing)))
    return Finding("True", Reason.RESOLVED, "all referenced Secrets and ConfigMaps exist")


def _programmed(seen: Observation, reports: Sequence[Report]) -> Finding:
    if seen.failure is not None:
        return seen.failure
    if seen.queued is not None:
        return seen.queued
    if seen.spec.paused:
        return Finding(
            "False", Reason.PAUSED, "spec.paused is true: the operator writes nothing but the status until it is false"
        )
    if (rollout := rollout_problem(seen)) is not None:
        return rollout
    if seen.pending:
        return Finding("False", Reason.PROGRESSING, "objects of the previous mode are being removed")
    if seen.spec.replicas and not reports:
        return Finding("Unknown", Reason.STATUS_UNREACHABLE, _SILENT)
    if seen.spec.replicas and not _configured(seen, reports):
        return Finding("False", Reason.CONFIGURATION_PENDING, "a gateway pod has not loaded the newest configuration yet")
    return Finding("True", Reason.PROGRAMMED, "all objects are up to date")


def _ready(seen: Observation, servers: Servers, reports: Sequence[Report]) -> Finding:
    """The first check that fails."""
    checks = (
        seen.conflict,  # what answers may not be this gateway
        _gateway_problem(seen, reports),
        _service_problem(seen),
        _configuration_problem(seen, reports),
        _token_problem(reports),
    )
    return next((problem for problem in checks if problem is not None), None) or _servers_ready(seen, servers, reports)


def _gateway_problem(seen: Observation, reports: Sequence[Report]) -> Finding | None:
    if seen.spec.replicas == 0 and seen.spec.autoscaling is None:
        return Finding("False", Reason.SCALED_TO_ZERO, "spec.replicas is 0")
    if seen.gateway is None or seen.gateway.available == 0:
        return Finding("False", Reason.GATEWAY_NOT_READY, _unavailable(seen))
    if not reports:
        return Finding("Unknown", Reason.STATUS_UNREACHABLE, _SILENT)
    return None


def _service_problem(seen: Observation) -> Finding | None:
    if "Service" in seen.entrances:
        return None
    why = "; spec.paused keeps it from being created" if seen.spec.paused else ""
    return Finding("False", Reason.SERVICE_MISSING, f"Service {seen.name} does not exist, so no client reaches the gateway{why}")


def _configuration_problem(seen: Observation, reports: Sequence[Report]) -> Finding | None:
    unwritten = seen.spec.paused or seen.queued is not None
    if unwritten or _configured(seen, reports):
        return None
    if error := next((report["configError"] for report in reports if report.get("configError")), ""):
        return Finding("False", Reason.CONFIGURATION_REFUSED, error)
    return Finding("False", Reason.CONFIGURATION_PENDING, "the gateway has not loaded the newest configuration yet")


def _token_problem(reports: Sequence[Report]) -> Finding | None:
    missing = sorted(_missing_tokens(reports))
    if not missing:
        return None
    message = f"token Secrets are missing: {', '.join(missing)}; clients with these tokens receive 401"
    return Finding("False", Reason.MISSING_REFERENCE, message)


def _servers_ready(seen: Observation, servers: Servers, reports: Sequence[Report]) -> Finding:
    optional = {server.name for server in seen.spec.enabled if server.optional}
    absent = [server for server in servers if server["state"] != "Ready"]
    required = [server for server in absent if server["name"] not in optional]
    if required:
        return Finding("False", Reason.SERVER_NOT_READY, "; ".join(_absence(server) for server in required))
    tools = min(int(report.get("toolCount", 0)) for report in reports)
    message = f"{len(servers) - len(absent)} servers answer with {tools} tools"
    remarks = [f"optional {_absence(server)}" for server in absent]
    remarks += [_absence(server) for server in servers if server["state"] == "Ready" and _short_of_memory(server)]
    return Finding("True", Reason.SERVERS_READY, "; ".join([message, *remarks]))


def _short_of_memory(server: Mapping[str, Any]) -> bool:
    """Whether its limits do not fit each other: it serves, but not as many clients as it is meant to."""
    return (server.get("lastError") or {}).get("reason") == _MEMORY_SHORT


def _configured(seen: Observation, reports: Sequence[Report]) -> bool:
    return all(report.get("config") == seen.config_digest for report in reports)


def _missing_tokens(reports: Sequence[Report]) -> set[str]:
    return {name for report in reports for name in report.get("missingTokens", ())}


def _absence(server: Mapping[str, Any]) -> str:
    error = server.get("lastError")
    detail = f": {error['reason']}: {error['message']}" if error else ""
    return f"server {server['name']} is {server['state']}{detail}"


def _unavailable(seen: Observation) -> str:
    if seen.gateway is not None and seen.gateway.problem:
        return seen.gateway.problem
    problem = first_problem(seen.gateway_pods(), ("gateway", "copy-bridge"))
    return f"{problem['reason']}: {problem['message']}" if problem else "no gateway pod is ready yet"
