"""How the pods of a new version of a gateway take over from those of the previous one. Pure.

The previous version goes on serving until a pod of the new one reaches every server that the previous one reaches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..api.spec import Spec
from ..observe.child_state import Owned, Pod
from .observation import Report
from .plan import ObjectId, identity

_SERVED = ("Ready", "Unresponsive", "Degraded", "Restarting")  # states of a server whose tools are listed


def begins(todo: Iterable[Mapping[str, Any]], existing: Mapping[ObjectId, Owned], *, gateway: str) -> bool:
    """Whether the gateway's Deployment exists and is about to change."""
    deployment = ("Deployment", gateway)
    return deployment in existing and any(identity(manifest) == deployment for manifest in todo)


def served(spec: Spec, pods: Iterable[Pod], reports: Mapping[str, Report] | None) -> tuple[str, ...]:
    """The servers that the ready gateway pods reach. `reports` by pod uid; None if not all are known: then all that may be."""
    ready = [pod for pod in pods if pod.component == "gateway" and pod.ready and not pod.terminating]
    if not ready:
        return ()
    names = [server.name for server in spec.enabled]
    if reports is None:
        return tuple(names)
    rows = [row for pod in ready for row in reports.get(pod.uid, {}).get("servers", ())]
    reached = {row["name"] for row in rows if row["state"] in _SERVED}
    return tuple(name for name in names if name in reached)


def over(gateway: Owned | None, pods: Sequence[Pod]) -> bool:
    """Whether no pod of a previous version is left, also none that is still finishing calls."""
    return gateway is not None and gateway.complete and not any(p.component == "gateway" and p.terminating for p in pods)
