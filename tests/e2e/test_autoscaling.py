"""Real HorizontalPodAutoscalers over real use of the CPU."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest

from tests.api.conftest import Space
from tests.e2e.conftest import await_ready
from tests.e2e.test_product import TIME, resource, url
from tests.support import usage
from tests.support.cluster import Cluster
from tests.support.kubectl import eventually


@pytest.fixture
def measured(cluster: Cluster) -> None:
    if cluster.node is not None:
        usage.measure(cluster.node)
    eventually("the cluster's metrics-server", lambda: usage.served(cluster.kubectl), timeout=120)


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


def _doubled(space: Space, name: str) -> bool:
    return bool(space.get("deployment", name)["status"].get("availableReplicas") == 2)
