"""An MCPGateway of a cluster."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from ...api.group import KIND
from ...observe.kinds import BY_KIND
from ...render.naming import CLIENT_PORT, INTERNAL_PORT, selector, server_container, server_selector
from ..bad_input import BadInputError, NotReachedError
from ..cluster.api import Api, RefusedError
from ..cluster.port_forward import PortForward, forwarded
from ..output.text import suggestion
from .model import GATEWAY_LOG, LogSource, Reference, Resource

_POLL = 1.0  # seconds between looks for a pod
_WATCH = "240"  # seconds until the API server ends a watch


def path_of(kind: str, namespace: str, name: str = "") -> str:
    """The path of an object, or of the list of a namespace; an empty namespace is all of them."""
    resource = BY_KIND[kind]
    place = f"/namespaces/{namespace}" if namespace else ""
    return f"{resource.path}{place}/{resource.plural}" + (f"/{name}" if name else "")


class ClusterTarget:
    """Implements `model.Target`."""

    def __init__(self, api: Api, *, namespace: str, name: str) -> None:
        self.api, self.namespace, self._name = api, namespace, name

    @property
    def name(self) -> str:
        return self._name

    @property
    def title(self) -> str:
        return f"{self._name} (namespace {self.namespace}, context {self.api.access.context})"

    @property
    def place(self) -> Mapping[str, str]:
        return {"mcpgw": self._flags(), "kubectl": f"kubectl -n {self.namespace}"}

    async def absent(self, references: Sequence[Reference]) -> list[Reference]:
        objects: dict[tuple[str, str], set[str] | None] = {}
        for kind, name in {(reference.kind, reference.name) for reference in references}:
            with contextlib.suppress(RefusedError):  # the user may not look
                live = await self.api.get(path_of(kind, self.namespace, name))
                objects[kind, name] = None if live is None else {*(live.get("data") or ()), *(live.get("binaryData") or ())}
        return [reference for reference in references if _lacks(objects, reference)]

    async def resource(self) -> Resource:
        resource = await self.api.get(path_of(KIND, self.namespace, self._name))
        if resource is None:
            raise NotReachedError(f"{KIND} {self._name!r} in namespace {self.namespace!r} has been deleted")
        return resource

    async def watch(self) -> AsyncGenerator[Resource]:
        while True:
            resource = await self.resource()
            yield resource
            async for changed in self._changes(resource["metadata"]["resourceVersion"]):
                yield changed

    async def _changes(self, version: str) -> AsyncGenerator[Resource]:
        """The changes until the API server ends the watch."""
        query = {
            "watch": "1",
            "fieldSelector": f"metadata.name={self._name}",
            "resourceVersion": version,
            "timeoutSeconds": _WATCH,
        }
        rest = b""
        async with contextlib.aclosing(self.api.stream(path_of(KIND, self.namespace), **query)) as chunks:
            async for chunk in chunks:
                *lines, rest = (rest + chunk).split(b"\n")
                for line in filter(None, lines):
                    event = json.loads(line)
                    if event.get("type") not in ("ADDED", "MODIFIED"):  # deleted, or the version is too old
                        return
                    yield event["object"]

    async def token(self) -> str | None:
        tokens = (await self.resource())["spec"].get("auth", {}).get("tokens") or ()
        return await self.secret_value(**tokens[0]["secretKeyRef"]) if tokens else None

    async def secret_value(self, *, name: str, key: str) -> str:
        """A key of a Secret, by the user's own rights."""
        secret = await self.api.get(path_of("Secret", self.namespace, name))
        if secret is None:
            fix = f"kubectl -n {self.namespace} create secret generic {name} --from-literal={key}=…"
            raise BadInputError(f"Secret {name!r} of spec.auth.tokens does not exist in namespace {self.namespace!r}: {fix}")
        data = secret.get("data") or {}
        if key not in data:
            raise BadInputError(f"Secret {name!r} of spec.auth.tokens has no key {key!r}: {suggestion(key, data)}")
        with contextlib.suppress(binascii.Error):
            return base64.b64decode(data[key]).decode(errors="replace").strip()
        raise BadInputError(f"Secret {name!r}, key {key!r}, is not base64")

    async def log_sources(self, component: str, *, follow: bool, tail: int, previous: bool) -> list[LogSource]:
        own = component != GATEWAY_LOG and (await self.resource())["spec"].get("mode") != "Sidecar"
        labels = server_selector(self._name, component) if own else selector(self._name, "gateway")
        container = "gateway" if component == GATEWAY_LOG else server_container(component)
        query = {"container": container, "tailLines": str(tail), "follow": _word(follow), "previous": _word(previous)}
        sources = []
        for pod in await self.pods(labels):
            name = pod["metadata"]["name"]
            path = f"{path_of('Pod', self.namespace, name)}/log"
            sources.append(LogSource(name, self.api.stream(path, **query)))
        return sources

    @contextlib.asynccontextmanager
    async def client_url(self, *, patience: float = 0.0) -> AsyncIterator[str]:
        async def find() -> str:
            return await self._serving_pod(patience=patience)

        await self._serving_pod(patience=0)  # its absence is said now, not by a connection that breaks
        forward = PortForward(self.api, namespace=self.namespace, port=CLIENT_PORT, find_pod=find)
        async with forwarded(forward) as port:
            yield f"http://127.0.0.1:{port}/mcp"

    @contextlib.asynccontextmanager
    async def internal_urls(self) -> AsyncIterator[list[str]]:
        pods = [pod["metadata"]["name"] for pod in await self.gateway_pods() if _running(pod)]
        async with contextlib.AsyncExitStack() as stack:
            urls = []
            for pod in pods:
                forward = PortForward(self.api, namespace=self.namespace, port=INTERNAL_PORT, find_pod=_always(pod))
                urls.append(f"http://127.0.0.1:{await stack.enter_async_context(forwarded(forward))}")
            yield urls

    async def gateway_pods(self) -> list[dict[str, Any]]:
        """The pods of the gateway."""
        return await self.pods(selector(self._name, "gateway"))

    async def pods(self, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """Pods by labels, by name."""
        query = ",".join(f"{name}={value}" for name, value in labels.items())
        pods = await self.api.items(path_of("Pod", self.namespace), labelSelector=query)
        return sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))

    async def _serving_pod(self, *, patience: float) -> str:
        """A pod that takes clients, for which to wait up to `patience` seconds."""
        until = time.monotonic() + patience
        while True:
            pods = await self.gateway_pods()
            name = next((pod["metadata"]["name"] for pod in pods if _running(pod) and _ready(pod)), None)
            if name is not None:
                return str(name)
            if time.monotonic() >= until:
                state = "none of its pods is ready" if pods else "it has no pods"
                raise NotReachedError(f"{self._name!r} cannot be called, {state}: run `mcpgw doctor {self._flags()}`")
            await asyncio.sleep(_POLL)

    def _flags(self) -> str:
        return f"-g {self._name} -n {self.namespace}"


