"""What is known → `status`. Pure: the clock is an argument.

`Ready` is what the gateway says about its own tools/list, never what is merely likely. Reasons: docs/conditions.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import __version__
from ..api.servers import Server
from ..api.spec import Spec
from ..observe.child_state import Owned, Pod
from ..render import naming
from . import tool_pins
from .image_pull_quarantine import STATE as QUARANTINED
from .image_pull_quarantine import Held

_STATE_ORDER = (
    "Quarantined",
    "Failed",
    "Unknown",
    "Connecting",
    "Unresponsive",
    "Restarting",
    "Pending",
    "Ready",
)  # the worst one counts
_MAX_MESSAGE = 1024


@dataclass(frozen=True, slots=True)
class Finding:
    """A condition before it has a time."""

    status: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that a status is made of."""

    name: str
    namespace: str
    generation: int
    spec: Spec
    config_digest: str
    gateway: Owned | None = None  # its Deployment
    pods: Sequence[Pod] = ()
    pins: Mapping[str, str] = field(default_factory=dict)  # digests of tools that a person has approved
    deployments: Mapping[str, Owned] = field(default_factory=dict)  # by name
    reports: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # `/status` by pod uid
    held: Mapping[str, Held] = field(default_factory=dict)
    failure: Finding | None = None  # what kept the objects from being applied
    queued: Finding | None = None  # an operator's upgrade that waits for its turn: what runs is of the former one
    pending: bool = False  # objects of an older shape still wait to be pruned
    service: Owned | None = None  # in front of the gateway
    orphans: Sequence[str] = ()  # claims that no server has any more


def rejected(message: str) -> dict[str, Finding]:
    """The conditions of a spec that cannot be used."""
    return {
        "Accepted": Finding("False", "Invalid", message),
        "Ready": Finding("False", "Invalid", message),
        "Stalled": Finding("True", "Invalid", message),
    }


def build(seen: Observation, *, previous: Mapping[str, Any], now: str) -> dict[str, Any]:
    """The whole status of an accepted gateway."""
    reports = _current_reports(seen)
    servers = [_server(server, seen, reports, previous, now) for server in seen.spec.enabled]
    findings = {
        "Accepted": Finding("True", "Valid", _accepted(seen.spec)),
        "ResolvedRefs": _resolved(servers, reports),
        "Programmed": _programmed(seen, reports),
        "Ready": _ready(seen, servers, reports),
    }
    stuck = seen.failure or (seen.queued if seen.queued is not None and seen.queued.reason == "RolloutHalted" else None)
    if findings["Programmed"].status != "True" and not seen.spec.paused and stuck is None:
        findings["Reconciling"] = Finding("True", findings["Programmed"].reason, findings["Programmed"].message)
    if stuck is not None:
        findings["Stalled"] = Finding("True", stuck.reason, stuck.message)
    answering = sum(server["state"] == "Ready" for server in servers)
    return {
        "observedGeneration": seen.generation,
        "url": url(seen),
        "replicas": sum(pod.component == "gateway" and not pod.terminating for pod in seen.pods),
        "selector": ",".join(f"{k}={v}" for k, v in sorted(naming.selector(seen.name, "gateway").items())),
        "readyServers": f"{answering}/{len(servers)}",
        "toolCount": min((int(report.get("toolCount", 0)) for report in reports), default=0),
        "version": __version__ if seen.queued is None else previous.get("version", __version__),
        "conditions": conditions(findings, generation=seen.generation, previous=previous, now=now),
        "servers": servers,
        **({"orphanedClaims": list(seen.orphans)} if seen.orphans else {}),
    }


