"""The operator's metrics for Prometheus, named by its naming practices. The manual: docs/operations.md."""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

K = TypeVar("K")

_PREFIX = "mcpgateway_operator"


class Metrics:
    """All series of one operator process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._passes = Counter(
            f"{_PREFIX}_reconciles", "Passes over a gateway, by their result.", ["result"], registry=self._registry
        )
        self._seconds = Histogram(
            f"{_PREFIX}_reconcile_seconds",
            "Duration of a pass over a gateway.",
            buckets=(0.005, 0.02, 0.1, 0.5, 2, 10, 60),
            registry=self._registry,
        )
        self._requests = Counter(
            f"{_PREFIX}_api_requests",
            "Requests to the API server outside of watches, by method, resource and status code.",
            ["method", "resource", "code"],
            registry=self._registry,
        )
        for result in ("success", "error"):
            self._passes.labels(result)

    def request(self, method: str, resource: str, code: int) -> None:
        """One answer of the API server; code 503 or 504 if there was none."""
        self._requests.labels(method, resource, str(code)).inc()

    @contextmanager
    def reconcile(self) -> Iterator[None]:
        """Count and time one pass."""
        start = time.monotonic()
        try:
            yield
        except Exception:
            self._passes.labels("error").inc()
            raise
        else:
            self._passes.labels("success").inc()
        finally:
            self._seconds.observe(time.monotonic() - start)

    def watch(self, *, depth: Callable[[], int], age: Callable[[], float], ready: Callable[[], Tally[str]]) -> None:
        """Register the values that are read at each scrape: length and age of the queue, gateways by their Ready condition."""
        waiting = Gauge(
            f"{_PREFIX}_queue_depth", "Gateways that wait for a pass or are being processed.", registry=self._registry
        )
        waiting.set_function(depth)
        oldest = Gauge(f"{_PREFIX}_queue_oldest_seconds", "Age of the oldest gateway in the queue.", registry=self._registry)
        oldest.set_function(age)
        self._registry.register(_Gateways(ready))

    def text(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self._registry)


class _Gateways:
    """Gateways by their Ready condition; all three values are always present, so that an alert can rely on them."""

    def __init__(self, ready: Callable[[], Tally[str]]) -> None:
        self._ready = ready

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(f"{_PREFIX}_gateways", "MCPGateways by the status of their Ready condition.", labels=["ready"])
        counted = self._ready()
        for value in ("True", "False", "Unknown"):
            family.add_metric([value], counted[value])
        yield family