def _word(value: bool) -> str:
    return "true" if value else "false"


def _lacks(objects: Mapping[tuple[str, str], set[str] | None], reference: Reference) -> bool:
    """Whether an object that could be looked up does not have a key."""
    if (reference.kind, reference.name) not in objects:
        return False
    keys = objects[reference.kind, reference.name]
    return keys is None or bool(reference.key and reference.key not in keys)


def _always(pod: str) -> Any:
    async def find() -> str:
        return pod

    return find


def _running(pod: Mapping[str, Any]) -> bool:
    return "deletionTimestamp" not in pod["metadata"] and pod.get("status", {}).get("phase") == "Running"


def _ready(pod: Mapping[str, Any]) -> bool:
    conditions = pod["status"].get("conditions") or ()
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


async def cluster_target(api: Api, *, namespace: str, name: str | None) -> ClusterTarget:
    """The gateway of that name, or the only one of the namespace. Raises: BadInputError, NotReachedError."""
    await _require_kind(api)
    names = [item["metadata"]["name"] for item in await api.items(path_of(KIND, namespace))]
    if name is None and len(names) == 1:
        return ClusterTarget(api, namespace=namespace, name=names[0])
    if name is not None and name in names:
        return ClusterTarget(api, namespace=namespace, name=name)
    raise BadInputError(await _which(api, namespace=namespace, name=name, names=names))


async def _require_kind(api: Api) -> None:
    resource = BY_KIND[KIND]
    if await api.get(resource.path) is None:
        words = "has no MCPGateway resource: install the operator's chart, or use --context"
        raise BadInputError(f"the cluster of context {api.access.context!r} {words}")


async def _which(api: Api, *, namespace: str, name: str | None, names: list[str]) -> str:
    """What is wrong with the name, and the nearest right one."""
    place = f"namespace {namespace!r} of context {api.access.context!r}"
    if name is None and names:
        return f"{place} has several MCPGateways: name one with --gateway: {', '.join(sorted(names))}"
    others = [item["metadata"] for item in await _everywhere(api) if name in (None, item["metadata"]["name"])]
    elsewhere = [f"-g {meta['name']} -n {meta['namespace']}" for meta in others if meta["namespace"] != namespace]
    if elsewhere:
        subject = f"no MCPGateway {name!r}" if name else "no MCPGateway"
        return f"{subject} in {place}: did you mean {' or '.join(list(_first(elsewhere)))}?"
    if name is None:
        return f"no MCPGateway in {place}: apply one, or run one here with `mcpgw up FILE`"
    return f"no MCPGateway {name!r} in {place}: {suggestion(name, names)}"


def _first(words: list[str]) -> Iterator[str]:
    yield from sorted(words)[:3]


async def _everywhere(api: Api) -> list[dict[str, Any]]:
    """All MCPGateways; none where the user may not list them."""
    try:
        return await api.items(path_of(KIND, ""))
    except RefusedError:
        return []
