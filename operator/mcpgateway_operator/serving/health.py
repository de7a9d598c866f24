"""The operator's own `/healthz`, `/readyz` and `/metrics`.

Alive is who makes progress, not who has a task that answers; ready is who holds the Lease and knows all objects.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

STUCK = 120.0  # seconds that one gateway may be worked on or wait: every request ends within 30


async def serve(url: str, *, age: Callable[[], float], ready: Callable[[], bool], metrics: Callable[[], bytes]) -> web.AppRunner:
    """Answer at a URL; `age`: seconds that the oldest key has been waiting. Returns: what to clean up."""

    async def healthz(_: web.Request) -> web.Response:
        oldest = age()
        stuck = oldest > STUCK
        words = f"a gateway has been waiting for {oldest:.0f} s" if stuck else "ok"
        return web.Response(text=words + "\n", status=503 if stuck else 200)

    async def readyz(_: web.Request) -> web.Response:
        if ready():
            return web.Response(text="ok\n")
        return web.Response(text="waits for the Lease, the CRD or all objects\n", status=503)

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
