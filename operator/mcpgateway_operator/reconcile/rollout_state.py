"""Whether the Deployments of a gateway run what the spec says, and the cause if one of them does not. Pure.

Source: `kubectl rollout status` for completeness; the kubelet's reasons for a cause that waiting does not remove.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..observe.child_state import Owned
from ..render import naming
from .finding import Finding
from .observation import Observation, first_problem
from .reasons import Reason

_PERMANENT = (  # the kubelet retries, but succeeds only after a change of the image, the spec or a referenced object
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
)


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
    rollouts = sorted(_incomplete(seen), key=lambda rollout: not rollout.stuck)
    return rollouts[0].finding() if rollouts else None


def _incomplete(seen: Observation) -> Iterator[_Rollout]:
    if seen.gateway is None or not seen.gateway.complete:
        problem = first_problem(seen.gateway_pods(), ("gateway", "copy-bridge"))
        yield _rollout("the gateway", seen.gateway, problem)
    if seen.spec.mode == "Sidecar":
        return
    for server in seen.spec.enabled:
        deployment = seen.deployments.get(naming.child(seen.name, server.name))
        if server.hosted and not server.optional and (deployment is None or not deployment.complete):
            problem = first_problem(seen.server_pods(server.name), _containers(server.name))
            yield _rollout(f"server {server.name}", deployment, problem)


def _containers(server: str) -> tuple[str, ...]:
    return "copy-bridge", naming.install_container(server), naming.server_container(server)


def _rollout(subject: str, deployment: Owned | None, problem: dict[str, str] | None) -> _Rollout:
    if deployment is not None and deployment.problem:
        return _Rollout(subject, f"{Reason.PODS_REJECTED}: {deployment.problem}", stuck=True)
    late = deployment is not None and deployment.deadline_exceeded
    if problem is None:
        return _Rollout(subject, "no progress within its deadline" if late else "", stuck=late)
    return _Rollout(subject, f"{problem['reason']}: {problem['message']}", stuck=late or problem["reason"] in _PERMANENT)
