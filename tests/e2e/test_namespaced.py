"""An operator that may act in its own namespace only: Roles are all it has."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator

import httpx2
import pytest

from tests.api.conftest import Space
from tests.e2e.conftest import TOKEN, await_ready
from tests.e2e.test_product import SAMPLES, forward, sample
from tests.support import tools
from tests.support.cluster import SYSTEM, Cluster
from tests.support.kubectl import eventually

TENANT = "tenant"


@pytest.fixture(scope="module")
def alone(cluster: Cluster) -> Iterator[Space]:
    """The tenant's namespace, while no other operator acts."""
    kubectl = cluster.kubectl
    kubectl("-n", SYSTEM, "scale", "deployment/mcpgateway", "--replicas=0")
    others = ("pods", "-n", SYSTEM, "-l", "app.kubernetes.io/instance=mcpgateway")
    eventually("the other operator to go", lambda: kubectl.get(*others)["items"] == [])
    try:
        cluster.install_operator("scope=Namespace", "crds.enabled=false", release=TENANT, namespace=TENANT)
        yield Space(kubectl, TENANT)
        kubectl("-n", TENANT, "delete", "mcpgateways", "--all")
    finally:
        kubectl("delete", "namespace", TENANT, "--wait=false")
        kubectl("-n", SYSTEM, "scale", "deployment/mcpgateway", "--replicas=1")
        kubectl("-n", SYSTEM, "rollout", "status", "deployment/mcpgateway", "--timeout=90s")


@pytest.mark.parametrize("mode", ["MultiPod", "Sidecar"])
def test_a_namespaced_install_needs_no_right_in_the_cluster(alone: Space, mode: str) -> None:
    bound = [str(each.get("subjects", [])) for each in alone.kubectl.get("clusterrolebindings")["items"]]
    assert not [subjects for subjects in bound if f"'namespace': '{TENANT}'" in subjects]
    alone.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mcp-token"}, "stringData": {"token": TOKEN}})
    alone.apply(sample(mode))
    await_ready(alone, SAMPLES[mode])
    ask = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}}
    headers = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json, text/event-stream"}
    with forward(alone, SAMPLES[mode]) as there:
        answer = httpx2.post(there, json=ask, headers=headers, timeout=10)
    assert answer.json()["result"]["serverInfo"]["name"] == SAMPLES[mode], json.dumps(answer.json())


def test_uninstalling_leaves_no_status_that_nobody_keeps(alone: Space, cluster: Cluster) -> None:
    """O11: `helm uninstall` runs the Job of the chart, and the gateway goes on. Installed again, an operator claims it."""
    name = SAMPLES["MultiPod"]
    alone.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mcp-token"}, "stringData": {"token": TOKEN}})
    alone.apply(sample("MultiPod"))
    await_ready(alone, name)
    environment = {**os.environ, "KUBECONFIG": str(alone.kubectl.kubeconfig)}
    command = [str(tools.module("helm")), "uninstall", TENANT, "-n", TENANT, "--wait", "--timeout=3m"]
    subprocess.run(command, check=True, env=environment)
    left = alone.condition(name, "Ready")
    assert (left["status"], left["reason"]) == ("Unknown", "OperatorUninstalled")
    assert alone.get("deployment", name)["status"]["availableReplicas"] == 1
    cluster.install_operator("scope=Namespace", "crds.enabled=false", release=TENANT, namespace=TENANT)
    await_ready(alone, name)
