"""The operator on a real API server: what it writes, what it leaves alone, what it says."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from tests.api.conftest import Space
from tests.support import operators
from tests.support.apiproxy import ApiProxy
from tests.support.cluster import SYSTEM
from tests.support.controlplane import ControlPlane
from tests.support.kubectl import KubectlError, eventually
from tests.support.resources import gateway, server

pytestmark = pytest.mark.usefixtures("operator_log")


def await_objects(space: Space, *names: str) -> dict[str, Any]:
    def there() -> dict[str, Any] | None:
        result = space.owned()
        return result if set(names) <= set(result) else None

    result: dict[str, Any] = eventually(f"{names}", there)
    return result


def versions(space: Space) -> dict[str, str]:
    result = {name: item["metadata"]["resourceVersion"] for name, item in space.owned().items()}
    return result | {"status": space.get("mcpgateway", "demo")["metadata"]["resourceVersion"]}


def quiet(space: Space, operator_log: Path) -> dict[str, str]:
    """The versions once nothing has changed for a while: controllers write, too."""
    last, since = versions(space), time.monotonic()
    while time.monotonic() - since < 2:
        if (now := versions(space)) != last:
            last, since = now, time.monotonic()
    return last


def test_multi_pod_objects(space: Space) -> None:
    space.apply(gateway("demo", server("time"), server("git")))
    result = await_objects(
        space,
        "ConfigMap/demo-config",
        "Service/demo",
        "NetworkPolicy/demo-time",
        "Service/demo-time",
        "Service/demo-git",
        "Deployment/demo-time",
        "Deployment/demo-git",
        "Deployment/demo",
    )
    uid = space.get("mcpgateway", "demo")["metadata"]["uid"]
    assert {f"Secret/demo-keys-{uid[:8]}", f"Secret/demo-keys-{uid[:8]}-2"} <= set(result)
    for item in result.values():
        assert [(o["kind"], o["uid"], o["controller"]) for o in item["metadata"]["ownerReferences"]] == [
            ("MCPGateway", uid, True)
        ]
    status = space.await_condition("demo", "Ready", "False", "GatewayNotReady")
    assert status["observedGeneration"] == 1
    assert space.condition("demo", "Accepted")["status"] == "True"
    columns = space.kubectl("-n", space.name, "get", "mcpgw").splitlines()
    assert columns[0].split() == ["NAME", "READY", "SERVERS", "TOOLS", "MODE", "URL", "AGE"]
    assert columns[1].split()[:6] == ["demo", "False", "0/2", "0", "MultiPod", f"http://demo.{space.name}.svc:8811/mcp"]


def test_pods_are_admitted_under_restricted(space: Space) -> None:
    for mode in ("MultiPod", "Sidecar"):
        space.apply(
            gateway(
                mode.lower(),
                server("time", env=[{"name": "K", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]),
                mode=mode,
            )
        )
    eventually("pods of both", lambda: len(space.get("pods")["items"]) == 3)
    assert not [e for e in space.get("events")["items"] if e["reason"] == "FailedCreate"]


def test_an_unchanged_world_gets_no_write_from_a_restarted_operator(
    space: Space, operator_log: Path, proxy: ApiProxy, through: Path, tmp_path: Path
) -> None:
    stored = server("memory", storage=[{"mountPath": "/data", "size": "1Gi"}])
    space.apply(gateway("demo", stored, autoscaling={"maxReplicas": 3}))
    space.apply(gateway("beside", server("time", isolation="Shared"), mode="Sidecar", replicas=2))
    for name in ("demo", "beside"):
        await_objects(space, f"Deployment/{name}")
        space.await_condition(name, "Ready", "False", "GatewayNotReady")
    before = quiet(space, operator_log)
    with operators.operator(through, tmp_path):
        eventually("its pass", lambda: {"demo", "beside"} <= {r.path.rsplit("/", 1)[-1] for r in proxy.seen})
        assert quiet(space, operator_log) == before
        made = [request for request in proxy.writes(f"/{space.name}/") if not request.path.endswith("/secrets")]
        assert made == []  # not even a write that changes nothing: five thousand gateways would cost fifty thousand of them


def secret_data(space: Space, name: str) -> dict[str, bytes]:
    return {key: base64.b64decode(value) for key, value in space.get("secret", name)["data"].items()}


def test_a_gateway_that_has_only_a_session_key_gets_a_key_pair_for_bridges(
    space: Space, operator_log: Path, through: Path, tmp_path: Path
) -> None:
    """As an earlier version has left it. The first Secret is immutable: sessions stay valid."""
    space.apply(gateway())
    await_objects(space, "Deployment/demo")
    uid = space.get("mcpgateway", "demo")["metadata"]["uid"]
    first, second = f"demo-keys-{uid[:8]}", f"demo-keys-{uid[:8]}-2"
    session_key = secret_data(space, first)
    assert list(session_key) == ["k1"]
    space.delete("secret", second)
    with operators.operator(through, tmp_path):
        eventually("the key pair", lambda: space.find("secret", second))
    assert secret_data(space, first) == session_key
    pair = secret_data(space, second)
    private = load_pem_private_key(pair["private.pem"], password=None)
    public = load_pem_public_key(pair["public.pem"])
    assert isinstance(private, Ed25519PrivateKey)
    assert private.public_key() == public
    assert space.get("secret", second)["immutable"] is True


def test_drift_is_undone(space: Space) -> None:
    space.apply(gateway())
    result = await_objects(space, "Deployment/demo", "ConfigMap/demo-config", "Service/demo")
    k = space.kubectl
    k("-n", space.name, "scale", "deployment/demo", "--replicas=5")
    k("-n", space.name, "patch", "configmap/demo-config", "--type=merge", "-p", '{"data":{"config.json":"{}"}}')
    k("-n", space.name, "label", "service/demo", "app.kubernetes.io/instance=other", "--overwrite")
    eventually("the replicas", lambda: space.get("deployment", "demo")["spec"]["replicas"] == 1)
    wanted = result["ConfigMap/demo-config"]["data"]
    eventually("the configuration", lambda: space.get("configmap", "demo-config")["data"] == wanted)
    eventually("the label", lambda: space.get("service", "demo")["metadata"]["labels"]["app.kubernetes.io/instance"] == "demo")


def test_a_deleted_child_is_recreated(space: Space) -> None:
    space.apply(gateway())
    before = await_objects(space, "Deployment/demo-time", "Service/demo", "ConfigMap/demo-config", "NetworkPolicy/demo-time")
    for kind, name in (
        ("deployment", "demo-time"),
        ("service", "demo"),
        ("configmap", "demo-config"),
        ("networkpolicy", "demo-time"),
    ):
        space.delete(kind, name)
        old = next(o["metadata"]["uid"] for key, o in before.items() if key.lower() == f"{kind}/{name}")

        def back(kind: str = kind, name: str = name, old: str = old) -> bool:
            result = space.find(kind, name)
            return bool(result) and result["metadata"]["uid"] != old

        eventually(f"{kind} {name} to be back", back)


def test_a_foreign_object_is_never_taken_over(space: Space) -> None:
    mine = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "demo-config"}, "data": {"precious": "yes"}}
    space.apply(mine)
    space.apply(gateway())
    result = space.await_condition("demo", "Programmed", "False", "Conflict")
    assert result["message"] == (
        "ConfigMap demo-config exists and was not created for this MCPGateway, so it is left as it is: create this MCPGateway "
        "under another name"
    )
    assert space.get("configmap", "demo-config")["data"] == {"precious": "yes"}
    assert space.condition("demo", "Stalled")["status"] == "True"
    events = space.get("events", "--field-selector", "involvedObject.kind=MCPGateway,reason=Conflict")["items"]
    assert [e["type"] for e in events] == ["Warning"]
    space.delete("configmap", "demo-config")
    space.kubectl("-n", space.name, "annotate", "mcpgateway", "demo", "look=again")
    await_objects(space, "Deployment/demo")


JOINED = (  # a gateway, and a later one whose names would join to the same
    (gateway("web", server("api-x")), gateway("web-api", server("x")), "give server x of this MCPGateway another name"),
    (gateway("web", server("api-x")), gateway("web-peers"), "create this MCPGateway under another name"),
    (gateway("web", server("api")), gateway("web-api", server("z")), "create this MCPGateway under another name"),
    (gateway("web-api", server("z")), gateway("web", server("api")), "give server api of this MCPGateway another name"),
)


def fallbacks(space: Space, name: str) -> list[str]:
    config = json.loads(space.get("configmap", f"{name}-config")["data"]["config.json"])
    return [each["fallback"] for each in config["servers"]]


@pytest.mark.parametrize(("older", "younger", "fix"), JOINED, ids=["servers", "peers", "gateway", "server"])
def test_names_that_join_never_share_an_object(space: Space, older: dict[str, Any], younger: dict[str, Any], fix: str) -> None:
    """O1: the older one keeps all of the name; the other is told whose it is, and shows and dials nothing that is not its own."""
    first, second = older["metadata"]["name"], younger["metadata"]["name"]
    older["spec"]["paused"] = True  # so that age alone decides, and not who has written first
    space.apply(older)
    space.await_condition(first, "Programmed", "False", "Paused")
    space.apply(younger)
    refused = space.await_condition(second, "Ready", "False", "Conflict")
    assert f"is used by MCPGateway {first}, whose objects are left as they are: {fix}" in refused["message"]
    assert "delete" not in refused["message"]
    assert space.condition(second, "Stalled")["status"] == "True"
    if "this MCPGateway under" in fix:
        assert "url" not in space.get("mcpgateway", second)["status"]
    else:
        assert fallbacks(space, second) == [""]
    older["spec"]["paused"] = False
    space.apply(older)
    await_objects(space, f"Deployment/{first}", f"Service/{first}-peers")
    space.await_condition(first, "Ready", "False", "GatewayNotReady")
    space.await_condition(second, "Ready", "False", "Conflict")
    labels = {name: item["metadata"]["labels"]["app.kubernetes.io/instance"] for name, item in space.owned().items()}
    owners = {name: item["metadata"]["ownerReferences"][0]["name"] for name, item in space.owned().items()}
    assert labels == owners
    space.delete("mcpgateway", first)
    space.await_condition(second, "Ready", "False", "GatewayNotReady")  # the name has become free
    eventually("its URL", lambda: space.get("mcpgateway", second)["status"].get("url"))


def test_a_gateway_that_has_a_name_keeps_it_from_an_older_one(space: Space) -> None:
    """Also over a restart of the operator: an edit of the older one takes nothing away."""
    space.apply(gateway("web", server("time")))
    await_objects(space, "Deployment/web")
    space.apply(gateway("web-api", server("x")))
    before = await_objects(space, "Deployment/web-api-x", "Service/web-api-x")
    space.apply(gateway("web", server("time"), server("api-x")))
    refused = space.await_condition("web", "Ready", "False", "Conflict")
    assert "the name web-api-x is used by MCPGateway web-api" in refused["message"]
    after = space.owned()
    for name in ("Deployment/web-api-x", "Service/web-api-x"):
        assert after[name]["metadata"]["uid"] == before[name]["metadata"]["uid"]
    space.await_condition("web-api", "Ready", "False", "GatewayNotReady")
    space.apply(gateway("web", server("time")))
    space.await_condition("web", "Ready", "False", "GatewayNotReady")


def test_a_paused_gateway_whose_service_is_gone_has_no_url(space: Space) -> None:
    """O11."""
    space.apply(gateway())
    await_objects(space, "Deployment/demo")
    eventually("its URL", lambda: space.get("mcpgateway", "demo")["status"].get("url"))
    space.apply(gateway(paused=True))
    space.await_condition("demo", "Programmed", "False", "Paused")
    space.delete("service", "demo")
    eventually("no URL", lambda: "url" not in space.get("mcpgateway", "demo")["status"])
    space.apply(gateway(paused=False))
    eventually("its URL", lambda: space.get("mcpgateway", "demo")["status"].get("url"))


def test_an_edit_is_not_programmed_before_its_rollout(space: Space) -> None:
    """O4: `kubectl wait` after an edit must not see the state before it. Without pods a rollout completes by itself."""
    space.apply(gateway(mode="Sidecar", replicas=0))
    before = space.await_condition("demo", "Programmed", "True", "Programmed")

    def later() -> bool:
        return datetime.now(UTC) - datetime.fromisoformat(before["lastTransitionTime"]) > timedelta(seconds=2)

    eventually("a later second", later)
    space.apply(gateway("demo", server("time", image="time:2"), mode="Sidecar", replicas=0))
    generation = space.get("mcpgateway", "demo")["metadata"]["generation"]

    def programmed() -> dict[str, Any] | None:
        result = space.condition("demo", "Programmed")
        return result if (result["status"], result["observedGeneration"]) == ("True", generation) else None

    after = eventually("the edit to be programmed", programmed)
    assert after["lastTransitionTime"] > before["lastTransitionTime"], "it was False in between"


def test_removed_objects_are_pruned_after_the_rollout(space: Space, plane: ControlPlane) -> None:
    space.apply(gateway("demo", server("time"), server("git")))
    await_objects(space, "Deployment/demo-git", "Deployment/demo")
    space.apply(gateway("demo", server("time")))
    eventually("the new configuration", lambda: "git" not in space.get("configmap", "demo-config")["data"]["config.json"])
    assert "Deployment/demo-git" in space.owned()  # no pods run here: the rollout is never complete

    def gone() -> bool:
        space.report_ready("demo")
        return not {"Deployment/demo-git", "Service/demo-git"} & set(space.owned())

    eventually("the server to be gone", gone)


def test_the_mode_can_be_switched_on_a_live_resource(space: Space, plane: ControlPlane) -> None:
    space.apply(gateway())
    await_objects(space, "Deployment/demo-time", "Deployment/demo")
    space.apply(gateway(mode="Sidecar"))
    eventually(
        "the servers in one pod", lambda: len(space.get("deployment", "demo")["spec"]["template"]["spec"]["containers"]) == 2
    )
    assert "Deployment/demo-time" in space.owned()

    def gone() -> bool:
        space.report_ready("demo")
        return "Deployment/demo-time" not in space.owned()

    eventually("the objects of the previous mode to be pruned", gone)
    assert any(name.startswith("ConfigMap/demo-config-") for name in space.owned())
    space.apply(gateway(mode="MultiPod"))
    await_objects(space, "Deployment/demo-time")


def test_deletion_leaves_no_object(space: Space) -> None:
    space.apply(gateway())
    await_objects(space, "Deployment/demo", "Service/demo")
    space.delete("mcpgateway", "demo")
    eventually("everything to be gone", lambda: space.owned() == {})
    assert space.find("mcpgateway", "demo") is None


def test_a_recreated_gateway_waits_for_the_garbage_collection_of_the_old_objects(space: Space) -> None:
    space.apply(gateway())
    await_objects(space, "Deployment/demo")
    first = space.get("mcpgateway", "demo")["metadata"]["uid"]
    space.delete("mcpgateway", "demo")
    eventually("it to be gone", lambda: space.find("mcpgateway", "demo") is None)
    space.apply(gateway())
    second = space.get("mcpgateway", "demo")["metadata"]["uid"]

    def all_new() -> bool:
        owners = {o["metadata"]["ownerReferences"][0]["uid"] for o in space.owned().values()}
        return owners == {second} and "Deployment/demo" in space.owned()

    eventually("all objects to be the new gateway's", all_new)
    assert first != second


def test_there_is_no_finalizer_and_no_annotation_on_the_resource(space: Space) -> None:
    space.apply(gateway())
    space.await_condition("demo", "Accepted", "True", "Valid")
    metadata = space.get("mcpgateway", "demo")["metadata"]
    assert "finalizers" not in metadata
    assert "annotations" not in metadata


def test_a_disabled_server_is_not_rendered(space: Space) -> None:
    space.apply(gateway("demo", server("time"), server("git", state="Disabled")))
    await_objects(space, "Deployment/demo")
    assert "Deployment/demo-git" not in space.owned()
    assert space.await_condition("demo", "Ready", "False", "GatewayNotReady")
    assert space.get("mcpgateway", "demo")["status"]["readyServers"] == "0/1"


def test_only_the_status_of_a_paused_gateway_is_written(space: Space) -> None:
    space.apply(gateway("demo", server("time"), paused=True))
    space.await_condition("demo", "Programmed", "False", "Paused")
    assert space.owned() == {}
    space.apply(gateway("demo", server("time")))
    eventually("the objects", lambda: "Deployment/demo-time" in space.owned())
    space.apply(gateway("demo", server("time"), paused=True, replicas=3))
    paused = space.await_condition("demo", "Programmed", "False", "Paused")
    assert "until it is false" in paused["message"]
    kinds = {condition["type"] for condition in space.get("mcpgateway", "demo")["status"]["conditions"]}
    assert not kinds & {"Reconciling", "Stalled"}
    space.delete("deployment", "demo-time")
    eventually("it to go", lambda: space.find("deployment", "demo-time") is None)
    assert space.get("deployment", "demo")["spec"]["replicas"] == 1
    space.apply(gateway("demo", server("time"), replicas=3))
    eventually("the pause to end", lambda: space.get("deployment", "demo")["spec"]["replicas"] == 3)
    eventually("the deleted Deployment to be back", lambda: space.find("deployment", "demo-time") is not None)


def test_every_pod_has_the_labels_and_scheduling_of_the_spec(space: Space) -> None:
    toleration = {"key": "dedicated", "operator": "Equal", "value": "mcp", "effect": "NoSchedule"}
    reported = {
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [toleration],
        "podLabels": {"team": "a"},
        "podAnnotations": {"prometheus.io/scrape": "true"},
    }
    space.apply(gateway("demo", server("time"), **reported))
    for name in ("demo", "demo-time"):
        eventually("the deployment", partial(space.find, "deployment", name))
        template = space.get("deployment", name)["spec"]["template"]
        assert template["spec"]["nodeSelector"] == {"disk": "ssd"}
        assert template["spec"]["tolerations"] == [toleration]
        assert template["metadata"]["labels"]["team"] == "a"
        assert template["metadata"]["annotations"] == {"prometheus.io/scrape": "true"}
        assert "team" not in space.get("deployment", name)["spec"]["selector"]["matchLabels"]


def test_scaled_to_zero_is_a_reason_of_ready(space: Space) -> None:
    space.apply(gateway(replicas=0))
    space.await_condition("demo", "Ready", "False", "ScaledToZero")


def test_pods_refused_by_admission_are_explained_in_the_status(space: Space) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    space.apply(quota)
    eventually("the quota to count", lambda: space.get("resourcequota", "none").get("status", {}).get("hard"))
    space.apply(gateway())
    eventually("the reason", lambda: "exceeded quota" in space.condition("demo", "Ready").get("message", ""))
    assert space.condition("demo", "Ready")["reason"] == "GatewayNotReady"


class TestRights:
    """The chart's account is all that the operator has."""

    def can(self, plane: ControlPlane, verb: str, resource: str) -> bool:
        user = f"system:serviceaccount:{SYSTEM}:mcpgateway"
        answer = subprocess.run(
            [plane.kubectl.program, "auth", "can-i", verb, resource, f"--as={user}", "-A"],
            env={"KUBECONFIG": str(plane.kubeconfig), "HOME": "/tmp"},
            capture_output=True,
            text=True,
            check=False,
        )
        return answer.stdout.strip() == "yes"

    @pytest.mark.parametrize(
        ("verb", "resource"),
        [
            ("get", "secrets"),
            ("list", "secrets"),
            ("watch", "secrets"),
            ("delete", "secrets"),
            ("create", "pods/exec"),
            ("get", "pods/proxy"),
            ("create", "pods"),
            ("create", "roles"),
            ("create", "clusterrolebindings"),
            ("*", "*"),
            ("update", "mcpgateways"),
            ("list", "namespaces"),
            ("list", "nodes"),
        ],
    )
    def test_the_operator_may_not(self, plane: ControlPlane, verb: str, resource: str) -> None:
        assert not self.can(plane, verb, resource)

    def test_few_rules_are_enough(self) -> None:
        role: Any = next(d for d in operators.chart() if (d["kind"], d["metadata"]["name"]) == ("ClusterRole", "mcpgateway"))
        assert sum(len(rule["resources"]) * len(rule["verbs"]) for rule in role["rules"]) <= 50

    def test_a_namespaced_install_needs_a_role_only(self, plane: ControlPlane, tmp_path: Path) -> None:
        namespace = "only-here"
        operators.install_rights(plane.kubectl, "scope=Namespace", "crds.enabled=false", namespace=namespace)
        kinds = {d["kind"] for d in operators.chart("scope=Namespace", "crds.enabled=false", namespace=namespace)}
        assert kinds == {"ServiceAccount", "Role", "RoleBinding", "Deployment", "NetworkPolicy", "Service", "Job"}
        kubeconfig = operators.kubeconfig_for(plane.kubectl, tmp_path, namespace=namespace)
        plane.kubectl("-n", SYSTEM, "get", "serviceaccount", "mcpgateway")
        with operators.operator(kubeconfig, tmp_path, f"--namespace={namespace}"):
            plane.kubectl.apply(gateway("demo"), namespace=namespace)
            eventually("its objects", lambda: plane.kubectl.find("deployment", "demo", "-n", namespace))


class TestWhileTheOperatorIsDown:
    """Owner references do the clean-up, so deletion does not wait for the operator."""

    @pytest.fixture
    def made(self, space: Space, operator_kubeconfig: Path, tmp_path: Path) -> Space:
        space.apply(gateway())
        await_objects(space, "Deployment/demo")
        return space

    def test_the_resource_is_deleted(self, made: Space) -> None:
        made.kubectl("-n", made.name, "delete", "mcpgateway", "demo", "--timeout=20s")

    def test_the_namespace_is_deleted(self, made: Space) -> None:
        made.kubectl("delete", "namespace", made.name, "--timeout=60s")
        with pytest.raises(KubectlError, match="not found"):
            made.kubectl("get", "namespace", made.name)
