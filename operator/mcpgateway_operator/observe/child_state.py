"""The state of a gateway's objects as small values, never bodies: pure functions of watch events.

The reason is memory: five thousand gateways have fifty thousand children, of which only these values are kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..api.group import KIND
from ..render import naming
from . import drift, field_ownership
from .kinds import CLAIM

Key = tuple[str, str]  # namespace and name of an MCPGateway

_TEMPLATE_HASH = "pod-template-hash"  # a label that the Deployment controller sets
_CRASHES = "CrashLoopBackOff"
_IGNORED_ANNOTATIONS = ("deployment.kubernetes.io/revision",)


@dataclass(frozen=True, slots=True)
class Owned:
    """A child that exists."""

    kind: str
    name: str
    uid: str
    owner: str  # uid of the MCPGateway that controls it
    digest: str  # of all that a rendering could have written
    applied: str = ""  # digest of the fields that we own, as they are now; empty if others have added something to be removed
    complete: bool = True  # Deployment: the newest template is the only one that runs
    outdated: bool = False  # Deployment: pods of an older template may still run
    available: int = 0  # Deployment: pods that serve
    problem: str = ""  # Deployment: why pods cannot be created
    deadline_exceeded: bool = False  # Deployment: its rollout made no progress within its deadline
    replicas: int = 0  # Deployment: pods that are wanted
    holds_replicas: bool = False  # Deployment: their number is ours
    hosts: tuple[str, ...] = ()  # Service: where its load balancer is reached


@dataclass(frozen=True, slots=True)
class Container:
    """A container of a pod."""

    name: str
    image: str
    running: bool
    ready: bool
    reason: str = ""  # why it does not run, or does not keep running: the kubelet's reason, or the installer's
    message: str = ""
    started: bool = True  # its startup probe has succeeded
    package: str = ""  # of an installer: the folder that it fills
    outcome: str = ""  # of an installer that has succeeded: the integrity


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of a gateway or of a server."""

    name: str
    uid: str
    component: str
    server: str
    ip: str
    created: str
    terminating: bool
    ready: bool
    containers: tuple[Container, ...]
    problem: str = ""  # why it is not scheduled
    template: str = ""  # hash of the pod template that it is of

    def container(self, name: str) -> Container | None:
        """A container by its name."""
        return next((container for container in self.containers if container.name == name), None)


def owner_key(body: Mapping[str, Any]) -> Key | None:
    """The MCPGateway that controls an object, if one does."""
    owner = controller(body)
    if owner is None or owner.get("kind") != KIND:
        return None
    return body["metadata"]["namespace"], owner["name"]


def child_key(body: Mapping[str, Any]) -> Key | None:
    """The MCPGateway that an object belongs to: by its controller, or by label for a claim that outlives its gateway."""
    if body["kind"] == CLAIM and controller(body) is None:
        return pod_key(body)
    return owner_key(body)


def controller(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The controller reference of an object."""
    references = body["metadata"].get("ownerReferences") or ()
    return next((reference for reference in references if reference.get("controller")), None)


def pod_key(body: Mapping[str, Any]) -> Key:
    """The MCPGateway that a pod belongs to, by label: its controller is a ReplicaSet."""
    metadata = body["metadata"]
    return metadata["namespace"], metadata["labels"].get(naming.INSTANCE, "")


def ours(body: Mapping[str, Any], key: Key) -> bool:
    """Whether an object has the labels of a gateway's children."""
    labels = body["metadata"].get("labels") or {}
    return labels.get(naming.MANAGED_BY) == naming.MANAGER and labels.get(naming.INSTANCE) == key[1]


def owned(body: Mapping[str, Any]) -> Owned:
    """The value that is kept of a child."""
    metadata = body["metadata"]
    status = body.get("status") or {}
    is_deployment = body["kind"] == "Deployment"
    return Owned(
        kind=body["kind"],
        name=metadata["name"],
        uid=metadata["uid"],
        owner=(controller(body) or {}).get("uid", ""),
        digest=content_digest(body),
        applied="" if is_deployment and drift.additions(body) else digest(_comparable(field_ownership.applied(body))),
        complete=not is_deployment or rollout_complete(body),
        outdated=is_deployment and not _only_newest(body),
        available=status.get("availableReplicas", 0) if is_deployment else 0,
        problem=_condition_message(status, "ReplicaFailure", "True"),
        deadline_exceeded=bool(_condition_message(status, "Progressing", "False")) if is_deployment else False,
        replicas=body["spec"].get("replicas", 1) if is_deployment else 0,
        holds_replicas=is_deployment and _holds_replicas(body),
        hosts=_load_balancer(status) if body["kind"] == "Service" else (),
    )


def _holds_replicas(body: Mapping[str, Any]) -> bool:
    """Whether the number of replicas is among the fields that we apply."""
    ours = (entry for entry in field_ownership.entries(body, ours=True) if entry["manager"] == naming.MANAGER)
    return any("f:replicas" in entry["fieldsV1"].get("f:spec", {}) for entry in ours)


def _load_balancer(status: Mapping[str, Any]) -> tuple[str, ...]:
    points = (status.get("loadBalancer") or {}).get("ingress") or ()
    return tuple(point.get("hostname") or point.get("ip", "") for point in points)


def content_digest(body: Mapping[str, Any]) -> str:
    """A digest of the fields that a rendering writes; a change that we did not make is drift."""
    metadata = body["metadata"]
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k not in _IGNORED_ANNOTATIONS}
    content = [
        metadata.get("labels"),
        annotations,
        [ref["uid"] for ref in metadata.get("ownerReferences") or ()],
        body.get("spec"),
        body.get("data"),
        body.get("immutable"),
    ]
    return digest(content)


