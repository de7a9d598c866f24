"""The operator's own `/healthz`, `/readyz` and `/metrics`.

Alive means that the queue makes progress, not that a task answers; what ready means is in `readiness`.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from .readiness import Readiness

STUCK = 120.0  # seconds for which one gateway may wait or be processed: every request ends within 30


async def serve(url: str, *, age: Callable[[], float], readiness: Readiness, metrics: Callable[[], bytes]) -> web.AppRunner:
    """Serve at a URL; `age` is the age of the oldest key in seconds. Returns: the runner, to be cleaned up."""

    async def healthz(_: web.Request) -> web.Response:
        oldest = age()
        stuck = oldest > STUCK
        text = f"a gateway has been waiting for {oldest:.0f} s" if stuck else "ok"
        return web.Response(text=text + "\n", status=503 if stuck else 200)

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text=readiness.text + "\n", status=200 if readiness.ready else 503)

    async def scrape(_: web.Request) -> web.Response:
        return web.Response(body=metrics(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    place = urlsplit(url)
    app = web.Application()
    app.router.add_get(place.path or "/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", scrape)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, place.hostname, place.port or 8080).start()
    return runner