def url(seen: Observation) -> str:
    """Where clients connect: by the route or Ingress, else by the load balancer, else inside the cluster."""
    spec = seen.spec
    if spec.http_route is not None and spec.http_route.hostnames:
        parent = spec.http_route.parent_refs[0]
        secure = parent.port == 443 or (parent.section_name or "").startswith("https")
        return f"{'https' if secure else 'http'}://{spec.http_route.hostnames[0]}/mcp"
    if spec.ingress is not None:
        scheme = "https" if spec.ingress.tls_secret_name else "http"
        return f"{scheme}://{spec.ingress.host}{spec.ingress.path.rstrip('/')}/mcp"
    host = seen.service.hosts[0] if seen.service is not None and seen.service.hosts else f"{seen.name}.{seen.namespace}.svc"
    return f"http://{f'[{host}]' if ':' in host else host}:{spec.service.port}/mcp"


def conditions(
    findings: Mapping[str, Finding], *, generation: int, previous: Mapping[str, Any], now: str
) -> list[dict[str, Any]]:
    """metav1 conditions; the time changes only with the status."""
    before = {condition["type"]: condition for condition in previous.get("conditions") or ()}
    return [
        {
            "type": kind,
            "status": finding.status,
            "observedGeneration": generation,
            "lastTransitionTime": _since(before.get(kind), finding.status, now),
            "reason": finding.reason,
            "message": finding.message[:_MAX_MESSAGE],
        }
        for kind, finding in findings.items()
    ]


def _since(before: Mapping[str, Any] | None, status: str, now: str) -> str:
    return str(before["lastTransitionTime"]) if before and before["status"] == status else now


def ready(written: Mapping[str, Any]) -> str:
    """The status of the Ready condition of a status that is written."""
    found = (condition["status"] for condition in written.get("conditions") or () if condition["type"] == "Ready")
    return str(next(found, "Unknown"))


def holds(written: Mapping[str, Any], kind: str) -> bool:
    """Whether a condition of a status that is written is True."""
    return any((found["type"], found["status"]) == (kind, "True") for found in written.get("conditions") or ())


def accepted(resource: Mapping[str, Any]) -> bool:
    """Whether an operator of this very version has found this very spec valid: judging five thousand again takes minutes."""
    known = resource.get("status") or {}
    generation = resource["metadata"]["generation"]
    return (known.get("observedGeneration"), known.get("version")) == (generation, __version__) and any(
        condition["type"] == "Accepted" and condition["status"] == "True" and condition.get("observedGeneration") == generation
        for condition in known.get("conditions") or ()
    )


