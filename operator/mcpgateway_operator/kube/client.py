"""The verbs that the operator uses, by server-side apply where it writes. Implements `reconcile.ports.Cluster`.

Source: Kubernetes API concepts, "Server-Side Apply".
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlencode

from ..api.group import API_VERSION, KIND
from ..observe.kinds import BY_KIND
from ..observe.ports import ApiError
from ..render.naming import HANDOVER, MANAGED_BY, MANAGER
from .transport import METADATA, Transport

_PAGE = 500  # objects


class KubernetesCluster:
    """The API server, by a transport. Every method raises ApiError."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        return await self._transport.get(_path(kind, namespace, name))

    async def find(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        query = urlencode({"fieldSelector": f"metadata.name={name}"})
        listed = await self._transport.get(f"{_path(kind, namespace)}?{query}")
        if listed is None:  # the kind is not served
            return None
        resource = BY_KIND[kind]
        version = f"{resource.group}/{resource.version}".lstrip("/")
        return next(({"apiVersion": version, "kind": kind, **item} for item in listed["items"]), None)

    async def each(self, kind: str, namespace: str) -> AsyncIterator[dict[str, Any]]:
        """All objects of a kind; of all namespaces if `namespace` is empty."""
        resource, more = BY_KIND[kind], ""
        place = f"{resource.path}/namespaces/{namespace}" if namespace else resource.path
        while True:
            query = urlencode({"limit": _PAGE, "continue": more})
            page = await self._transport.get(f"{place}/{resource.plural}?{query}") or {"items": [], "metadata": {}}
            for item in page["items"]:
                yield item
            more = page["metadata"].get("continue", "")
            if not more:
                return

    async def uids(self, kind: str, namespace: str) -> set[str]:
        """Implements `observe.ports.Lister`."""
        resource, uids, more = BY_KIND[kind], set[str](), ""
        place = f"{resource.path}/namespaces/{namespace}" if namespace else resource.path
        while True:
            query = urlencode({"labelSelector": f"{MANAGED_BY}={MANAGER}", "limit": _PAGE, "continue": more})
            try:
                page = await self._transport.request("GET", f"{place}/{resource.plural}?{query}", accept=METADATA)
            except ApiError as error:
                if error.status == 404:
                    return set()
                raise
            uids |= {item["metadata"]["uid"] for item in page["items"] or ()}  # null if there is none
            more = page["metadata"].get("continue", "")
            if not more:
                return uids

    async def apply(self, manifest: Mapping[str, Any], *, uid: str | None) -> dict[str, Any]:
        metadata = manifest["metadata"]
        body = dict(manifest) if uid is None else {**manifest, "metadata": {**metadata, "uid": uid}}
        return await self._apply(_path(manifest["kind"], metadata["namespace"], metadata["name"]), body, force=uid is not None)

    async def apply_status(
        self, metadata: Mapping[str, Any], status: Mapping[str, Any], *, manager: str = MANAGER, exclusive: bool = False
    ) -> None:
        fields = ("name", "namespace", "uid", *(["resourceVersion"] if exclusive else []))
        target = {field: metadata[field] for field in fields}
        body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": target, "status": status}
        await self._apply(_path(KIND, target["namespace"], target["name"]) + "/status", body, manager=manager)

    async def keep_replicas(self, name: str, namespace: str, uid: str, replicas: int) -> None:
        metadata = {"name": name, "namespace": namespace, "uid": uid}
        body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"replicas": replicas}}
        await self._apply(_path("Deployment", namespace, name), body, manager=HANDOVER)

    async def patch(self, kind: str, namespace: str, name: str, operations: list[dict[str, Any]]) -> None:
        path = f"{_path(kind, namespace, name)}?{urlencode({'fieldManager': MANAGER})}"
        await self._transport.request("PATCH", path, body=operations, content="application/json-patch+json")

    async def create(self, manifest: Mapping[str, Any]) -> dict[str, Any] | None:
        path = _path(manifest["kind"], manifest["metadata"]["namespace"])
        try:
            return await self._transport.request("POST", path, body=manifest)
        except ApiError as error:
            if error.reason == "AlreadyExists":
                return None
            raise

    async def exists(self, kind: str, namespace: str, name: str) -> bool:
        body = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}}
        try:
            await self._transport.request("POST", f"{_path(kind, namespace)}?dryRun=All", body=body)
        except ApiError as error:
            if error.reason == "AlreadyExists":
                return True
            if error.status != 403:  # by a quota, for example: then it may exist or not
                raise
        return False

    async def replace(self, manifest: Mapping[str, Any]) -> dict[str, Any] | None:
        """Replace an object. Returns: the object, or None if its resourceVersion is no longer the given one."""
        metadata = manifest["metadata"]
        path = _path(manifest["kind"], metadata["namespace"], metadata["name"])
        try:
            return await self._transport.request("PUT", path, body=manifest)
        except ApiError as error:
            if error.status in (404, 409):
                return None
            raise

    async def delete(self, kind: str, namespace: str, name: str, uid: str) -> None:
        body = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        try:
            await self._transport.request("DELETE", _path(kind, namespace, name), body=body)
        except ApiError as error:
            if error.status not in (404, 409):  # 409: another object has the name by now
                raise

    async def annotate(self, kind: str, namespace: str, name: str, annotations: Mapping[str, str]) -> None:
        body = {"metadata": {"annotations": dict(annotations)}}
        path = _path(kind, namespace, name)
        try:
            await self._transport.request("PATCH", path, body=body, content="application/merge-patch+json")
        except ApiError as error:
            if error.status != 404:
                raise

    async def _apply(self, path: str, body: Mapping[str, Any], *, manager: str = MANAGER, force: bool = True) -> dict[str, Any]:
        query = urlencode({"fieldManager": manager, "force": str(force).lower(), "fieldValidation": "Strict"})
        return await self._transport.request("PATCH", f"{path}?{query}", body=body, content="application/apply-patch+yaml")


def _path(kind: str, namespace: str, name: str = "") -> str:
    resource = BY_KIND[kind]
    return f"{resource.path}/namespaces/{namespace}/{resource.plural}" + (f"/{name}" if name else "")
