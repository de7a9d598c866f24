"""What the gateway tells the operator about itself: `GET /status`, with a long poll on its version."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from ..catalog.model import Catalog, approved, server_digest
from ..protocol.errors import Failure, Reason
from ..upstream.backend import Backend


class ServerStatus(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """One server's row."""

    name: str
    state: str
    era: str = ""
    protocol_version: str = ""
    isolation: str = ""
    tools: int = 0
    prompts: int = 0
    resources: int = 0
    digest: str = ""
    processes: int = 0
    restarts: int = 0
    last_error: dict[str, str] | None = None


class Report(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The whole answer, without its version."""

    config: str
    ready: bool
    draining: bool
    tool_count: int
    servers: tuple[ServerStatus, ...]
    missing_tokens: tuple[str, ...] = ()
    hidden_tools: tuple[str, ...] = ()
    config_error: str = ""


def server_status(backend: Backend, catalog: Catalog) -> ServerStatus:
    """One server's row from what is known about it."""
    known = backend.snapshot
    state: str = known.state
    error = None if known.last_error is None else _row(known.last_error)
    digest = server_digest(known.offer)
    if state == "Ready" and not approved(known.offer, backend.server.pin):
        pending = Failure(backend.server.name, Reason.TOOLS_PENDING, f"its tools, {digest}, are not approved")
        state, error = "Pending", _row(pending)
    return ServerStatus(
        name=backend.server.name,
        state=state,
        era=known.profile.era if known.profile else "",
        protocol_version=known.profile.version if known.profile else "",
        isolation=known.isolation if known.profile else "",
        tools=catalog.count(backend.server.name),
        prompts=catalog.count(backend.server.name, "prompts"),
        resources=catalog.count(backend.server.name, "resources"),
        digest=digest,
        processes=known.processes,
        restarts=known.restarts,
        last_error=error,
    )


def _row(failure: Failure) -> dict[str, str]:
    return {"reason": failure.reason.value, "message": failure.message}


class StatusBoard:
    """The current report and its version; a version belongs to one run of the gateway, so a restart is always seen as news."""

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._number = 0
        self._report: Report | None = None
        self._news = asyncio.Event()

    @property
    def version(self) -> str:
        """Changes with every change of the report."""
        return f"{self._instance}-{self._number}"

    def publish(self, report: Report) -> None:
        """Take a new report; an equal one is no news."""
        if report == self._report:
            return
        self._report = report
        self._number += 1
        self._news.set()
        self._news = asyncio.Event()

    async def read(self, *, after: str, wait: float) -> dict[str, Any]:
        """The report, at once if its version is not `after`, else at the next change or after `wait` seconds."""
        if after == self.version and wait > 0:
            try:
                async with asyncio.timeout(wait):
                    await self._news.wait()
            except TimeoutError:
                pass
        body = msgspec.to_builtins(self._report) if self._report else {}
        return {"version": self.version, **body}