def significant(status: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a status worth writing: the number of processes alone does not."""
    servers = [{k: v for k, v in server.items() if k != "processes"} for server in status.get("servers") or ()]
    return {**status, "servers": servers}


def transitions(previous: Mapping[str, Any], current: Mapping[str, Any]) -> list[Finding]:
    """The changes worth an event: Ready has changed its status or reason, or something stands in the way of the rest."""
    before = {condition["type"]: condition for condition in previous.get("conditions") or ()}
    out: dict[tuple[str, str], Finding] = {}
    for condition in current["conditions"]:
        known = before.get(condition["type"], {})
        finding = Finding(condition["status"], condition["reason"], condition["message"])
        changed = (known.get("status"), known.get("reason")) != (finding.status, finding.reason)
        if changed and (condition["type"] == "Ready" or (condition["type"] in _GATES and is_problem(finding))):
            out[finding.reason, finding.message] = finding
    told = [server.get("lastError") for server in previous.get("servers") or ()]
    for server in current.get("servers", ()):
        error = server.get("lastError") or {}
        if error.get("reason") == tool_pins.CHANGED and error not in told:
            out[server["name"], ""] = Finding("False", tool_pins.CHANGED, f"server {server['name']}: {error['message']}")
    return list(out.values())


_GATES = ("Accepted", "ResolvedRefs", "Programmed")
_EXPECTED = (
    "Progressing",
    "Pending",
    "ConfigurationPending",
    "GatewayNotReady",
    "StatusUnreachable",
    "ScaledToZero",
    "Paused",
    "RolloutQueued",
)


def is_problem(finding: Finding) -> bool:
    """Whether somebody should look: not what every start and every rollout passes through."""
    return finding.status != "True" and finding.reason not in _EXPECTED


# --- what the gateway's pods say ------------------------------------------------------------------------------------------


def _current_reports(seen: Observation) -> list[Mapping[str, Any]]:
    """Of pods that serve clients; before one does, of any that answers."""
    alive = [pod for pod in seen.pods if pod.component == "gateway" and not pod.terminating and pod.uid in seen.reports]
    return [seen.reports[pod.uid] for pod in ([pod for pod in alive if pod.ready] or alive)]


def _server(
    server: Server, seen: Observation, reports: Sequence[Mapping[str, Any]], previous: Mapping[str, Any], now: str
) -> dict[str, Any]:
    rows = [row for report in reports for row in report.get("servers", ()) if row["name"] == server.name]
    row: Mapping[str, Any] = min(rows, key=lambda row: _rank(row["state"]), default={})
    state, error = row.get("state", "Unknown" if not reports else "Connecting"), row.get("lastError")
    before: Mapping[str, Any] = next((entry for entry in previous.get("servers") or () if entry["name"] == server.name), {})
    if state in ("Ready", "Pending"):
        error = _of_tools(row, before, seen) or error
    problem = _pod_problem(server, seen)
    if server.name in seen.held:
        held = seen.held[server.name]
        state, error = QUARANTINED, {"reason": held.reason, "message": held.message, "time": held.since}
    elif problem is not None and state != "Ready":
        state, error = "Failed", problem
    out: dict[str, Any] = {
        "name": server.name,
        "state": state,
        "tools": row.get("tools", 0),
        "prompts": row.get("prompts", 0),
        "resources": row.get("resources", 0),
        "processes": row.get("processes", 0),
        "restarts": row.get("restarts", 0),
    }
    out |= {key: row[key] for key in ("era", "protocolVersion", "isolation", "digest") if row.get(key)}
    if "digest" in before:
        out.setdefault("digest", before["digest"])  # of a server that is away: else a change meanwhile would not be seen
    if error:
        out["lastError"] = _dated(error, before, now)
    return out


def _of_tools(row: Mapping[str, Any], before: Mapping[str, Any], seen: Observation) -> dict[str, str] | None:
    approved = seen.pins.get(row["name"], "")
    return tool_pins.finding(
        row, before, policy=seen.spec.tool_pinning, approved=approved, gateway=seen.name, namespace=seen.namespace
    )


def _rank(state: str) -> int:
    return _STATE_ORDER.index(state) if state in _STATE_ORDER else 0


def _dated(error: Mapping[str, str], before: Mapping[str, Any], now: str) -> dict[str, str]:
    """The error with the time when it was first seen."""
    message, known = error["message"][:_MAX_MESSAGE], before.get("lastError") or {}
    if (known.get("reason"), known.get("message")) == (error["reason"], message):
        return {"reason": error["reason"], "message": message, "time": error.get("time") or known["time"]}
    return {"reason": error["reason"], "message": message, "time": error.get("time") or now}


def _pod_problem(server: Server, seen: Observation) -> dict[str, str] | None:
    """The kubelet's or the scheduler's word on why a server cannot run."""
    if seen.spec.mode == "MultiPod":
        pods = [pod for pod in seen.pods if pod.component == "server" and pod.server == server.name]
        deployment = seen.deployments.get(naming.child(seen.name, server.name))
        if deployment is not None and deployment.problem:
            return {"reason": "PodsRejected", "message": deployment.problem}
    else:
        pods = [pod for pod in seen.pods if pod.component == "gateway"]
    return _first_problem(pods, ("copy-bridge", f"mcp-{server.name}"))


def _first_problem(pods: Sequence[Pod], names: tuple[str, ...]) -> dict[str, str] | None:
    for pod in sorted(pods, key=lambda pod: pod.created, reverse=True):
        if pod.terminating:
            continue
        if pod.problem:
            return {"reason": "Unschedulable", "message": pod.problem}
        for container in pod.containers:
            if container.name in names and container.reason:
                return {"reason": container.reason, "message": container.message or f"container {container.name}"}
    return None


# --- conditions -----------------------------------------------------------------------------------------------------------


def _accepted(spec: Spec) -> str:
    if not spec.several:
        return "the spec is valid"
    return "the spec is valid; a client keeps to one replica by its address (sessionAffinity: ClientIP), where its processes are"


def _resolved(servers: Sequence[Mapping[str, Any]], reports: Sequence[Mapping[str, Any]]) -> Finding:
    if not reports:
        return Finding("Unknown", "Pending", "no gateway pod has reported yet")
    missing = [f"token {name}" for report in reports for name in report.get("missingTokens", ())]
    for server in servers:
        error = server.get("lastError") or {}
        if server["state"] != "Ready" and error.get("reason") == "MissingReference":
            missing.append(f"server {server['name']}: {error['message']}")
    if missing:
        return Finding("False", "MissingReference", "; ".join(sorted(set(missing))))
    return Finding("True", "Resolved", "all referenced Secrets and ConfigMaps are there")


def _programmed(seen: Observation, reports: Sequence[Mapping[str, Any]]) -> Finding:
    if seen.failure is not None:
        return seen.failure
    if seen.queued is not None:
        return seen.queued
    if seen.spec.paused:
        return Finding("False", "Paused", "spec.paused is true: nothing but the status is changed until it is false")
    if seen.gateway is None or not seen.gateway.complete:
        return Finding("False", "Progressing", "the gateway's rollout is not complete")
    if seen.pending:
        return Finding("False", "Progressing", "objects of the former shape are being removed")
    if seen.spec.replicas and not all(report.get("config") == seen.config_digest for report in reports):
        return Finding("False", "ConfigurationPending", "a gateway pod has not taken the newest configuration yet")
    return Finding("True", "Programmed", "all objects are in place")


def _ready(seen: Observation, servers: Sequence[Mapping[str, Any]], reports: Sequence[Mapping[str, Any]]) -> Finding:
    if seen.spec.replicas == 0 and seen.spec.autoscaling is None:
        return Finding("False", "ScaledToZero", "spec.replicas is 0")
    if seen.gateway is None or seen.gateway.available == 0:
        return Finding("False", "GatewayNotReady", _why_no_gateway(seen))
    if not reports:
        return Finding("Unknown", "StatusUnreachable", "no gateway pod answers on its status port")
    kept = seen.spec.paused or seen.queued is not None
    if not kept and not all(report.get("config") == seen.config_digest for report in reports):
        error = next((report["configError"] for report in reports if report.get("configError")), "")
        if error:
            return Finding("False", "ConfigurationRefused", error)
        return Finding("False", "ConfigurationPending", "the gateway has not taken the newest configuration yet")
    missing = sorted({name for report in reports for name in report.get("missingTokens", ())})
    if missing:
        return Finding("False", "MissingReference", f"tokens that are not there: {', '.join(missing)}; their clients get 401")
    optional = {server.name for server in seen.spec.enabled if server.optional}
    absent = [server for server in servers if server["state"] != "Ready"]
    required = [server for server in absent if server["name"] not in optional]
    if required:
        return Finding("False", "ServerNotReady", "; ".join(_absence(server) for server in required))
    tools = min(int(report.get("toolCount", 0)) for report in reports)
    message = f"{len(servers) - len(absent)} servers answer with {tools} tools"
    return Finding("True", "ServersReady", "; ".join([message, *(f"optional {_absence(server)}" for server in absent)]))


def _absence(server: Mapping[str, Any]) -> str:
    error = server.get("lastError")
    detail = f": {error['reason']}: {error['message']}" if error else ""
    return f"server {server['name']} is {server['state']}{detail}"


def _why_no_gateway(seen: Observation) -> str:
    if seen.gateway is not None and seen.gateway.problem:
        return seen.gateway.problem
    problem = _first_problem([pod for pod in seen.pods if pod.component == "gateway"], ("gateway", "copy-bridge"))
    return f"{problem['reason']}: {problem['message']}" if problem else "no gateway pod is ready yet"
