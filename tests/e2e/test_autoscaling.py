"""Real HorizontalPodAutoscalers over real use of the CPU."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from tests.api.conftest import Space
from tests.e2e.conftest import await_ready
from tests.e2e.test_product import EVERYTHING, TIME, resource, url
from tests.support import adapter, usage
from tests.support.cluster import Cluster
from tests.support.kubectl import eventually

LONG = "everything_trigger-long-running-operation"


@pytest.fixture
def measured(cluster: Cluster) -> None:
    if cluster.node is not None:
        usage.measure(cluster.node)
    eventually("the cluster's metrics-server", lambda: usage.served(cluster.kubectl))


@pytest.mark.usefixtures("measured")
@pytest.mark.timeout(600)
def test_gateway_and_server_grow_with_their_load_and_are_left_alone(space: Space, new_client: Any) -> None:
    busy = {"minReplicas": 1, "maxReplicas": 2, "cpuUtilization": 20}
    little = {"resources": {"requests": {"cpu": "10m"}}}
    grown = resource("growing-load", TIME | {"autoscaling": busy} | little, autoscaling=busy, **little)
    space.apply(grown)
    await_ready(space, "growing-load")
    client, ended, answers = new_client(url(space, "growing-load")), threading.Event(), list[dict[str, Any]]()

    def load() -> None:
        while not ended.is_set():
            answers.append(client.call("time_get_current_time", timezone="UTC"))

    caller = threading.Thread(target=load)
    caller.start()
    try:
        for name in ("growing-load", "growing-load-time"):
            eventually(f"a second pod of {name}", partial(_doubled, space, name), timeout=300)
    finally:
        ended.set()
        caller.join()
    assert [answer for answer in answers if "text" not in answer] == []
    grown["spec"]["podLabels"] = {"edited": "yes"}
    space.apply(grown)
    eventually("the edit", lambda: "edited" in space.get("deployment", "growing-load")["spec"]["template"]["metadata"]["labels"])
    assert [space.get("deployment", name)["spec"]["replicas"] for name in ("growing-load", "growing-load-time")] == [2, 2]
    space.delete("mcpgateway", "growing-load")


@pytest.fixture
def counted(cluster: Cluster) -> Iterator[None]:
    adapter.serve(cluster.kubectl)
    yield
    adapter.remove(cluster.kubectl)


@pytest.mark.usefixtures("measured", "counted")
@pytest.mark.timeout(600)
def test_the_gateway_grows_with_its_own_calls(space: Space, new_client: Any) -> None:
    wanted = {"minReplicas": 1, "maxReplicas": 2, "cpuUtilization": 1000, "callsInFlight": 2}
    scrapers = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": adapter.NAMESPACE}}}]
    long = {"limits": {"callTimeout": "10m"}, "monitoring": {"scrapers": scrapers}}
    space.apply(resource("growing-calls", EVERYTHING, autoscaling=wanted, **long))
    await_ready(space, "growing-calls")
    clients = [new_client(url(space, "growing-calls")) for _ in range(4)]
    with ThreadPoolExecutor() as pool:
        calls = [pool.submit(client.call, LONG, duration=80, steps=8) for client in clients]
        eventually("a second pod", partial(_doubled, space, "growing-calls"), timeout=300)
        assert [call.result()["text"][:22] for call in calls] == ["Long running operation"] * 4
    status = space.get("horizontalpodautoscaler", "growing-calls")["status"]
    assert adapter.METRIC in {metric.get("pods", {}).get("metric", {}).get("name") for metric in status["currentMetrics"]}
    space.delete("mcpgateway", "growing-calls")


def _doubled(space: Space, name: str) -> bool:
    return bool(space.get("deployment", name)["status"].get("availableReplicas") == 2)
