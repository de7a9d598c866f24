"""kopf wiring only: watches put keys on the queue, indexes keep small values, probes tell progress.

Only low-level handlers are used (on.event, index, probe): they write nothing to the resources, and add no finalizer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import kopf

from . import facts, naming
from .api import GROUP, PLURAL, VERSION
from .facts import Key, Owned, Pod

_CHILDREN = (
    ("apps", "v1", "deployments"),
    ("", "v1", "services"),
    ("", "v1", "configmaps"),
    ("networking.k8s.io", "v1", "networkpolicies"),
)
_POD = ("", "v1", "pods")
_KINDS = {
    "deployments": "Deployment",
    "services": "Service",
    "configmaps": "ConfigMap",
    "networkpolicies": "NetworkPolicy",
    "pods": "Pod",
}


class KopfIndex:
    """`reconcile.Index` on kopf's indices, which are complete before the first event is handled."""

    def __init__(self) -> None:
        self._children: Mapping[Key, Iterable[Owned]] = {}
        self._pods: Mapping[Key, Iterable[Pod]] = {}

    def bind(self, children: Mapping[Key, Iterable[Owned]], pods: Mapping[Key, Iterable[Pod]]) -> None:
        """Take the indices; kopf makes them when it starts."""
        self._children, self._pods = children, pods

    def children(self, key: Key) -> Iterable[Owned]:
        return list(self._children.get(key, ()))

    def pods(self, key: Key) -> Iterable[Pod]:
        return list(self._pods.get(key, ()))


def settings() -> kopf.OperatorSettings:
    """How kopf is to behave in production; reasons: docs/architecture.md."""
    chosen = kopf.OperatorSettings()
    chosen.scanning.disabled = True  # needs no right to list namespaces or CRDs
    chosen.posting.enabled = False  # our events are ours
    chosen.peering.standalone = True
    chosen.persistence.finalizer = f"{GROUP}/finalizer"  # never used; kopf's default carries another domain
    chosen.watching.connect_timeout = 10
    chosen.watching.server_timeout = 300
    chosen.watching.chunk_size = 500
    chosen.networking.request_timeout = 30
    chosen.networking.enforce_retry_after = True
    chosen.process.ultimate_exiting_timeout = 20
    managed = f"{naming.MANAGED_BY}={naming.MANAGER}"
    for group, version, plural in (*_CHILDREN, _POD):
        chosen.watching.label_selectors[(group, version, plural) if group else (version, plural)] = managed
    return chosen


def registry(*, enqueue: Callable[[Key], None], index: KopfIndex, progress: Callable[[], float]) -> kopf.OperatorRegistry:
    """All handlers of the operator."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    def children(body: kopf.Body, resource: kopf.Resource, **_: Any) -> Mapping[Key, Owned] | None:
        key = facts.owner_key(body)
        return None if key is None else {key: facts.owned(_typed(body, resource))}

    def pods(body: kopf.Body, **_: Any) -> Mapping[Key, Pod]:
        return {facts.pod_key(body): facts.pod(body)}

    def on_gateway(namespace: str, name: str, **_: Any) -> None:
        enqueue((namespace, name))

    def on_child(body: kopf.Body, **_: Any) -> None:
        key = facts.owner_key(body)
        if key is not None:
            enqueue(key)

    def on_pod(body: kopf.Body, **_: Any) -> None:
        enqueue(facts.pod_key(body))

    @kopf.on.startup(registry=handlers)
    async def bind(**kwargs: Any) -> None:
        index.bind(kwargs["children"], kwargs["pods"])

    @kopf.on.probe(registry=handlers, id="oldestKeySeconds")
    async def age(**_: Any) -> float:
        return round(progress(), 1)

    managed = {naming.MANAGED_BY: naming.MANAGER}
    for group, version, plural in _CHILDREN:
        kopf.index(group, version, plural, id="children", labels=managed, registry=handlers)(_async(children))
        kopf.on.event(group, version, plural, id="child", labels=managed, registry=handlers)(_async(on_child))
    kopf.index(*_POD, id="pods", labels=managed, registry=handlers)(_async(pods))
    kopf.on.event(*_POD, id="pod", labels=managed, registry=handlers)(_async(on_pod))
    kopf.on.event(GROUP, VERSION, PLURAL, id="gateway", registry=handlers)(_async(on_gateway))
    return handlers


def _async(function: Callable[..., Any]) -> Callable[..., Any]:
    """kopf runs plain functions in threads that it never gives back."""

    async def handler(**kwargs: Any) -> Any:
        return function(**kwargs)

    handler.__name__ = function.__name__
    return handler


def _typed(body: Mapping[str, Any], resource: kopf.Resource) -> Mapping[str, Any]:
    """Lists leave the kind out of their items."""
    return {**body, "kind": _KINDS[resource.plural]}
