"""A run of `mcpgw up` on this machine."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from ...api.group import API_VERSION, KIND
from ...api.yaml_documents import InvalidYamlError, load
from ..bad_input import BadInputError, NotReachedError
from ..folders import STATE
from .model import LogSource, Reference, Resource
from .runs import Run

_POLL = 0.3  # seconds between looks at a log
_CHUNK = 65536
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

    @property
    def place(self) -> Mapping[str, str]:
        return {"mcpgw": f"--local -g {self.name}", "file": self.run.files[0]}

    async def absent(self, references: Sequence[Reference]) -> list[Reference]:
        return []  # `mcpgw up` itself says what is missing, with the server that needs it

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
        return await self.secret_value(**tokens[0]["secretKeyRef"])

    async def secret_value(self, *, name: str, key: str) -> str:
        try:
            return (STATE / self.name / "tokens" / name / key).read_text().strip()
        except OSError as error:
            raise NotReachedError(f"the token of {self.name!r} cannot be read: {error.filename}: {error.strerror}") from None

    async def log_sources(self, component: str, *, follow: bool, tail: int, previous: bool) -> list[LogSource]:
        path = Path(self.run.logs) / f"{component}.log"
        return [LogSource(component, _tail(path, tail, follow=follow))] if path.exists() else []

    @contextlib.asynccontextmanager
    async def client_url(self, *, patience: float = 0.0) -> AsyncIterator[str]:
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


async def _tail(path: Path, lines: int, *, follow: bool) -> AsyncGenerator[bytes]:
    """The last lines of a file, and what is added to it until it is removed."""
    with path.open("rb") as file:
        yield b"".join(deque(file, maxlen=lines))
        while follow and path.exists():  # noqa: ASYNC240 - a file of this machine
            if chunk := file.read(_CHUNK):
                yield chunk
            else:
                await asyncio.sleep(_POLL)


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
