"""Which changes of a status become an Event, and its object. Pure but for the random name.

Source: Kubernetes core/v1 Event; Kubernetes API conventions, "Events".
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from ..api.group import API_VERSION, KIND
from ..render.naming import MANAGER
from .finding import Finding
from .reasons import Reason

_MAX_MESSAGE = 1024  # characters; the API server's own limit
_GATES = ("Accepted", "ResolvedRefs", "Programmed")
_EXPECTED = (  # what every start and every rollout passes through, and states that the spec asks for
    Reason.PROGRESSING,
    Reason.PENDING,
    Reason.CONFIGURATION_PENDING,
    Reason.GATEWAY_NOT_READY,
    Reason.STATUS_UNREACHABLE,
    Reason.SCALED_TO_ZERO,
    Reason.PAUSED,
    Reason.ROLLOUT_QUEUED,
)


def transitions(previous: Mapping[str, Any], current: Mapping[str, Any]) -> list[Finding]:
    """The changes that are worth an event: of Ready's status or reason, a new problem of another condition, changed tools."""
    before = {condition["type"]: condition for condition in previous.get("conditions") or ()}
    out: dict[tuple[str, str], Finding] = {}
    for condition in current["conditions"]:
        old = before.get(condition["type"], {})
        finding = Finding(condition["status"], condition["reason"], condition["message"])
        changed = (old.get("status"), old.get("reason")) != (finding.status, finding.reason)
        if changed and (condition["type"] == "Ready" or (condition["type"] in _GATES and is_problem(finding))):
            out[finding.reason, finding.message] = finding
    reported = [server.get("lastError") for server in previous.get("servers") or ()]
    for server in current.get("servers", ()):
        error = server.get("lastError") or {}
        if error.get("reason") == Reason.TOOLS_CHANGED and error not in reported:
            out[server["name"], ""] = Finding("False", Reason.TOOLS_CHANGED, f"server {server['name']}: {error['message']}")
    return list(out.values())


def is_problem(finding: Finding) -> bool:
    """Whether an event about it is a warning."""
    return finding.status != "True" and finding.reason not in _EXPECTED


def event(metadata: Mapping[str, Any], change: Finding, *, now: str) -> dict[str, Any]:
    """The Event about one change of the gateway with this metadata. `now` is an RFC 3339 time."""
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata['name']}.{secrets.token_hex(8)}", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
        "type": "Warning" if is_problem(change) else "Normal",
        "reason": str(change.reason),
        "message": change.message[:_MAX_MESSAGE],
        "source": {"component": MANAGER},
        "reportingComponent": MANAGER,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
