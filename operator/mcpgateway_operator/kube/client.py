"""The only module that talks to the API server: few verbs on dict bodies, raw responses, server-side apply.

Source: Kubernetes API concepts, "Server-Side Apply"; errors are metav1.Status.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.config.config_exception import ConfigException

from ..api.spec import API_VERSION, CRD_NAME, KIND
from ..observe.kinds import BY_KIND, Resource
from ..render.naming import HANDOVER, MANAGED_BY, MANAGER

_TIMEOUT = 30.0  # seconds: a hanging API server must not hold a worker for longer
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_PAGE = 500
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class ApiError(Exception):
    """The API server's refusal, in its own words."""

    def __init__(self, status: int, reason: str, message: str, *, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message
        self.retry_after = retry_after  # seconds that the server wants to be left alone

    @property
    def terminal(self) -> bool:
        """Whether trying again cannot help until somebody changes something (duplicate names answer 500, so 5xx is no proof)."""
        return self.status in (400, 403, 405, 413, 422)


class StartAnewError(Exception):
    """What is known of the cluster holds no more: all that runs has to end, and to begin with what is."""


class Cluster(Protocol):
    """What a reconcile needs of a cluster."""

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """An object, or None."""

    async def find(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """An object, or None; by a list, which needs no right beyond those of a watch."""

    async def uids(self, kind: str, namespace: str) -> set[str]:
        """The uids of all of our objects of a kind; in all namespaces, if none is named. A kind that is not there has none."""

    async def definition(self) -> str | None:
        """The uid of the CRD that is served now; "served" for who may not read CRDs; None if there is none."""

    async def serves(self, resource: Resource) -> bool:
        """Whether there is such a kind."""

    async def apply(self, manifest: Mapping[str, Any], *, uid: str | None) -> dict[str, Any]:
        """Forced server-side apply; with `uid` only to that very object."""

    async def keep_replicas(self, name: str, namespace: str, uid: str, replicas: int) -> None:
        """Own the number of a Deployment's replicas as somebody else, so that an apply without it leaves it as it is."""

    async def patch(self, kind: str, namespace: str, name: str, operations: list[dict[str, Any]]) -> None:
        """JSON patch."""

    async def apply_status(self, namespace: str, name: str, uid: str, status: Mapping[str, Any]) -> None:
        """Forced server-side apply of the status subresource."""

    async def create(self, manifest: Mapping[str, Any]) -> dict[str, Any] | None:
        """Create; None if the name is taken."""

    async def replace(self, manifest: Mapping[str, Any]) -> dict[str, Any] | None:
        """Replace; None if it is not of that resourceVersion any more."""

    async def delete(self, kind: str, namespace: str, name: str, uid: str) -> None:
        """Delete that very object; its absence is no error."""

    async def annotate(self, kind: str, namespace: str, name: str, annotations: Mapping[str, str]) -> None:
        """Set annotations by merge patch; the object's absence is no error."""


class KubernetesCluster:
    """`Cluster` on a real API server. The only implementation."""

    def __init__(self, api: client.ApiClient, count: Callable[[str, str, int], None]) -> None:
        self._api, self._count = api, count

    @classmethod
    async def connect(cls, count: Callable[[str, str, int], None]) -> KubernetesCluster:
        """By the pod's service account, else by the kubeconfig. `count` gets method, resource and code of each answer."""
        try:
            config.load_incluster_config()  # type: ignore[no-untyped-call]
        except ConfigException:
            await config.load_kube_config()  # type: ignore[no-untyped-call]
        return cls(client.ApiClient(), count)

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()  # type: ignore[no-untyped-call]

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        return await self._found(_path(kind, namespace, name))

    async def find(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        query = urlencode({"fieldSelector": f"metadata.name={name}"})
        try:
            found = await self._request("GET", f"{_path(kind, namespace)}?{query}")
        except ApiError as error:
            if error.status == 404:  # the kind itself is not there
                return None
            raise
        resource = BY_KIND[kind]
        version = f"{resource.group}/{resource.version}".lstrip("/")
        return next(({"apiVersion": version, "kind": kind, **item} for item in found["items"]), None)

    async def uids(self, kind: str, namespace: str) -> set[str]:
        resource, found, more = BY_KIND[kind], set[str](), ""
        place = f"{resource.path}/namespaces/{namespace}" if namespace else resource.path
        while True:
            query = urlencode({"labelSelector": f"{MANAGED_BY}={MANAGER}", "limit": _PAGE, "continue": more})
            try:
                page = await self._request("GET", f"{place}/{resource.plural}?{query}", accept=_METADATA)
            except ApiError as error:
                if error.status == 404:
                    return set()
                raise
            found |= {item["metadata"]["uid"] for item in page["items"] or ()}  # null for none at all
            more = page["metadata"].get("continue", "")
            if not more:
                return found

    async def definition(self) -> str | None:
        if await self._found(f"/apis/{API_VERSION}") is None:
            return None
        query = urlencode({"fieldSelector": f"metadata.name={CRD_NAME}"})
        try:
            page = await self._request("GET", f"{_DEFINITIONS}?{query}", accept=_METADATA)
        except ApiError as error:
            if error.status == 403:  # installed for one namespace
                return "served"
            raise
        return next((str(item["metadata"]["uid"]) for item in page["items"] or ()), None)

    async def serves(self, resource: Resource) -> bool:
        offered = await self._found(resource.path) or {"resources": []}
        return any(each["name"] == resource.plural for each in offered["resources"])

    async def apply(self, manifest: Mapping[str, Any], *, uid: str | None) -> dict[str, Any]:
        metadata = manifest["metadata"]
        body = dict(manifest) if uid is None else {**manifest, "metadata": {**metadata, "uid": uid}}
        return await self._apply(_path(manifest["kind"], metadata["namespace"], metadata["name"]), body)

    async def apply_status(self, namespace: str, name: str, uid: str, status: Mapping[str, Any]) -> None:
        metadata = {"name": name, "namespace": namespace, "uid": uid}
        body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "status": status}
        await self._apply(_path(KIND, namespace, name) + "/status", body)

    async def keep_replicas(self, name: str, namespace: str, uid: str, replicas: int) -> None:
        metadata = {"name": name, "namespace": namespace, "uid": uid}
        body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"replicas": replicas}}
        await self._apply(_path("Deployment", namespace, name), body, manager=HANDOVER)

    async def patch(self, kind: str, namespace: str, name: str, operations: list[dict[str, Any]]) -> None:
        path = f"{_path(kind, namespace, name)}?{urlencode({'fieldManager': MANAGER})}"
        await self._request("PATCH", path, body=operations, content="application/json-patch+json")

    async def create(self, manifest: Mapping[str, Any]) -> dict[str, Any] | None:
        try:
            return await self._request("POST", _path(manifest["kind"], manifest["metadata"]["namespace"]), body=manifest)
        except ApiError as error:
            if error.reason == "AlreadyExists":
                return None
            raise

    async def replace(self, manifest: Mapping[str, Any]) -> dict[str, Any] | None:
        metadata = manifest["metadata"]
        try:
            return await self._request("PUT", _path(manifest["kind"], metadata["namespace"], metadata["name"]), body=manifest)
        except ApiError as error:
            if error.status in (404, 409):
                return None
            raise

    async def delete(self, kind: str, namespace: str, name: str, uid: str) -> None:
        body = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        try:
            await self._request("DELETE", _path(kind, namespace, name), body=body)
        except ApiError as error:
            if error.status not in (404, 409):  # 409: another object of that name by now
                raise

    async def annotate(self, kind: str, namespace: str, name: str, annotations: Mapping[str, str]) -> None:
        body = {"metadata": {"annotations": dict(annotations)}}
        try:
            await self._request("PATCH", _path(kind, namespace, name), body=body, content="application/merge-patch+json")
        except ApiError as error:
            if error.status != 404:
                raise

    async def _found(self, path: str) -> dict[str, Any] | None:
        try:
            return await self._request("GET", path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def _apply(self, path: str, body: Mapping[str, Any], *, manager: str = MANAGER) -> dict[str, Any]:
        query = urlencode({"fieldManager": manager, "force": "true", "fieldValidation": "Strict"})
        return await self._request("PATCH", f"{path}?{query}", body=body, content="application/apply-patch+yaml")

    async def _request(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | list[dict[str, Any]] | None = None,
        content: str = "application/json",
        accept: str = "application/json",
    ) -> dict[str, Any]:
        headers = {"Accept": accept, "Content-Type": content, "User-Agent": MANAGER}
        request = await self._api.param_serialize(
            method=method, resource_path=path, header_params=headers, auth_settings=["BearerToken"]
        )
        method, url, headers = request[0], request[1], request[2]
        try:
            response = await self._api.call_api(method, url, headers, body, _request_timeout=_TIMEOUT)
            raw = await response.read()  # type: ignore[no-untyped-call]
        except TimeoutError:
            self._count(method, _resource(path), 504)
            raise ApiError(504, "Timeout", f"the API server did not answer within {_TIMEOUT:g} s") from None
        except (OSError, aiohttp.ClientError) as error:
            self._count(method, _resource(path), 503)
            raise ApiError(503, "Unreachable", f"the API server cannot be reached: {error}") from error
        self._count(method, _resource(path), response.status)
        return _parse(response.status, raw, str(response.headers.get("Retry-After", "")))


def _path(kind: str, namespace: str, name: str = "") -> str:
    resource = BY_KIND[kind]
    return f"{resource.path}/namespaces/{namespace}/{resource.plural}" + (f"/{name}" if name else "")


def _resource(path: str) -> str:
    """The plural that a path is about, with its subresource."""
    parts = path.partition("?")[0].split("/")
    if "namespaces" not in parts:
        return parts[-1]
    place = parts.index("namespaces") + 2
    return "/".join(part for part in (parts[place], *parts[place + 2 :]) if part)


def _parse(status: int, raw: bytes, retry_after: str) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError:
        body = {}
    if status < 300:
        parsed: dict[str, Any] = body
        return parsed
    patience = float(retry_after) if retry_after.isdecimal() else 0.0
    message = body.get("message", f"the API server answered {status}")
    raise ApiError(status, body.get("reason", ""), message, retry_after=patience)
