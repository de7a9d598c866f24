"""Everything that a status is computed from. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..api.spec import Spec
from ..observe.child_state import Owned, Pod
from .finding import Finding
from .image_pull_quarantine import Held
from .reasons import Reason

Report = Mapping[str, Any]  # a gateway's `/status`


@dataclass(frozen=True, slots=True)
class Observation:
    """One gateway, its objects, pods and reports, after a pass has written what it could."""

    name: str
    namespace: str
    operator: str  # that manages it
    generation: int
    spec: Spec
    config_digest: str
    gateway: Owned | None = None  # its Deployment
    pods: Sequence[Pod] = ()
    pins: Mapping[str, str] = field(default_factory=dict)  # approved digests of tools, by server
    deployments: Mapping[str, Owned] = field(default_factory=dict)  # by name
    reports: Mapping[str, Report] = field(default_factory=dict)  # by pod uid
    held: Mapping[str, Held] = field(default_factory=dict)  # quarantined servers
    failure: Finding | None = None  # an object could not be written
    conflict: Finding | None = None  # it is a needed one, and its name is another's
    queued: Finding | None = None  # an upgrade by a new operator waits for its turn: the previous rendering runs
    pending: bool = False  # objects of an older shape are not pruned yet
    entrances: Mapping[str, Owned] = field(default_factory=dict)  # the gateway's own objects of its own name, by kind
    orphans: Sequence[str] = ()  # claims of no server

    def gateway_pods(self) -> list[Pod]:
        """The pods of the gateway, terminating ones too."""
        return [pod for pod in self.pods if pod.component == "gateway"]

    def server_pods(self, server: str) -> list[Pod]:
        """MultiPod: the pods of a server, terminating ones too."""
        return [pod for pod in self.pods if (pod.component, pod.server) == ("server", server)]

    def current_reports(self) -> list[Report]:
        """The reports of the pods that serve clients; while none does, of any that answers."""
        answering = [pod for pod in self.gateway_pods() if not pod.terminating and pod.uid in self.reports]
        return [self.reports[pod.uid] for pod in ([pod for pod in answering if pod.ready] or answering)]

    def newest_report(self) -> Report | None:
        """The report of the newest gateway pod, which may not be ready yet."""
        newest = max((pod for pod in self.gateway_pods() if not pod.terminating), key=lambda pod: pod.created, default=None)
        return None if newest is None else self.reports.get(newest.uid)


def first_problem(pods: Sequence[Pod], containers: Sequence[str]) -> dict[str, str] | None:
    """Why a pod of the newest template does not run: reason and message of the scheduler or the kubelet."""
    newest_first = sorted((pod for pod in pods if not pod.terminating), key=lambda pod: pod.created, reverse=True)
    for pod in (pod for pod in newest_first if pod.template == newest_first[0].template):
        if pod.problem:
            return {"reason": Reason.UNSCHEDULABLE, "message": pod.problem}
        for container in pod.containers:
            if container.name in containers and container.reason:
                return {"reason": container.reason, "message": container.message or f"container {container.name}"}
    return None
