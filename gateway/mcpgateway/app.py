"""The two ASGI applications: what is left of the client port beside `POST /mcp`, and the internal port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from . import jsonrpc
from .auth import joined
from .catalog import KINDS
from .router import Denied, Router
from .status import StatusBoard

_KEEP_ALIVE = 15.0  # seconds between comments on an idle stream
_MAX_WAIT = 300.0


class Health(Protocol):
    """What the probes ask for."""

    @property
    def ready(self) -> bool:
        """Whether new clients should come here."""

    @property
    def stopping(self) -> asyncio.Event:
        """Set when streams must end."""


def _deny(denied: Denied) -> Response:
    body = jsonrpc.failure(b"null", jsonrpc.INVALID_REQUEST, denied.message)
    headers = {name.decode(): value.decode() for name, value in denied.headers}
    return Response(body, status_code=denied.status, media_type="application/json", headers=headers)


def client_app(router: Router, health: Health) -> Starlette:
    """GET and DELETE of /mcp for legacy sessions, and /health."""

    async def mcp(request: Request) -> Response:
        try:
            headers = joined(list(request.headers.raw))
            principal = router.admit(headers)
            if headers.get(b"mcp-protocol-version", b"").startswith(b"2026"):
                return Response(status_code=405, headers={"allow": "POST"})
            session = router.session(headers, principal)
        except Denied as denied:
            return _deny(denied)
        if request.method == "DELETE":
            router.end_session(session)
            return Response(status_code=204)
        if "text/event-stream" not in request.headers.get("accept", ""):
            return _deny(Denied(406, "the header Accept must list text/event-stream"))
        stream = _changes(router, session.id, health.stopping)
        return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    async def alive(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    return Starlette(routes=[Route("/mcp", mcp, methods=["GET", "DELETE"]), Route("/health", alive)])


async def _changes(router: Router, key: str, stopping: asyncio.Event) -> AsyncIterator[bytes]:
    """A legacy session's stream: what has changed, what its servers say outside of calls, and comments that keep it open."""
    stream = router.dialogues.open(key)
    known = router.catalog
    try:
        yield b": open\n\n"
        while not stopping.is_set():
            events = (router.catalog_changed, stream.news)  # before looking: what comes after it is not missed
            known, before = router.catalog, known
            messages = [_LIST_CHANGED[name] for name in known.changed_since(before)] + stream.take()
            if messages:
                yield b"".join(b"event: message\ndata: " + message + b"\n\n" for message in messages)
            elif not await _any(*events, stopping, timeout=_KEEP_ALIVE):
                yield b": keep-alive\n\n"
    finally:
        router.dialogues.close(key, stream)


async def _any(*events: asyncio.Event, timeout: float) -> bool:  # noqa: ASYNC109 - not an error, but a turn
    """Wait for one of several events. Returns: whether one came in time."""
    waiting = {asyncio.ensure_future(event.wait()) for event in events}
    try:
        done, _ = await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()
    return bool(done)


_LIST_CHANGED = {
    kind.capability: jsonrpc.notification(f"notifications/{kind.capability}/list_changed") for kind in KINDS.values()
}


def internal_app(board: StatusBoard, health: Health, metrics: Callable[[], bytes]) -> Starlette:
    """The port for the operator, the kubelet and Prometheus. It shows no secrets, and takes no credentials."""

    async def alive(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(request: Request) -> Response:
        return PlainTextResponse("ok\n") if health.ready else PlainTextResponse("draining\n", status_code=503)

    async def status(request: Request) -> Response:
        try:
            wait = parse_wait(request.query_params.get("wait", "0"))
        except ValueError as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        return JSONResponse(await board.read(after=request.query_params.get("after", ""), wait=wait))

    async def scrape(request: Request) -> Response:
        return Response(metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return Starlette(
        routes=[
            Route("/healthz", alive),
            Route("/readyz", ready),
            Route("/status", status),
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
