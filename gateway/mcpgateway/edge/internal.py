"""The internal port, for the operator, the kubelet and Prometheus; and the report that its `/status` serves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ..catalog.model import Catalog
from ..catalog.tool_rules import approved
from ..protocol.errors import Failure, Reason
from ..protocol.visible_text import visible
from ..upstream.backend import Backend
from ..upstream.snapshot import GUARD_RATIO, Snapshot

_MAX_WAIT: Final = 300.0  # seconds of a long poll
_MAX_VERSION: Final = 32  # characters
MAX_HIDDEN: Final = 100  # tools that are named in a report
_MAX_NAME: Final = 128  # characters of such a name


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
    failed_starts: int = 0
    last_error: dict[str, str] | None = None
    arrival: dict[str, str] | None = None  # of a version that is to take over: why it has not yet


class Report(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The whole answer, without its version."""

    config: str
    ready: bool
    draining: bool
    tool_count: int
    servers: tuple[ServerStatus, ...]
    missing_tokens: tuple[str, ...] = ()
    missing_keys: bool = False  # a folder of the gateway's own keys is empty: its Secret was deleted, or is not mounted yet
    hidden_tools: tuple[str, ...] = ()
    config_error: str = ""


def server_status(backend: Backend, catalog: Catalog, arrival: Failure | None) -> ServerStatus:
    """One server's row from its snapshot; `arrival`: why a version that is to take over has not yet."""
    snapshot = backend.snapshot
    state: str = snapshot.state
    error = None if snapshot.last_error is None else _row(snapshot.last_error)
    digest = snapshot.offer.digest
    if state == "Ready" and not approved(snapshot.offer, backend.server.pin):
        pending = Failure(backend.server.name, Reason.TOOLS_PENDING, f"its tools, {digest}, are not approved")
        state, error = "Pending", _row(pending)
    elif snapshot.waiting:
        error = _row(snapshot.absence(backend.server.name))
    elif error is None and snapshot.offer.failed:
        words = "; ".join(filter(None, (snapshot.offer.missing_lists, snapshot.offer.shortfall)))
        error = _row(Failure(backend.server.name, Reason.LIST_FAILED, words))
    elif error is None and snapshot.offer.shortfall:
        error = _row(Failure(backend.server.name, Reason.ITEMS_HIDDEN, snapshot.offer.shortfall))
    elif error is None and (short := memory_short(snapshot, backend.server.max_processes)):
        error = _row(Failure(backend.server.name, Reason.MEMORY_SHORT, short))
    return ServerStatus(
        name=backend.server.name,
        state=state,
        era=snapshot.profile.era if snapshot.profile else "",
        protocol_version=visible(snapshot.profile.version)[:_MAX_VERSION] if snapshot.profile else "",
        isolation=snapshot.isolation if snapshot.profile else "",
        tools=catalog.count(backend.server.name),
        prompts=catalog.count(backend.server.name, "prompts"),
        resources=catalog.count(backend.server.name, "resources"),
        digest=digest,
        processes=snapshot.processes,
        restarts=snapshot.restarts,
        failed_starts=snapshot.failed_starts,
        last_error=error,
        arrival=None if arrival is None else _row(arrival),
    )


def memory_short(snapshot: Snapshot, max_processes: int | None) -> str:
    """What to change where a server's memory has no room for all processes that were asked for; empty where it has, and where
    no number was asked for: then there are as many as it has room for.
    """
    if max_processes is None or snapshot.isolation == "Shared" or not 0 < snapshot.room < max_processes:
        return ""
    each, needed = snapshot.process_memory, snapshot.process_memory * max_processes / GUARD_RATIO
    return (
        f"its memory limit, {snapshot.memory_limit >> 20}Mi, has room for about {snapshot.room} processes of {each >> 20}Mi, and "
        f"maxProcesses is {max_processes}: raise resources.limits.memory to {int(needed / (1 << 20)) + 1}Mi, "
        f"or lower maxProcesses to {snapshot.room}"
    )


def failed_status(failure: Failure) -> ServerStatus:
    """The row of a server of which nothing but its failure can be shown."""
    return ServerStatus(name=failure.server, state="Failed", last_error=_row(failure))


def _row(failure: Failure) -> dict[str, str]:
    return {"reason": failure.reason.value, "message": failure.message}


def named_hidden(names: Sequence[str]) -> tuple[str, ...]:
    """The tools of a report that are not offered, up to a bound: a server has as many and as long names as it likes."""
    return tuple(visible(name[:_MAX_NAME])[:_MAX_NAME] for name in names[:MAX_HIDDEN])


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


class Health(Protocol):
    """What the probes ask for."""

    @property
    def ready(self) -> bool:
        """Whether new clients should come here."""

    @property
    def draining(self) -> bool:
        """Whether it is shutting down."""


def last_words(failure: Failure | None) -> dict[str, Any]:
    """A server's last error with all that is known of it: how its process ended, and what that had written."""
    if failure is None:
        return {}
    return {**_row(failure), **({} if failure.exit is None else {"exit": msgspec.to_builtins(failure.exit)})}


def internal_app(
    board: StatusBoard, health: Health, metrics: Callable[[], bytes], detail: Callable[[str], dict[str, Any] | None]
) -> Starlette:
    """The port for the operator, the kubelet and Prometheus. It shows no secrets, and takes no credentials.

    `detail` gives the last error of a server with all that is known of it; None for a server that does not exist.
    """

    async def alive(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(request: Request) -> Response:
        if health.ready:
            return PlainTextResponse("ok\n")
        return PlainTextResponse("draining\n" if health.draining else "waiting for servers\n", status_code=503)

    async def status(request: Request) -> Response:
        try:
            wait = parse_wait(request.query_params.get("wait", "0"))
        except ValueError as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        return JSONResponse(await board.read(after=request.query_params.get("after", ""), wait=wait))

    async def one_server(request: Request) -> Response:
        name = request.path_params["name"]
        last_error = detail(name)
        if last_error is None:
            return JSONResponse({"error": f"there is no server {name[:80]!r}"}, status_code=404)
        return JSONResponse({"name": name, "lastError": last_error})

    async def scrape(request: Request) -> Response:
        return Response(metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return Starlette(
        routes=[
            Route("/healthz", alive),
            Route("/readyz", ready),
            Route("/status", status),
            Route("/status/{name}", one_server),
            Route("/metrics", scrape),
        ]
    )


def parse_wait(text: str) -> float:
    """Seconds of a `wait` parameter such as 60s or 2.5. Raises: ValueError."""
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        raise ValueError(f"wait is {text!r}: want seconds, for example 60s") from None
    if not 0 <= seconds <= _MAX_WAIT:
        raise ValueError(f"wait is {text!r}: want 0s to {_MAX_WAIT:g}s")
    return seconds
