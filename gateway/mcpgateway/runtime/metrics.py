"""The gateway's metrics, in Prometheus' format."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

disable_created_metrics()  # type: ignore[no-untyped-call]

_BUCKETS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0)  # seconds
_BOUNDS: Final = (*map(str, _BUCKETS), "+Inf")


class _Durations:
    """How often something took how long."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * len(_BOUNDS)
        self.sum = 0.0


class Metrics(Collector):
    """The gateway's own metrics; one registry a gateway, so that tests do not share them.

    What is counted with each call is counted here, on the loop's thread: the library's locks cost more than all the rest of it.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.ready_servers = Gauge("mcpgateway_servers_ready", "Servers whose tools are offered.", registry=self.registry)
        self.calls_in_flight = Gauge(
            "mcpgateway_calls_in_flight", "Calls that wait for a server's answer.", registry=self.registry
        )
        self.sessions = Gauge("mcpgateway_sessions", "Legacy sessions in use.", registry=self.registry)
        self.reload_failures = Counter(
            "mcpgateway_config_reload_failures", "Configurations that could not be used.", registry=self.registry
        )
        self.connections = Gauge("mcpgateway_connections", "Open client connections.", registry=self.registry)
        self.connections_refused = Counter(
            "mcpgateway_connections_refused",
            "Client connections refused because too many are open, in total or from one address.",
            ["reason"],
            registry=self.registry,
        )
        self.connections_cut = Counter(
            "mcpgateway_connections_cut",
            "Client connections closed because a request did not arrive, or a response was not read, in time.",
            ["phase"],
            registry=self.registry,
        )
        self.auth_failures = Counter(
            "mcpgateway_auth_failures", "Requests with missing or wrong credentials.", registry=self.registry
        )
        self.refused_calls = Counter(
            "mcpgateway_calls_refused",
            "Calls that were refused because their principal or server had as many in flight as it may have.",
            ["scope"],
            registry=self.registry,
        )
        self.memory_shedding = Gauge(
            "mcpgateway_memory_shedding", "1 while new requests are refused because memory is short.", registry=self.registry
        )
        self.audit_dropped = Counter(
            "mcpgateway_audit_dropped", "Audit entries that were not read in time.", registry=self.registry
        )
        self.upstream_invalid_messages = Counter(
            "mcpgateway_upstream_invalid_messages",
            "Messages from servers that are not valid MCP, or that answer no open request.",
            ["server"],
            registry=self.registry,
        )
        self.internal_errors = Counter(
            "mcpgateway_internal_errors",
            "Exceptions that a boundary of the gateway has caught; the log has their tracebacks.",
            ["boundary"],
            registry=self.registry,
        )
        self._requests: defaultdict[tuple[str, str], int] = defaultdict(int)  # by method and outcome
        self._calls: defaultdict[str, _Durations] = defaultdict(_Durations)  # by server
        self.registry.register(self)

    def count_refused_call(self, scope: str) -> None:
        """One more call that was refused because its principal or its server has too many."""
        self.refused_calls.labels(scope).inc()

    def count_internal_error(self, boundary: str) -> None:
        """One more exception that a boundary has caught."""
        self.internal_errors.labels(boundary).inc()

    def count(self, method: str, outcome: str) -> None:
        """One more request."""
        self._requests[method, outcome] += 1

    def time(self, server: str, seconds: float) -> None:
        """One more call's duration."""
        durations = self._calls[server]
        durations.counts[bisect_left(_BUCKETS, seconds)] += 1
        durations.sum += seconds

    def collect(self) -> Iterator[Metric]:
        """The library asks for this when metrics are read."""
        requests = CounterMetricFamily("mcpgateway_requests", "MCP requests by method and outcome.", labels=["method", "outcome"])
        for labels, count in self._requests.items():
            requests.add_metric(labels, count)
        yield requests
        calls = HistogramMetricFamily(
            "mcpgateway_call_duration_seconds", "Time from a tool call's arrival to its answer.", labels=["server"]
        )
        for server, durations in self._calls.items():
            below = zip(_BOUNDS, accumulate(durations.counts), strict=True)
            calls.add_metric([server], buckets=list(below), sum_value=durations.sum)
        yield calls

    def render(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self.registry)
