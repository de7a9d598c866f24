"""The two ASGI applications: what is left of the client port beside `POST /mcp`, and the internal port."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from ..access.admission import Denied
from ..access.credentials import joined
from ..requests.router import Router
from ..streams.replay import Stream, events
from .http_sse import STREAM_HEADERS, denied_response
from .http_sse import routes as sse_routes
from .internal import StatusBoard

_MAX_WAIT = 300.0


class Health(Protocol):
    """What the probes ask for."""

    @property
    def ready(self) -> bool:
        """Whether new clients should come here."""


def client_app(router: Router) -> Starlette:
    """GET and DELETE of /mcp for legacy sessions, the transport of 2024-11-05, and /health."""

    async def mcp(request: Request) -> Response:
        try:
            headers = joined(request.headers.raw)
            principal = router.admission.admit(headers)
            if headers.get(b"mcp-protocol-version", b"").startswith(b"2026"):
                return Response(status_code=405, headers={"allow": "POST"})
            session = router.admission.session(headers, principal)
        except Denied as denied:
            return denied_response(router, denied)
        if request.method == "DELETE":
            router.end_session(session)
            return Response(status_code=204)
        if "text/event-stream" not in request.headers.get("accept", ""):
            return denied_response(router, Denied(406, "the header Accept must list text/event-stream"))
        stream, number = router.server_messages.open(session.id, request.headers.get("last-event-id", ""))
        messages = _messages(router, stream, number)
        return StreamingResponse(messages, media_type="text/event-stream", headers=STREAM_HEADERS)

    async def alive(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    return Starlette(routes=[Route("/mcp", mcp, methods=["GET", "DELETE"]), Route("/health", alive), *sse_routes(router)])


async def _messages(router: Router, stream: Stream, number: int) -> AsyncIterator[bytes]:
    """A stream of a legacy session, for as long as its client reads."""
    try:
        yield b": open\n\n"
        async for event in events(stream, number):
            yield event
    finally:
        router.server_messages.close(stream)


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
