"""Whether the Deployments of a gateway run what the spec says, and the cause if one of them does not. Pure.

A new version of a server has been rolled out once it has answered: its pod is not ready before. Sources: `kubectl rollout status`
for completeness; the kubelet's and the gateway's reasons for a cause that waiting does not remove.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..api.servers import Server
from ..observe.child_state import Owned
from ..render import naming
from .finding import Finding
from .observation import Observation, Report, first_problem
from .reasons import Reason

_PERMANENT = frozenset(  # it is tried again, but succeeds only after a change of the image, the spec or a referenced object
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        # Of an installer; RegistryUnreachable passes.
        "DiskFull",
        "NoIntegrity",
        "PackageChanged",
        "PackageNotFound",
        "PlatformNotSupported",
        "ProgramNotFound",
        "RegistryDenied",
        "RegistryNotTrusted",
        "RequirementsConflict",
        "RunnerIncomplete",
        "RuntimeNotSupported",
        "VersionNotFound",
        # Of the gateway.
        "InvalidAddress",
        "InvalidConfiguration",
        "ProtocolError",
        "StartFailed",
        "Timeout",
        Reason.PODS_REJECTED,
    }
)
_CONNECTING, _EXITED = "Connecting", "Exited"  # reasons of the gateway
_CRASHES = 3  # ends of a process in a row that are no accident
Problem = Mapping[str, str]  # reason and message


@dataclass(frozen=True, slots=True)
class _Rollout:
    """An incomplete rollout."""

    subject: str
    cause: str  # reason and message, empty if there is none
    stuck: bool

    def finding(self) -> Finding:
        cause = f": {self.cause}" if self.cause else ""
        if self.stuck:
            return Finding("False", Reason.ROLLOUT_FAILED, f"the rollout of {self.subject} is stuck{cause}")
        return Finding("False", Reason.PROGRESSING, f"the rollout of {self.subject} is not complete{cause}")


def rollout_problem(seen: Observation) -> Finding | None:
    """The rollout that is stuck, else the first that is not complete; None if all are complete.

    Optional servers do not count: a gateway is complete without them.
    """
    rollouts = sorted(_incomplete(seen), key=lambda rollout: (not rollout.stuck, not rollout.cause))
    return rollouts[0].finding() if rollouts else None


def server_problem(server: Server, seen: Observation) -> Problem | None:
    """Why the newest version of a server does not run or has not answered, as far as it is known."""
    if server.name in seen.held:
        held = seen.held[server.name]
        return {"reason": held.reason, "message": held.message}
    return pod_problem(server, seen) or _arrival(server, seen) or _unanswered(server, seen)


def pod_problem(server: Server, seen: Observation) -> Problem | None:
    """Why the newest pod of a server does not run, by the kubelet, the scheduler or admission."""
    containers = ("copy-bridge", naming.install_container(server.name), naming.server_container(server.name))
    if seen.spec.mode == "Sidecar":
        return first_problem(seen.gateway_pods(), containers)
    deployment = seen.deployments.get(naming.child(seen.name, server.name))
    if deployment is not None and deployment.problem:
        return {"reason": Reason.PODS_REJECTED, "message": deployment.problem}
    return first_problem(seen.server_pods(server.name), containers)


def being_replaced(server: Server, seen: Observation) -> bool:
    """Whether the newest version of a server is not in place: what answers may be its previous one."""
    if _arrival(server, seen) is not None:
        return True
    if not server.hosted:
        return False
    if seen.spec.mode == "Sidecar":
        return server_problem(server, seen) is not None
    deployment = seen.deployments.get(naming.child(seen.name, server.name))
    return deployment is None or not deployment.complete


def _arrival(server: Server, seen: Observation) -> Problem | None:
    """What the gateways say of a version that is to take over from one that serves."""
    rows = (_row(server, report) for report in seen.current_reports())
    return next((dict(row["arrival"]) for row in rows if row.get("arrival")), None)


def _unanswered(server: Server, seen: Observation) -> Problem | None:
    """What the gateway says of a server that has not answered yet; in Sidecar mode the gateway of the newest pod."""
    report = seen.newest_report() if seen.spec.mode == "Sidecar" else next(iter(seen.current_reports()), None)
    row = _row(server, report or {})
    if not server.hosted or not row or row.get("era") or row["state"] == "Ready":
        return None
    error = row.get("lastError") or {"reason": _CONNECTING, "message": "it has not answered yet"}
    if error["reason"] == _EXITED and row.get("restarts", 0) >= _CRASHES:
        return {"reason": "CrashLoopBackOff", "message": error["message"]}
    return dict(error)


def _row(server: Server, report: Report) -> Mapping[str, Any]:
    return next((row for row in report.get("servers", ()) if row["name"] == server.name), {})


def _incomplete(seen: Observation) -> Iterator[_Rollout]:
    if seen.gateway is None or not seen.gateway.complete:
        yield _rollout("the gateway", seen.gateway, first_problem(seen.gateway_pods(), ("gateway", "copy-bridge")))
    if seen.spec.replicas == 0 and seen.spec.autoscaling is None:
        return  # no gateway can ask a server whether it answers
    for server in seen.spec.enabled:
        if not server.optional and being_replaced(server, seen):
            deployment = seen.deployments.get(naming.child(seen.name, server.name)) if seen.spec.mode == "MultiPod" else None
            yield _rollout(f"server {server.name}", deployment, server_problem(server, seen))


def _rollout(subject: str, deployment: Owned | None, problem: Problem | None) -> _Rollout:
    if deployment is not None and deployment.problem:
        problem = {"reason": Reason.PODS_REJECTED, "message": deployment.problem}
    late = deployment is not None and deployment.deadline_exceeded
    if problem is None:
        return _Rollout(subject, "no progress within its deadline" if late else "", stuck=late)
    return _Rollout(subject, f"{problem['reason']}: {problem['message']}", stuck=late or problem["reason"] in _PERMANENT)
