"""What goes wrong around the operator: others' edits, other operators, rules that a stored resource breaks."""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Space
from tests.conftest import Scale
from tests.support import operators, tools
from tests.support.controlplane import ControlPlane
from tests.support.kubectl import eventually
from tests.support.resources import gateway, server

# Of kopf itself: an operator with the highest priority there makes others pause.
FAKETIME = "*/faketime/libfaketime.so.1"  # the program of that name passes no signals on
PEERINGS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "clusterkopfpeerings.kopf.dev"},
    "spec": {
        "group": "kopf.dev",
        "scope": "Cluster",
        "names": {"kind": "ClusterKopfPeering", "plural": "clusterkopfpeerings", "singular": "clusterkopfpeering"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}
ENV = [{"name": "LD_PRELOAD", "value": "/tmp/evil.so"}]


def template(space: Space, name: str = "demo-time") -> dict[str, Any]:
    result: dict[str, Any] = space.get("deployment", name)["spec"]["template"]
    return result


def edit(space: Space, patch: dict[str, Any], name: str = "demo-time", *, manager: str = "kubectl-edit") -> None:
    arguments = ("patch", "deployment", name, "--type=strategic", f"--field-manager={manager}", "-p", json.dumps(patch))
    space.kubectl("-n", space.name, *arguments)


def pod_spec(**spec: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": spec}}}


@pytest.mark.usefixtures("operator_log")
class TestForeignAdditions:
    """Server-side apply restores our fields; what others add has to be removed."""

    @pytest.mark.parametrize(
        "addition",
        [
            pod_spec(containers=[{"name": "mcp-time", "env": ENV}]),
            pod_spec(containers=[{"name": "miner", "image": "miner:1"}]),
            pod_spec(initContainers=[{"name": "early", "image": "early:1"}]),
            pod_spec(volumes=[{"name": "more", "emptyDir": {}}]),
            pod_spec(containers=[{"name": "mcp-time", "securityContext": {"runAsUser": 7}}]),
            pod_spec(nodeSelector={"disk": "slow"}),
            {"spec": {"template": {"metadata": {"annotations": {"example.com/inject": "yes"}}}}},
            {"spec": {"paused": True, "minReadySeconds": 300}},
        ],
        ids=["env", "container", "initContainer", "volume", "securityContext", "nodeSelector", "annotation", "paused"],
    )
    def test_an_addition_is_undone(self, space: Space, addition: dict[str, Any]) -> None:
        space.apply(gateway())
        eventually("the deployment", partial(space.find, "deployment", "demo-time"))
        before = space.get("deployment", "demo-time")["spec"]
        edit(space, addition)
        eventually("the previous spec", lambda: space.get("deployment", "demo-time")["spec"] == before)

    def test_kubectl_rollout_restart_is_not_undone(self, space: Space) -> None:
        space.apply(gateway())
        eventually("the deployment", partial(space.find, "deployment", "demo-time"))
        space.kubectl("-n", space.name, "rollout", "restart", "deployment/demo-time")
        edit(space, pod_spec(containers=[{"name": "mcp-time", "env": ENV}]))
        eventually("the addition to go", lambda: "LD_PRELOAD" not in json.dumps(template(space)))
        assert "kubectl.kubernetes.io/restartedAt" in template(space)["metadata"]["annotations"]

    def test_a_manager_that_adds_a_field_repeatedly_is_named(self, space: Space) -> None:
        space.apply(gateway())
        eventually("the deployment", partial(space.find, "deployment", "demo-time"))
        for _ in range(3):
            edit(space, pod_spec(nodeSelector={"disk": "slow"}), manager="sidecar-injector")
            eventually("it to be undone", lambda: "nodeSelector" not in template(space)["spec"])
        edit(space, pod_spec(nodeSelector={"disk": "slow"}), manager="sidecar-injector")
        contested = space.await_condition("demo", "Programmed", "False", "DriftContested")
        assert "/spec/template/spec/nodeSelector by sidecar-injector" in contested["message"]
        assert template(space)["spec"]["nodeSelector"] == {"disk": "slow"}


class TestLease:
    """One operator acts at a time."""

    def operator(self, kubeconfig: Path, folder: Path, **env: str) -> Any:
        return operators.operator(kubeconfig, folder, "--own-namespace=mcpgateway-system", env=env)

    def holder(self, plane: ControlPlane) -> str:
        lease = plane.kubectl.find("lease", "mcpgateway-operator", "-n", "mcpgateway-system")
        return str(lease["spec"].get("holderIdentity", "")) if lease else ""

    def renewed(self, plane: ControlPlane) -> str:
        return str(plane.kubectl.get("lease", "mcpgateway-operator", "-n", "mcpgateway-system")["spec"]["renewTime"])

    def renewed_since(self, plane: ControlPlane, before: str) -> bool:
        return self.renewed(plane) != before

    def test_a_second_operator_takes_over_when_the_lease_is_released(
        self, plane: ControlPlane, space: Space, operator_kubeconfig: Path, tmp_path: Path
    ) -> None:
        with self.operator(operator_kubeconfig, tmp_path) as first:
            eventually("the lease", lambda: '"lease acquired"' in first.read_text())
            holder = self.holder(plane)
            with self.operator(operator_kubeconfig, tmp_path) as second:
                eventually("it to wait", lambda: "waiting for the lease" in second.read_text())
                space.apply(gateway())
                eventually("the first operator's work", partial(space.find, "deployment", "demo"))
                assert '"applied"' not in second.read_text()
                assert self.holder(plane) == holder
                operators.stop(first)
                eventually("the other operator to hold it", lambda: self.holder(plane) not in ("", holder))
                space.apply(gateway("more"))
                eventually("the second operator's work", partial(space.find, "deployment", "more"))

    @pytest.mark.parametrize("skew", ["+10m", "-10m"])
    def test_o30_clocks_need_not_agree(
        self, skew: str, plane: ControlPlane, space: Space, operator_kubeconfig: Path, tmp_path: Path
    ) -> None:
        tools.require("api", {"faketime": "faketime"})
        other = {"LD_PRELOAD": str(next(Path("/usr/lib").glob(FAKETIME))), "FAKETIME": skew, "DONT_FAKE_MONOTONIC": "1"}
        with self.operator(operator_kubeconfig, tmp_path) as first:
            eventually("the lease", lambda: '"lease acquired"' in first.read_text())
            holder = self.holder(plane)
            with self.operator(operator_kubeconfig, tmp_path, **other) as second:
                eventually("it to wait", lambda: "waiting for the lease" in second.read_text())
                for _ in range(3):
                    eventually("a renewal", partial(self.renewed_since, plane, self.renewed(plane)))
                assert self.holder(plane) == holder
                operators.stop(first)
                space.apply(gateway())
                eventually("the other operator's work", partial(space.find, "deployment", "demo"))

    def test_o11_kopf_peering_objects_are_ignored(
        self, plane: ControlPlane, space: Space, operator_kubeconfig: Path, tmp_path: Path
    ) -> None:
        plane.kubectl.apply(PEERINGS)
        peer = {"apiVersion": "kopf.dev/v1", "kind": "ClusterKopfPeering", "metadata": {"name": "default"}}
        boss = {"boss": {"priority": 1000, "lifetime": 3600, "lastseen": "2099-01-01T00:00:00+00:00"}}
        eventually("its kind", lambda: plane.kubectl.apply({**peer, "status": boss}) != "")
        with self.operator(operator_kubeconfig, tmp_path):
            space.apply(gateway())
            eventually("our work", partial(space.find, "deployment", "demo"))

    def test_an_operator_that_loses_the_lease_stops_and_waits(
        self, plane: ControlPlane, space: Space, operator_kubeconfig: Path, tmp_path: Path
    ) -> None:
        with self.operator(operator_kubeconfig, tmp_path) as log:
            eventually("the lease", lambda: '"lease acquired"' in log.read_text())
            stolen = json.dumps({"spec": {"holderIdentity": "a-thief", "leaseDurationSeconds": 3600}})
            arguments = ("patch", "lease", "mcpgateway-operator", "--type=merge", "-p", stolen)
            plane.kubectl("-n", "mcpgateway-system", *arguments)
            eventually("its end", lambda: "could not be renewed" in log.read_text())
            eventually("it to wait", lambda: "waiting for the lease" in log.read_text())
            space.apply(gateway())
            plane.kubectl("-n", "mcpgateway-system", "delete", "lease", "mcpgateway-operator")
            eventually("its work", partial(space.find, "deployment", "demo"))


@pytest.mark.usefixtures("operator_log")
def test_a_stored_resource_that_breaks_a_newer_rule_gets_a_condition_and_no_objects(space: Space, plane: ControlPlane) -> None:
    crd = plane.kubectl.get("crd", "mcpgateways.mcpgateway.dev")
    loose = json.loads(json.dumps(crd))
    schema = loose["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["servers"]
    schema["items"].pop("x-kubernetes-validations")
    wanted = {"apiVersion": crd["apiVersion"], "kind": crd["kind"], "metadata": {"name": crd["metadata"]["name"]}}
    plane.kubectl.apply({**wanted, "spec": loose["spec"]})
    try:
        both = {**server("time"), "url": "https://example.com/mcp"}
        eventually("the loose schema", lambda: space.kubectl.apply(gateway("old", both), namespace=space.name) != "")
    finally:
        plane.kubectl.apply({**wanted, "spec": crd["spec"]})
    refused = space.await_condition("old", "Accepted", "False", "Invalid")
    assert "spec.servers[0]: a server needs exactly one of image" in refused["message"]
    assert space.owned() == {}
    space.apply(gateway("good"))
    eventually("another gateway's objects", partial(space.find, "deployment", "good"))


def test_the_operator_is_ready_when_it_can_act(space: Space, operator_log: Path) -> None:
    eventually("it to be ready", partial(operators.ready, operator_log))


def test_an_unchanged_world_gets_no_write_for_minutes(space: Space, operator_log: Path, scale: Scale) -> None:
    """No write for ten minutes in `make soak`, and for a while in `make test`; also none while events of others pass by."""
    space.apply(gateway())
    space.await_condition("demo", "Ready", "False", "GatewayNotReady")
    eventually("it to be at rest", partial(_rests, space))
    space.kubectl("-n", space.name, "annotate", "configmap", "demo-config", "example.com/seen=by-another-client")
    before, end = _versions(space), time.monotonic() + scale(15, 600)
    while time.monotonic() < end:
        assert _versions(space) == before
        time.sleep(1)


def _rests(space: Space) -> bool:
    """Whether two looks a while apart see the same."""
    before = _versions(space)
    time.sleep(2)
    return _versions(space) == before


def _versions(space: Space) -> dict[str, str]:
    kinds = "mcpgateways,secrets,deployments,services,configmaps,networkpolicies,poddisruptionbudgets"
    return {f"{i['kind']}/{i['metadata']['name']}": i["metadata"]["resourceVersion"] for i in space.get(kinds)["items"]}


def test_the_operator_exports_metrics(space: Space, operator_log: Path) -> None:
    space.apply(gateway())
    space.await_condition("demo", "Ready", "False", "GatewayNotReady")

    eventually("an empty queue", lambda: operators.metrics(operator_log)["mcpgateway_operator_queue_depth"] == 0)
    result = operators.metrics(operator_log)
    assert result['mcpgateway_operator_reconciles_total{result="success"}'] >= 1
    assert result['mcpgateway_operator_gateways{ready="False"}'] >= 1
    assert result['mcpgateway_operator_api_requests_total{code="201",method="PATCH",resource="deployments"}'] >= 2
    assert result['mcpgateway_operator_api_requests_total{code="200",method="PATCH",resource="mcpgateways/status"}'] >= 1
    assert result["process_resident_memory_bytes"] > 1e7
