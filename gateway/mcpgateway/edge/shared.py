"""What all connections of port 8811 share."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from email.utils import formatdate
from typing import Final

from ..access.failed_logins import FailedLogins
from ..requests.router import Router
from ..runtime.deadlines import Deadlines
from . import cors, oauth_probes, outside, response
from .exchange import Handler, HttpExchange
from .guard import Guard
from .limits import Limits
from .request_head import RequestHead
from .silence import Silence


class Route:
    """One path: its handlers by method."""

    __slots__ = ("allow", "handlers", "protected")

    def __init__(self, handlers: Mapping[bytes, Handler], *, protected: bool = True) -> None:
        self.handlers = handlers
        self.protected = protected  # whether a body is read only of a client with valid credentials
        self.allow = b", ".join(sorted(handlers))


class Edge:
    """Limits, counts, deadlines and routes."""

    def __init__(self, router: Router, limits: Limits, routes: Mapping[bytes, Route]) -> None:
        self.router, self.limits = router, limits
        self.metrics = router.metrics
        self.guard = Guard(limits, on_refused=lambda reason: self.metrics.connections_refused.labels(reason).inc())
        self.deadlines = Deadlines(router.boundaries)  # of all connections: a timer each would be a tenth of an idle one's cost
        self.silence = Silence(limits.silence, router.boundaries)
        self.failed_logins = FailedLogins(delay=limits.failed_login_delay)
        self._routes = routes
        self._date = self._json_head = b""
        self._date_until = 0.0

    def handler(self, head: RequestHead, transport: asyncio.Transport | None) -> tuple[Handler, bool]:
        """What answers a request, and whether only clients with valid credentials may send its body."""
        config, path = self.router.config, head.path
        if config.routes or config.trusted_proxies:
            path = outside.resolve(head, transport.get_extra_info("peername") if transport is not None else None, config)
        route = self._routes.get(path)
        if route is None:
            if not oauth_probes.is_probe(head.path):
                return _not_found, False
            route = _OAUTH
        handler = route.handlers.get(head.method)
        if handler is None:
            if head.method == b"OPTIONS" and cors.REQUESTED_METHOD in head.fields:
                return cors.preflight(route.allow, self.router.admission), False
            return _MethodNotAllowed(route.allow), False
        return handler, route.protected

    def date(self, now: float) -> bytes:
        """The field Date, which changes once a second. `now` in seconds of the loop's clock."""
        if now >= self._date_until:
            self._renew(now)
        return self._date

    def json_head(self, length: int, now: float) -> bytes:
        """The head of the most frequent response: 200 with a JSON body of a length, on a connection that stays open."""
        if now >= self._date_until:
            self._renew(now)
        return self._json_head % length

    def _renew(self, now: float) -> None:
        self._date = b"date: " + formatdate(usegmt=True).encode() + b"\r\n"
        self._json_head = response.json_head(self._date)
        self._date_until = now + 1.0


_OAUTH: Final = Route(dict.fromkeys((b"GET", b"POST"), oauth_probes.answer), protected=False)


def _not_found(exchange: HttpExchange) -> None:
    exchange.refuse(404, "no such path: the endpoint is /mcp")


class _MethodNotAllowed:
    """RFC 9110 section 15.5.6: the response lists the methods of the path."""

    def __init__(self, allow: bytes) -> None:
        self._allow = allow

    def __call__(self, exchange: HttpExchange) -> None:
        exchange.refuse(405, f"the methods of this path are {self._allow.decode()}", [(b"allow", self._allow)])
