"""What the fields of the resource become on a real API server: storage, scale, exposure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import EVERY_API, Space
from tests.support import operators
from tests.support.controlplane import ControlPlane
from tests.support.kubectl import eventually
from tests.support.resources import gateway, server


@pytest.fixture(scope="module")
def operator_log(operator_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with operators.operator(operator_kubeconfig, tmp_path_factory.mktemp("operator"), *EVERY_API) as log:
        yield log


pytestmark = pytest.mark.usefixtures("operator_log")


def there(space: Space, *names: str) -> dict[str, Any]:
    result: dict[str, Any] = eventually(f"{names}", lambda: (owned := space.owned()) and set(names) <= set(owned) and owned)
    return result


class TestStorage:
    """A claim outlives its server always, and its gateway if it is to be retained."""

    FOLDERS = ({"mountPath": "/data", "size": "1Gi"}, {"mountPath": "/keep", "size": "1Gi", "onDelete": "Retain"})

    def claims(self, space: Space) -> dict[str, dict[str, Any]]:
        """By whether they are owned."""
        result = space.owned("persistentvolumeclaims")
        return {"owned" if "ownerReferences" in c["metadata"] else "kept": c["metadata"] for c in result.values()}

    def test_claims_outlive_their_server(self, space: Space) -> None:
        space.apply(gateway("demo", server("time"), server("memory", storage=list(self.FOLDERS))))
        eventually("both claims", lambda: set(self.claims(space)) == {"owned", "kept"})
        space.apply(gateway("demo", server("time")))
        eventually(
            "the orphans to be told", lambda: len(space.get("mcpgateway", "demo")["status"].get("orphanedClaims", ())) == 2
        )
        assert set(self.claims(space)) == {"owned", "kept"}
        space.apply(gateway("demo", server("time"), server("memory", storage=list(self.FOLDERS))))
        eventually("no orphans", lambda: "orphanedClaims" not in space.get("mcpgateway", "demo")["status"])

    def test_a_retained_claim_is_adopted_by_a_later_gateway(self, space: Space) -> None:
        space.apply(gateway("demo", server("memory", storage=list(self.FOLDERS))))
        eventually("both claims", lambda: set(self.claims(space)) == {"owned", "kept"})
        kept = self.claims(space)["kept"]
        space.delete("mcpgateway", "demo")
        eventually(
            "the gateway and its own claim to go", lambda: list(space.owned()) == [f"PersistentVolumeClaim/{kept['name']}"]
        )
        space.apply(gateway("demo", server("memory", storage=list(self.FOLDERS))))
        there(space, "Deployment/demo-memory")
        eventually("both claims again", lambda: set(self.claims(space)) == {"owned", "kept"})
        assert self.claims(space)["kept"]["uid"] == kept["uid"]

    def test_a_foreign_claim_of_the_same_name_is_not_used(self, space: Space) -> None:
        space.apply(gateway("demo", server("memory", storage=[self.FOLDERS[1]])))
        eventually("the claim", lambda: self.claims(space).get("kept"))
        name = self.claims(space)["kept"]["name"]
        space.delete("mcpgateway", "demo")
        eventually("the gateway to go", lambda: space.find("deployment", "demo-memory") is None)
        space.kubectl("-n", space.name, "label", "pvc", name, "app.kubernetes.io/instance=another", "--overwrite")
        space.apply(gateway("demo", server("memory", storage=[self.FOLDERS[1]])))
        conflict = space.await_condition("demo", "Programmed", "False", "Conflict")
        assert f"PersistentVolumeClaim {name} exists and was not created for this MCPGateway" in conflict["message"]
        there(space, "Deployment/demo-memory", "Deployment/demo")  # the rest goes on

    def test_a_refused_change_of_a_claim_is_reported_with_the_api_servers_message(self, space: Space) -> None:
        space.apply(gateway("demo", server("memory", storage=[{"mountPath": "/data", "size": "2Gi"}])))
        eventually("the claim", lambda: self.claims(space))
        space.apply(gateway("demo", server("memory", storage=[{"mountPath": "/data", "size": "1Gi"}])))
        refused = space.await_condition("demo", "Programmed", "False", "Rejected")
        assert "patch PersistentVolumeClaim demo-memory-" in refused["message"]

    @pytest.mark.parametrize("mode", ["MultiPod", "Sidecar"])
    def test_the_old_pod_is_deleted_before_the_new_one_is_created(self, space: Space, mode: str) -> None:
        space.apply(gateway("demo", server("memory"), mode=mode))
        name = "demo" if mode == "Sidecar" else "demo-memory"
        eventually("the deployment", partial(space.find, "deployment", name))
        space.apply(gateway("demo", server("memory", storage=[self.FOLDERS[0]]), mode=mode))
        eventually("the strategy", lambda: space.get("deployment", name)["spec"]["strategy"] == {"type": "Recreate"})
        mounts = space.get("deployment", name)["spec"]["template"]["spec"]["containers"][-1]["volumeMounts"]
        assert "/data" in [mount["mountPath"] for mount in mounts]


class TestScale:
    """Who scales keeps the number of replicas."""

    def autoscaled(self, **more: Any) -> dict[str, Any]:
        return gateway("demo", server("time"), autoscaling={"maxReplicas": 9}, **more)

    def test_autoscaling_starts_from_the_live_replicas_and_is_not_overwritten(self, space: Space) -> None:
        space.apply(gateway("demo", server("time"), replicas=4))
        eventually("four replicas", lambda: (space.find("deployment", "demo") or {"spec": {}})["spec"].get("replicas") == 4)
        space.apply(self.autoscaled(replicas=4))
        there(space, "HorizontalPodAutoscaler/demo", "PodDisruptionBudget/demo")

        def handed_over() -> bool:
            entries = space.kubectl("-n", space.name, "get", "deployment", "demo", "-o", "json", "--show-managed-fields")
            managers = json.loads(entries)["metadata"]["managedFields"]
            holders = {e["manager"] for e in managers if "f:replicas" in e["fieldsV1"].get("f:spec", {})}
            return holders == {"mcpgateway-operator-handover"}

        eventually("no field manager of the operator to own the replicas", handed_over)
        assert space.get("deployment", "demo")["spec"]["replicas"] == 4
        space.kubectl("-n", space.name, "scale", "deployment/demo", "--replicas=7")  # as the autoscaler does
        space.apply(self.autoscaled(replicas=4, podLabels={"a": "b"}))
        eventually("the new template", lambda: "a" in space.get("deployment", "demo")["spec"]["template"]["metadata"]["labels"])
        assert space.get("deployment", "demo")["spec"]["replicas"] == 7
        space.apply(gateway("demo", server("time"), replicas=2))
        eventually("the number to be ours again", lambda: space.get("deployment", "demo")["spec"]["replicas"] == 2)

    def test_a_server_is_scaled_independently(self, space: Space) -> None:
        space.apply(gateway("demo", server("time", autoscaling={"maxReplicas": 3}), server("git", replicas=2)))
        result = there(space, "HorizontalPodAutoscaler/demo-time", "Deployment/demo-git", "PodDisruptionBudget/demo-git")
        metric = result["HorizontalPodAutoscaler/demo-time"]["spec"]["metrics"][0]["containerResource"]
        assert (metric["container"], metric["target"]["averageUtilization"]) == ("mcp-time", 80)
        assert result["Deployment/demo-git"]["spec"]["replicas"] == 2


class TestExposure:
    """Services, and APIs that not every cluster has."""

    def test_the_url_is_that_of_the_load_balancer(self, space: Space) -> None:
        space.apply(gateway("demo", server("time"), service={"type": "LoadBalancer", "port": 80}))
        inside = f"http://demo.{space.name}.svc:80/mcp"
        eventually("its name inside", lambda: space.get("mcpgateway", "demo")["status"]["url"] == inside)
        status = json.dumps({"status": {"loadBalancer": {"ingress": [{"hostname": "lb.example.com"}]}}})
        space.kubectl("-n", space.name, "patch", "service", "demo", "--subresource=status", "--type=merge", "-p", status)
        eventually("its host", lambda: space.get("mcpgateway", "demo")["status"]["url"] == "http://lb.example.com:80/mcp")
        config = json.loads(space.get("configmap", "demo-config")["data"]["config.json"])
        assert "lb.example.com" in config["allowedHosts"]

    def test_an_ingress_is_created_and_pruned(self, space: Space) -> None:
        space.apply(gateway("demo", server("time"), ingress={"host": "mcp.example.com", "tlsSecretName": "tls"}))
        eventually("the ingress", partial(space.find, "ingress", "demo"))
        eventually("the url", lambda: space.get("mcpgateway", "demo")["status"].get("url") == "https://mcp.example.com/mcp")
        space.apply(gateway("demo", server("time")))
        eventually("it to be unwanted", lambda: "svc" in space.get("mcpgateway", "demo")["status"]["url"])

    def test_a_missing_api_is_reported_and_used_when_it_is_installed(
        self, space: Space, plane: ControlPlane, operator_log: Path
    ) -> None:
        routed = gateway(
            "demo",
            server("time"),
            httpRoute={"parentRefs": [{"name": "public", "port": 443}], "hostnames": ["mcp.example.org"]},
            monitoring={"serviceMonitor": True},
        )
        space.apply(routed)
        there(space, "Deployment/demo")
        missing = space.await_condition("demo", "Programmed", "False", "APINotInstalled")
        assert missing["message"] == (
            "HTTPRoute: this cluster does not serve gateway.networking.k8s.io/v1: install its CRDs, or remove spec.httpRoute; "
            "ServiceMonitor: this cluster does not serve monitoring.coreos.com/v1: install its CRDs, or remove "
            "spec.monitoring.serviceMonitor"
        )
        operators.install_crd(plane.kubectl, operators.GATEWAY_API)
        operators.install_crd(plane.kubectl, operators.SERVICE_MONITOR)
        eventually("the route", lambda: space.find("httproutes.gateway.networking.k8s.io", "demo"))
        eventually("the monitor", lambda: space.find("servicemonitors.monitoring.coreos.com", "demo"))
        eventually("its end", lambda: space.condition("demo", "Programmed")["reason"] != "APINotInstalled")
        assert space.get("mcpgateway", "demo")["status"]["url"] == "https://mcp.example.org/mcp"
        restarted = "other kinds than at the start: HTTPRoute"
        eventually("the operator to restart", lambda: restarted in operator_log.read_text())
        eventually("it to be ready", partial(operators.ready, operator_log))
        space.delete("httproutes.gateway.networking.k8s.io", "demo")
        eventually("the route to be back", lambda: space.find("httproutes.gateway.networking.k8s.io", "demo"))

    def test_a_disabled_optional_api_is_reported(self, plane: ControlPlane, operator_kubeconfig: Path, tmp_path: Path) -> None:
        namespace = "no-options"
        operators.install_rights(plane.kubectl, "scope=Namespace", "crds.enabled=false", namespace=namespace)
        kubeconfig = operators.kubeconfig_for(plane.kubectl, tmp_path, namespace=namespace)
        space = Space(plane.kubectl, namespace)
        with operators.operator(kubeconfig, tmp_path, f"--namespace={namespace}"):
            space.apply(gateway("other", server("time"), ingress={"host": "mcp.example.com"}))
            reported = space.await_condition("other", "Programmed", "False", "APIDisabled")
            assert "install its chart with optionalAPIs.ingress=true, or remove spec.ingress" in reported["message"]
            eventually("the rest", partial(space.find, "deployment", "other"))


def test_disabled_network_policies_are_not_created(space: Space) -> None:
    space.apply(gateway("demo", server("time")))
    there(space, "NetworkPolicy/demo", "NetworkPolicy/demo-time")
    space.apply(gateway("demo", server("time"), networkPolicy={"enabled": False}, podLabels={"x": "z"}))
    eventually("the new template", lambda: "x" in space.get("deployment", "demo")["spec"]["template"]["metadata"]["labels"])

    def gone() -> bool:
        space.report_ready("demo")
        return not any(name.startswith("NetworkPolicy/") for name in space.owned())

    eventually("the policies to go", gone)


def test_an_approval_reaches_the_gateway_without_an_edit_of_the_spec(space: Space) -> None:
    space.apply(gateway("demo", server("time"), toolPinning="Enforce"))
    there(space, "ConfigMap/demo-config", "Deployment/demo")

    def pin() -> Any:
        return json.loads(space.get("configmap", "demo-config")["data"]["config.json"])["servers"][0]["pin"]

    assert pin() == ""
    before = space.get("deployment", "demo")["metadata"]["generation"]
    space.kubectl("-n", space.name, "annotate", "mcpgateway", "demo", "tools.mcpgateway.dev/time=sha256:abc")
    eventually("the approval", lambda: pin() == "sha256:abc")
    assert space.get("deployment", "demo")["metadata"]["generation"] == before
