"""The wiring of kopf: watches put keys on the queue and small values into the index.

Only low-level handlers are used (on.event): they write nothing to the resources and add no finalizer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import kopf

from ..api.group import GROUP, PLURAL, VERSION
from ..observe import child_state, kinds
from ..observe.child_state import Key
from ..observe.index import Index
from ..observe.places import Places
from ..render import naming


def settings(watched: Iterable[kinds.Resource], *, request_timeout: int) -> kopf.OperatorSettings:
    """kopf's settings for production; reasons: docs/architecture.md. `request_timeout` in seconds."""
    chosen = kopf.OperatorSettings()
    chosen.scanning.disabled = True  # kube.discovery does it
    chosen.posting.enabled = False  # reconcile.events writes them
    chosen.peering.standalone = True
    chosen.persistence.finalizer = f"{GROUP}/finalizer"  # never used; kopf's default carries another domain
    chosen.watching.connect_timeout = 10
    chosen.watching.server_timeout = 300
    chosen.watching.chunk_size = 500
    chosen.watching.inactivity_timeout = 2 * request_timeout + 10
    chosen.networking.request_timeout = request_timeout
    chosen.networking.enforce_retry_after = True
    chosen.queueing.idle_timeout = 0.1  # seconds for which an object's body is kept after its event was handled
    chosen.process.ultimate_exiting_timeout = 20
    managed = f"{naming.MANAGED_BY}={naming.MANAGER}"
    for resource in (*watched, kinds.POD):
        place = (resource.group, resource.version, resource.plural)
        chosen.watching.label_selectors[place if resource.group else place[1:]] = managed
    return chosen


def registry(
    watched: Iterable[kinds.Resource],
    *,
    login: Callable[[], Awaitable[kopf.AiohttpSession]],
    enqueue: Callable[[Key], None],
    index: Index,
    places: Places,
    relisted: Callable[[], None],
) -> kopf.OperatorRegistry:
    """All handlers of the operator."""
    handlers = kopf.OperatorRegistry()
    kind_of = {resource.plural: resource.kind for resource in watched}

    @kopf.on.login(registry=handlers)
    async def log_in(**_: Any) -> kopf.AiohttpSession:
        return await login()

    def on_gateway(namespace: str, name: str, body: kopf.Body, type: str | None, **_: Any) -> None:
        if type != "DELETED":
            places.put(body)
        enqueue((namespace, name))

    def on_child(body: kopf.Body, resource: kopf.Resource, type: str | None, **_: Any) -> None:
        kind, uid = kind_of[resource.plural], body["metadata"]["uid"]
        typed = {**body, "kind": kind}  # the items of a list have no kind
        _record(kind, uid, type)
        key = child_state.child_key(typed)
        if key is not None:
            if type != "DELETED":
                index.put_child(key, child_state.owned(typed))
            enqueue(key)

    def on_pod(body: kopf.Body, type: str | None, **_: Any) -> None:
        _record(kinds.POD.kind, body["metadata"]["uid"], type)
        key = child_state.pod_key(body)
        if type != "DELETED":
            index.put_pod(key, child_state.pod(body))
        enqueue(key)

    def _record(kind: str, uid: str, type: str | None) -> None:
        if type is None:  # listed, not watched: at the start, and after each gap
            relisted()
        if type == "DELETED":
            index.drop(kind, uid)
        else:
            index.add(kind, uid)

    managed = {naming.MANAGED_BY: naming.MANAGER}
    for child in watched:
        place = (child.group, child.version, child.plural)
        kopf.on.event(*place, id="child", labels=managed, registry=handlers)(_async(on_child))
    pod = (kinds.POD.group, kinds.POD.version, kinds.POD.plural)
    kopf.on.event(*pod, id="pod", labels=managed, registry=handlers)(_async(on_pod))
    kopf.on.event(GROUP, VERSION, PLURAL, id="gateway", registry=handlers)(_async(on_gateway))
    return handlers


def _async(function: Callable[..., Any]) -> Callable[..., Any]:
    """A coroutine function, because kopf runs plain functions in threads that it never ends."""

    async def handler(**kwargs: Any) -> Any:
        return function(**kwargs)

    handler.__name__ = function.__name__
    return handler
