"""Secrets that change, and pods that are evicted, under a running gateway."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from tests.api.conftest import Space
from tests.e2e.conftest import await_ready
from tests.e2e.test_product import EVERYTHING, gateway_pod, resource, url
from tests.support.kubectl import KubectlError, eventually


def secret(space: Space, name: str, value: str) -> None:
    space.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"k": value}})


def reading(*names: str) -> dict[str, Any]:
    """A server with a variable of each Secret. It keeps nothing for a client, so its processes may be replaced unsaid."""
    variables = [{"name": name.upper(), "valueFrom": {"secretKeyRef": {"name": name, "key": "k"}}} for name in names]
    return EVERYTHING | {"env": variables, "stateless": True}


@pytest.mark.parametrize("mode", ["MultiPod", "Sidecar"])
def test_a_rotated_value_reaches_the_server_without_a_roll(space: Space, new_client: Any, mode: str) -> None:
    name = f"rotating-{mode.lower()}"
    secret(space, f"r{mode.lower()}", "the first")
    space.apply(resource(name, reading(f"r{mode.lower()}"), mode=mode))
    await_ready(space, name)
    client = new_client(url(space, name))
    assert '"the first"' in client.text("everything_get-env")
    before = gateway_pod(space, name)["metadata"]["uid"]
    secret(space, f"r{mode.lower()}", "the second")
    eventually("the new value", lambda: '"the second"' in client.call("everything_get-env").get("text", ""))
    assert gateway_pod(space, name)["metadata"]["uid"] == before
    space.delete("mcpgateway", name)


@pytest.mark.parametrize("mode", ["MultiPod", "Sidecar"])
def test_a_first_reference_to_another_secret_loses_no_call(space: Space, new_client: Any, mode: str) -> None:
    name = f"referring-{mode.lower()}"
    secret(space, "old", "of old")
    secret(space, "another", "of another")
    space.apply(resource(name, reading("old"), mode=mode))
    await_ready(space, name)
    client, answers, ended = new_client(url(space, name)), list[dict[str, Any]](), threading.Event()

    def calls() -> None:
        while not ended.is_set():
            answers.append(client.call("everything_get-env"))

    caller = threading.Thread(target=calls)
    caller.start()
    try:
        space.apply(resource(name, reading("old", "another"), mode=mode))
        eventually("its value", lambda: answers and '"of another"' in answers[-1].get("text", ""))
    finally:
        ended.set()
        caller.join()
    assert [answer for answer in answers if "text" not in answer] == []
    space.delete("mcpgateway", name)


def test_an_eviction_leaves_a_gateway_pod_and_the_session(space: Space, new_client: Any) -> None:
    """As `kubectl drain` does it, one pod after the other."""
    space.apply(resource("evicted", EVERYTHING, replicas=2))
    await_ready(space, "evicted")
    client = new_client(url(space, "evicted"), mode="legacy")
    assert "Started" in client.text("everything_toggle-simulated-logging")
    eventually("both pods", lambda: len(_ready(space)) == 2)
    first, second = sorted(_ready(space))
    eventually("the budget to know of both", lambda: "disruption budget" not in _evict(space, first))
    assert "disruption budget" in _evict(space, second)
    eventually("another pod", lambda: len(_ready(space) - {first}) == 2)
    eventually("the second one's turn", lambda: "disruption budget" not in _evict(space, second))
    eventually("another pod", lambda: len(_ready(space) - {first, second}) == 2)
    assert "Stopped" in client.text("everything_toggle-simulated-logging"), "its process has not kept its state"
    space.delete("mcpgateway", "evicted")


def _gateway_pods(space: Space) -> list[dict[str, Any]]:
    selector = "app.kubernetes.io/instance=evicted,app.kubernetes.io/component=gateway"
    return list(space.get("pods", "-l", selector)["items"])


def _ready(space: Space) -> set[str]:
    living = [pod for pod in _gateway_pods(space) if "deletionTimestamp" not in pod["metadata"]]
    good = {"type": "Ready", "status": "True"}
    return {p["metadata"]["name"] for p in living if any(good.items() <= c.items() for c in p["status"].get("conditions", []))}


def _evict(space: Space, pod: str) -> str:
    """What the API server says to it."""
    wanted = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": space.name}}
    path = f"/api/v1/namespaces/{space.name}/pods/{pod}/eviction"
    try:
        return space.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(wanted))
    except KubectlError as refused:
        return str(refused)
