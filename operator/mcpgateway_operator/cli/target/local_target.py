"""A run of `mcpgw up` on this machine."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp

from ...api.group import API_VERSION, KIND
from ...api.yaml_documents import InvalidYamlError, load
from ..bad_input import BadInputError, NotReachedError
from ..folders import STATE
from .model import Resource
from .runs import Run

_WAIT = 10  # seconds that one question for the status waits for news


class LocalTarget:
    """Implements `model.Target`."""

    def __init__(self, run: Run) -> None:
        self.run = run

    @property
    def name(self) -> str:
        return self.run.gateway

    @property
    def title(self) -> str:
        return f"{self.run.gateway} (mcpgw up, {self.run.url})"

    async def resource(self) -> Resource:
        async with contextlib.aclosing(self.watch()) as resources:
            return await anext(resources)

    async def watch(self) -> AsyncGenerator[Resource]:
        version = ""
        timeout = aiohttp.ClientTimeout(total=_WAIT + 5)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                report = await self._report(session, after=version)
                version = report["version"]
                document = self._document()
                yield {**document, "status": _status(report, document["spec"], self.run.url)}

    async def _report(self, session: aiohttp.ClientSession, *, after: str) -> dict[str, Any]:
        try:
            query = {"after": after, "wait": f"{_WAIT}s"}
            async with session.get(f"{self.run.internal}/status", params=query) as answer:
                report: dict[str, Any] = await answer.json()
                return report
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            words = "is starting, or has ended a moment ago: look at the output of `mcpgw up`"
            raise NotReachedError(
                f"the gateway of {self.run.gateway!r} does not answer at {self.run.internal}: it {words}"
            ) from None

    async def token(self) -> str | None:
        tokens = self._document()["spec"].get("auth", {}).get("tokens") or ()
        if not tokens:
            return None
        reference: dict[str, str] = tokens[0]["secretKeyRef"]
        try:
            path = STATE / self.name / "tokens" / reference["name"] / reference["key"]
            return path.read_text().strip()
        except OSError as error:
            raise NotReachedError(f"the token of {self.name!r} cannot be read: {error.filename}: {error.strerror}") from None

    @contextlib.asynccontextmanager
    async def client_url(self) -> AsyncIterator[str]:
        yield self.run.url

    @contextlib.asynccontextmanager
    async def internal_urls(self) -> AsyncIterator[list[str]]:
        yield [self.run.internal]

    def _document(self) -> Resource:
        """The resource as its file has it now."""
        for document in self._documents():
            if isinstance(document, dict) and document.get("kind") == KIND and isinstance(document.get("spec"), dict):
                metadata = {key: value for key, value in document["metadata"].items() if key != "namespace"}
                return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": document["spec"]}
        raise BadInputError(f"{', '.join(self.run.files)}: no {KIND} in it any more: `mcpgw up` keeps serving the last valid one")

    def _documents(self) -> Iterator[Any]:
        for file in self.run.files:
            try:
                yield from load(Path(file).read_bytes())
            except (OSError, InvalidYamlError) as error:
                raise BadInputError(f"{file}, which `mcpgw up` serves, cannot be read: {error}") from None


def _status(report: dict[str, Any], spec: dict[str, Any], url: str) -> dict[str, Any]:
    optional = {server["name"] for server in spec.get("servers", ()) if server.get("optional")}
    servers = report.get("servers", [])
    ready = [row for row in servers if row["state"] == "Ready"]
    waiting = [row["name"] for row in servers if row["state"] != "Ready" and row["name"] not in optional]
    condition = {
        "type": "Ready",
        "status": "False" if waiting else "True",
        "reason": "ServerNotReady" if waiting else "ServersReady",
        "message": f"not ready: {', '.join(waiting)}" if waiting else "all servers answer",
    }
    return {
        "url": url,
        "readyServers": f"{len(ready)}/{len(servers)}",
        "toolCount": report.get("toolCount", 0),
        "conditions": [condition],
        "servers": servers,
    }
