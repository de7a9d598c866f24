"""The only module that talks to the API server: seven verbs on dict bodies, raw responses, server-side apply.

Source: Kubernetes API concepts, "Server-Side Apply"; errors are metav1.Status.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlencode

from kubernetes.aio import client, config
from kubernetes.aio.config.config_exception import ConfigException

from .api import API_VERSION, KIND, PLURAL
from .naming import MANAGER

_TIMEOUT = 30.0  # seconds: a hanging API server must not hold a worker for longer
_RESOURCES = {
    KIND: (f"/apis/{API_VERSION}", PLURAL),
    "ConfigMap": ("/api/v1", "configmaps"),
    "Service": ("/api/v1", "services"),
    "Secret": ("/api/v1", "secrets"),
    "Event": ("/api/v1", "events"),
    "Pod": ("/api/v1", "pods"),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "NetworkPolicy": ("/apis/networking.k8s.io/v1", "networkpolicies"),
}


class ApiError(Exception):
    """The API server's refusal, in its own words."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message

    @property
    def terminal(self) -> bool:
        """Whether trying again cannot help until somebody changes something (duplicate names answer 500, so 5xx is no proof)."""
        return self.status in (400, 403, 405, 413, 422)


class Cluster(Protocol):
    """What a reconcile needs of a cluster."""

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """An object, or None."""

    async def apply(self, manifest: Mapping[str, Any], *, uid: str | None) -> dict[str, Any]:
        """Forced server-side apply; with `uid` only to that very object."""

    async def apply_status(self, namespace: str, name: str, uid: str, status: Mapping[str, Any]) -> None:
        """Forced server-side apply of the status subresource."""

    async def create(self, manifest: Mapping[str, Any]) -> bool:
        """Create; False if the name is taken."""

    async def delete(self, kind: str, namespace: str, name: str, uid: str) -> None:
        """Delete that very object; its absence is no error."""

    async def annotate(self, kind: str, namespace: str, name: str, annotations: Mapping[str, str]) -> None:
        """Set annotations by merge patch; the object's absence is no error."""


class KubernetesCluster:
    """`Cluster` on a real API server. The only implementation."""

    def __init__(self, api: client.ApiClient) -> None:
        self._api = api

    @classmethod
    async def connect(cls) -> KubernetesCluster:
        """By the pod's service account, else by the developer's kubeconfig."""
        try:
            config.load_incluster_config()  # type: ignore[no-untyped-call]
        except ConfigException:
            await config.load_kube_config()  # type: ignore[no-untyped-call]
        return cls(client.ApiClient())

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()  # type: ignore[no-untyped-call]

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        try:
            return await self._request("GET", _path(kind, namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def apply(self, manifest: Mapping[str, Any], *, uid: str | None) -> dict[str, Any]:
        metadata = manifest["metadata"]
        body = dict(manifest) if uid is None else {**manifest, "metadata": {**metadata, "uid": uid}}
        return await self._apply(_path(manifest["kind"], metadata["namespace"], metadata["name"]), body)

    async def apply_status(self, namespace: str, name: str, uid: str, status: Mapping[str, Any]) -> None:
        metadata = {"name": name, "namespace": namespace, "uid": uid}
        body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "status": status}
        await self._apply(_path(KIND, namespace, name) + "/status", body)

    async def create(self, manifest: Mapping[str, Any]) -> bool:
        try:
            await self._request("POST", _path(manifest["kind"], manifest["metadata"]["namespace"]), body=manifest)
        except ApiError as error:
            if error.reason == "AlreadyExists":
                return False
            raise
        return True

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

    async def _apply(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        query = urlencode({"fieldManager": MANAGER, "force": "true", "fieldValidation": "Strict"})
        return await self._request("PATCH", f"{path}?{query}", body=body, content="application/apply-patch+yaml")

    async def _request(
        self, method: str, path: str, *, body: Mapping[str, Any] | None = None, content: str = "application/json"
    ) -> dict[str, Any]:
        headers = {"Accept": "application/json", "Content-Type": content, "User-Agent": MANAGER}
        request = await self._api.param_serialize(
            method=method, resource_path=path, header_params=headers, auth_settings=["BearerToken"]
        )
        method, url, headers = request[0], request[1], request[2]
        try:
            response = await self._api.call_api(method, url, headers, body, _request_timeout=_TIMEOUT)
            raw = await response.read()  # type: ignore[no-untyped-call]
        except TimeoutError:
            raise ApiError(504, "Timeout", f"the API server did not answer within {_TIMEOUT:g} s") from None
        except OSError as error:
            raise ApiError(503, "Unreachable", f"the API server cannot be reached: {error}") from error
        return _parse(response.status, raw)


def _path(kind: str, namespace: str, name: str = "") -> str:
    prefix, plural = _RESOURCES[kind]
    return f"{prefix}/namespaces/{namespace}/{plural}" + (f"/{name}" if name else "")


def _parse(status: int, raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError:
        body = {}
    if status < 300:
        parsed: dict[str, Any] = body
        return parsed
    raise ApiError(status, body.get("reason", ""), body.get("message", f"the API server answered {status}"))
