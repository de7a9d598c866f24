"""The entries of `status.servers`: the gateway's report of a server, corrected by what its pods say. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..api.packages import Package
from ..api.servers import Server
from ..render import naming
from . import tool_pins
from .image_pull_quarantine import STATE as QUARANTINED
from .observation import Observation, Report
from .reasons import Reason
from .rollout_state import being_replaced, pod_problem, server_problem

_STATE_ORDER = (  # the worst first: of several gateway pods the worst report counts
    "Quarantined",
    "Failed",
    "Unknown",
    "Connecting",
    "Degraded",
    "Unresponsive",
    "Restarting",
    "Pending",
    "Ready",
)
_COUNTS = ("tools", "prompts", "resources", "processes", "restarts", "failedStarts")
_FACTS = {"era": 16, "protocolVersion": 32, "isolation": 16, "digest": 80}  # characters; absent before the first report
_MAX_MESSAGE = 1024
_CONNECTING = "Connecting"  # the gateway's reason for what has just begun

Row = Mapping[str, Any]


def server_status(server: Server, seen: Observation, reports: Sequence[Report], *, previous: Row, now: str) -> dict[str, Any]:
    """One entry. `previous` is the server's entry in the status that is stored, empty if it has none."""
    row = _worst_row(server.name, reports)
    state, error = _state(server, row, seen, answering=bool(reports), previous=previous)
    out: dict[str, Any] = {"name": server.name, "state": state}
    out |= {count: row.get(count, 0) for count in _COUNTS}
    out |= {fact: row[fact][:length] for fact, length in _FACTS.items() if row.get(fact)}
    if "digest" in previous:
        out.setdefault("digest", previous["digest"])  # of a server that is away, so that a change meanwhile is noticed
    if server.package is not None:
        out["package"] = _package(server, server.package, seen, previous.get("package") or {})
    if error:
        out["lastError"] = _dated(error, previous.get("lastError") or {}, now)
    return out


def _package(server: Server, package: Package, seen: Observation, previous: Row) -> dict[str, str]:
    """What is installed; of pods that are away it is what they had."""
    out = {"name": f"{package.registry}:{package.name}", "version": package.version}
    pods = seen.gateway_pods() if seen.spec.mode == "Sidecar" else seen.server_pods(server.name)
    installers = [pod.container(naming.install_container(server.name)) for pod in sorted(pods, key=lambda pod: pod.created)]
    outcomes = [c.outcome for c in installers if c is not None and c.outcome and c.package == package.key]
    stored = previous.get("integrity") if {**previous, **out} == previous else None
    integrity = outcomes[-1] if outcomes else stored
    return {**out, "integrity": integrity[:80]} if integrity else out


def significant(status: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a status whose change is worth a write: the number of processes alone is not, nor what others say in it."""
    servers = [{k: v for k, v in server.items() if k != "processes"} for server in status.get("servers") or ()]
    own = [condition for condition in status.get("conditions") or () if condition["type"] != Reason.MANAGED_ELSEWHERE]
    return {**status, "servers": servers, "conditions": own}


def _worst_row(name: str, reports: Sequence[Report]) -> Row:
    rows = [row for report in reports for row in report.get("servers", ()) if row["name"] == name]
    return min(rows, key=lambda row: _rank(row["state"]), default={})


def _rank(state: str) -> int:
    return _STATE_ORDER.index(state) if state in _STATE_ORDER else 0


def _state(
    server: Server, row: Row, seen: Observation, *, answering: bool, previous: Row
) -> tuple[str, Mapping[str, str] | None]:
    """State and last error: a quarantine counts most, then the newest pods' problem, then the gateway's report."""
    if server.name in seen.held:
        held = seen.held[server.name]
        return QUARANTINED, {"reason": held.reason, "message": held.message, "time": held.since}
    state, error = row.get("state", "Connecting" if answering else "Unknown"), row.get("lastError")
    problem = pod_problem(server, seen)
    if problem is not None and state != "Ready":
        return "Failed", problem
    problem = server_problem(server, seen)
    if problem is not None and problem["reason"] != _CONNECTING and being_replaced(server, seen):
        return state, problem  # the previous version serves
    if state in ("Ready", "Pending"):
        error = _pin_error(row, seen, previous) or error
    return state, error


def _pin_error(row: Row, seen: Observation, previous: Row) -> dict[str, str] | None:
    return tool_pins.finding(
        row,
        previous,
        policy=seen.spec.tool_pinning,
        approved=seen.pins.get(row["name"], ""),
        gateway=seen.name,
        namespace=seen.namespace,
    )


def _dated(error: Mapping[str, str], before: Mapping[str, str], now: str) -> dict[str, str]:
    """The error with the time of its first occurrence."""
    message = error["message"][:_MAX_MESSAGE]
    unchanged = (before.get("reason"), before.get("message")) == (error["reason"], message)
    time = error.get("time") or (before["time"] if unchanged else now)
    return {"reason": str(error["reason"]), "message": message, "time": time}