def wanted_digest(manifest: Mapping[str, Any]) -> str:
    """A digest of a manifest; equals `Owned.applied` of the object that it was applied to while our fields are unchanged."""
    return digest(_comparable(manifest))


def _comparable(content: Mapping[str, Any]) -> dict[str, Any]:
    """Without the object's identity, and without what the API server leaves out."""
    metadata = {k: v for k, v in content.get("metadata", {}).items() if k not in ("name", "namespace", "uid") and v}
    rest = {k: v for k, v in content.items() if k not in ("apiVersion", "kind", "metadata")}
    return {**rest, "metadata": metadata}


def digest(content: Any) -> str:
    """A short digest of JSON-like data, the same for the same data."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def rollout_complete(body: Mapping[str, Any]) -> bool:
    """Whether only pods of the newest template are left and all of them are available, as `kubectl rollout status` decides."""
    wanted = body["spec"].get("replicas", 1)
    status = body.get("status") or {}
    return bool(
        _only_newest(body) and status.get("updatedReplicas", 0) >= wanted and status.get("availableReplicas", 0) >= wanted
    )


def _only_newest(body: Mapping[str, Any]) -> bool:
    status = body.get("status") or {}
    return bool(
        status.get("observedGeneration", 0) >= body["metadata"].get("generation", 0)
        and status.get("replicas", 0) <= status.get("updatedReplicas", 0)
    )


def pod(body: Mapping[str, Any]) -> Pod:
    """The value that is kept of a pod."""
    metadata, status = body["metadata"], body.get("status") or {}
    labels = metadata.get("labels") or {}
    states = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    packages = {
        c["name"]: c["args"][-1] for c in body["spec"].get("initContainers") or () if c["name"].startswith(naming.INSTALL)
    }
    return Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        component=labels.get(naming.COMPONENT, ""),
        server=labels.get(naming.SERVER, ""),
        ip=status.get("podIP", ""),
        created=metadata.get("creationTimestamp", ""),
        terminating="deletionTimestamp" in metadata,
        ready=any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ()),
        containers=tuple(
            _installer(state, packages[state["name"]]) if state["name"] in packages else _container(state) for state in states
        ),
        problem=_condition_message(status, "PodScheduled", "False"),
        template=labels.get(_TEMPLATE_HASH, ""),
    )


def _container(state: Mapping[str, Any]) -> Container:
    now = state.get("state") or {}
    waiting = now.get("waiting") or {}
    ended = (now if "terminated" in now else state.get("lastState") or {}).get("terminated") or {}
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if not state.get("ready") and state.get("restartCount", 0) and ended.get("exitCode"):
        reason = reason or _CRASHES  # also in the moments between two waits, so that the state does not alternate
    if reason == _CRASHES and ended:
        message = f"{ended.get('reason', 'ended')}, exit code {ended.get('exitCode')}: {ended.get('message') or message}"
    return Container(
        name=state["name"],
        image=state.get("image", ""),
        running="running" in now,
        ready=bool(state.get("ready")),
        reason="" if reason in ("PodInitializing", "ContainerCreating") else reason,
        message=message,
        started=bool(state.get("started")),
    )


def _installer(state: Mapping[str, Any], folder: str) -> Container:
    """An initContainer that installs a package: its termination message is REASON: MESSAGE, or the integrity."""
    container = replace(_container(state), package=folder.rsplit("/", 1)[-1])
    now = state.get("state") or {}
    ended = now.get("terminated") or (state.get("lastState") or {}).get("terminated")
    if not ended:
        return container
    text = str(ended.get("message") or "").strip()
    if ended.get("exitCode") == 0:
        return replace(container, outcome=text)
    reason, separated, message = text.partition(": ")
    if not separated:
        words = f"{ended.get('reason')}, exit code {ended.get('exitCode')}, with the server's own resources {text}".strip()
        return replace(container, reason="InstallFailed", message=words)
    return replace(container, reason=reason, message=message)


def _condition_message(status: Mapping[str, Any], kind: str, value: str) -> str:
    for condition in status.get("conditions") or ():
        if condition["type"] == kind and condition["status"] == value:
            return str(condition.get("message", ""))
    return ""
