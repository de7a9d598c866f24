"""Metrics and logs."""

from __future__ import annotations

import logging
import sys

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """The gateway's own metrics; one registry a gateway, so that tests do not share them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "mcpgateway_requests", "MCP requests by method and outcome.", ["method", "outcome"], registry=self.registry
        )
        self.calls = Histogram(
            "mcpgateway_call_duration_seconds",
            "Time from a tool call's arrival to its answer.",
            ["server"],
            buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60),
            registry=self.registry,
        )
        self.ready_servers = Gauge("mcpgateway_servers_ready", "Servers whose tools are offered.", registry=self.registry)
        self.reload_failures = Counter(
            "mcpgateway_config_reload_failures", "Configurations that could not be used.", registry=self.registry
        )

        self._children: dict[tuple[str, str], Counter] = {}
        self._timers: dict[str, Histogram] = {}

    def count(self, method: str, outcome: str) -> None:
        """One more request; the library's own look-up by label costs more than all the rest of it."""
        key = (method, outcome)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self.requests.labels(method, outcome)
        child.inc()

    def time(self, server: str, seconds: float) -> None:
        """One more call's duration."""
        timer = self._timers.get(server)
        if timer is None:
            timer = self._timers[server] = self.calls.labels(server)
        timer.observe(seconds)

    def render(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self.registry)


def set_up_logging(*, json: bool) -> None:
    """JSON lines in a cluster, text for people. Library loggers keep to warnings."""
    renderer = structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
