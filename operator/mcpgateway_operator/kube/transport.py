"""Requests to the API server: dict bodies, raw responses, one error.

Source: Kubernetes API concepts; errors are metav1.Status.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.config.config_exception import ConfigException

from ..observe.ports import ApiError
from ..render.naming import MANAGER

METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

Count = Callable[[str, str, int], None]  # method, resource and status code of each answer
Body = Mapping[str, Any] | list[dict[str, Any]]


class Transport:
    """The connections of one process to the API server."""

    def __init__(self, api: client.ApiClient, count: Count, *, timeout: float) -> None:
        """`timeout` in seconds: a hanging API server must not hold a worker for longer."""
        self._api, self._count, self._timeout = api, count, timeout

    @classmethod
    async def connect(cls, count: Count, *, timeout: float, authorities: str = "") -> Transport:  # noqa: ASYNC109 - of each request to come
        """With the pod's service account, else with the kubeconfig; `authorities` (PEM) are trusted besides theirs."""
        chosen = client.Configuration()
        try:
            config.load_incluster_config(chosen)  # type: ignore[no-untyped-call]
        except ConfigException:
            await config.load_kube_config(client_configuration=chosen)  # type: ignore[no-untyped-call]
        chosen.ca_cert_data = authorities or None
        return cls(client.ApiClient(chosen), count, timeout=timeout)

    @property
    def server(self) -> str:
        """The URL of the API server."""
        return str(self._api.configuration.host)

    async def session(self, trace: aiohttp.TraceConfig) -> aiohttp.ClientSession:
        """A session of its own for kopf: to the same server, with the same certificates, proxy and current token."""
        rest, settings = self._api.rest_client, await self._api.configuration.auth_settings()
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=rest.ssl_context),
            headers={setting["key"]: setting["value"] for setting in settings.values()},
            proxy=rest.proxy,
            trust_env=True,  # HTTPS_PROXY and NO_PROXY, as for the requests of this class
            trace_configs=[trace],
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()  # type: ignore[no-untyped-call]

    async def get(self, path: str) -> dict[str, Any] | None:
        """The body of a GET, or None for 404. Raises: ApiError."""
        try:
            return await self.request("GET", path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Body | None = None,
        content: str = "application/json",
        accept: str = "application/json",
    ) -> dict[str, Any]:
        """The body of the answer. Raises: ApiError, with status 503 or 504 if there is no answer."""
        headers = {"Accept": accept, "Content-Type": content, "User-Agent": MANAGER}
        prepared = await self._api.param_serialize(
            method=method, resource_path=path, header_params=headers, auth_settings=["BearerToken"]
        )
        method, url, headers = prepared[0], prepared[1], prepared[2]
        try:
            response = await self._api.call_api(method, url, headers, body, _request_timeout=self._timeout)
            raw = await response.read()  # type: ignore[no-untyped-call]
        except TimeoutError:
            self._count(method, _resource(path), 504)
            raise ApiError(504, "Timeout", f"the API server did not answer within {self._timeout:g} s") from None
        except (OSError, aiohttp.ClientError) as error:
            self._count(method, _resource(path), 503)
            raise ApiError(503, "Unreachable", f"the API server cannot be reached: {error}") from error
        self._count(method, _resource(path), response.status)
        return _parse(response.status, raw, str(response.headers.get("Retry-After", "")))


def _resource(path: str) -> str:
    """The plural in a path, with its subresource."""
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
    hold = float(retry_after) if retry_after.isdecimal() else 0.0
    message = body.get("message", f"the API server answered {status}")
    raise ApiError(status, body.get("reason", ""), message, retry_after=hold)
