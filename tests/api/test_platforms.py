"""Gateways in namespaces of platform teams: pods under quotas, limit ranges and assigned ids; what is refused is told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import EVERY_API, Space
from tests.support import operators
from tests.support.controlplane import ControlPlane
from tests.support.kubectl import eventually
from tests.support.resources import gateway, server

BOUND = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "200m", "memory": "128Mi"}}
QUOTA = {"requests.cpu": "2", "requests.memory": "1Gi", "limits.cpu": "2", "limits.memory": "1Gi"}
FURTHER = "nginx.ingress.kubernetes.io/custom-http-errors"
ALLOWED = f"allowedAnnotations.ingress[0]={FURTHER}", "allowedAnnotations.pods[0]=example.com/*"
MODES = pytest.mark.parametrize("mode", ["MultiPod", "Sidecar"])


@pytest.fixture(scope="module")
def operator_log(operator_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Started as the chart with these values would."""
    (chart,) = [document for document in operators.chart(*ALLOWED) if document["kind"] == "Deployment"]
    args = chart["spec"]["template"]["spec"]["containers"][0]["args"]
    allowed = [arg for arg in args if arg.startswith("--allow-annotation=")]
    with operators.operator(operator_kubeconfig, tmp_path_factory.mktemp("operator"), *EVERY_API, *allowed) as log:
        yield log


pytestmark = pytest.mark.usefixtures("operator_log")


def pods(space: Space, number: int) -> list[dict[str, Any]]:
    """The pods that the ReplicaSet controller has created, once there are as many."""

    def look() -> list[dict[str, Any]] | None:
        items: list[dict[str, Any]] = space.get("pods")["items"]
        return items if len(items) == number else None

    result: list[dict[str, Any]] = eventually(f"{number} pods", look)
    return result


def quota(space: Space, **hard: str) -> None:
    """A ResourceQuota that is in force: its controller has counted."""
    space.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "team"}, "spec": {"hard": hard}})
    eventually("the quota to be counted", lambda: space.get("resourcequota", "team").get("status", {}).get("used"))


def limit_range(space: Space, **limits: Any) -> None:
    item = {"type": "Container", **limits}
    space.apply({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "team"}, "spec": {"limits": [item]}})


class TestQuotas:
    @MODES
    def test_every_container_can_satisfy_a_quota_on_requests_and_limits(self, space: Space, mode: str) -> None:
        quota(space, **QUOTA)
        space.apply(gateway("demo", server("time", resources=BOUND), mode=mode, resources=BOUND))
        pods(space, 1 if mode == "Sidecar" else 2)
        used = space.get("resourcequota", "team")["status"]["used"]
        assert used["limits.cpu"] == "400m", "copying the bridge costs nothing beside the container that runs it"

    @MODES
    def test_what_a_quota_refuses_is_told_in_its_own_words(self, space: Space, mode: str) -> None:
        quota(space, **QUOTA)
        space.apply(gateway("demo", mode=mode))
        failed = space.await_condition("demo", "Programmed", "False", "RolloutFailed")
        assert "failed quota: team: must specify limits.cpu for: " in failed["message"]

    def test_a_quota_on_objects_is_told_in_its_own_words(self, space: Space) -> None:
        eventually("the root certificate", lambda: space.find("configmap", "kube-root-ca.crt"))
        quota(space, **{"count/configmaps": "1"})
        space.apply(gateway())
        failed = space.await_condition("demo", "Programmed", "False", "Forbidden")
        assert "exceeded quota: team, requested: count/configmaps=1, used: count/configmaps=1" in failed["message"]

    def test_a_limit_range_with_defaults_satisfies_the_quota(self, space: Space) -> None:
        limit_range(space, default={"cpu": "250m"}, min={"cpu": "10m", "memory": "64Mi"}, max={"cpu": "1", "memory": "1Gi"})
        quota(space, **QUOTA)
        space.apply(gateway())
        limits = [container["resources"]["limits"]["cpu"] for pod in pods(space, 2) for container in pod["spec"]["containers"]]
        assert limits == ["250m", "250m"]

    def test_what_a_limit_range_refuses_is_told_in_its_own_words(self, space: Space) -> None:
        limit_range(space, max={"memory": "100Mi"})
        space.apply(gateway())
        failed = space.await_condition("demo", "Programmed", "False", "RolloutFailed")
        assert "maximum memory usage per Container is 100Mi, but limit is " in failed["message"]


SNIPPET = "nginx.ingress.kubernetes.io/configuration-snippet"
EXTERNAL_DNS = "external-dns.alpha.kubernetes.io/hostname"
INJECTING = {  # who acts on it: an Ingress controller, external-dns, an injector, a network plugin
    "spec.ingress.annotations": (
        *(SNIPPET, "nginx.org/location-snippets", "haproxy-ingress.github.io/config-backend", EXTERNAL_DNS, "mcpgateway.dev/x"),
        *(f"nginx.ingress.kubernetes.io/{name}" for name in ("auth-url", "mirror-target", "server-alias")),
        *("traefik.ingress.kubernetes.io/router.middlewares", "konghq.com/plugins", "alb.ingress.kubernetes.io/actions.x"),
    ),
    "spec.service.annotations": (EXTERNAL_DNS, "endpoints.kubernetes.io/x", "getambassador.io/config"),
    "spec.podAnnotations": (
        *("k8s.v1.cni.cncf.io/networks", "vault.hashicorp.com/agent-inject-secret-x", "sidecar.istio.io/userVolume"),
        *("container.apparmor.security.beta.kubernetes.io/gateway", "instrumentation.opentelemetry.io/inject-python"),
    ),
}


def annotated(field: str, keys: Iterable[str]) -> dict[str, Any]:
    values = dict.fromkeys(keys, "x")
    if field == "spec.podAnnotations":
        return {"podAnnotations": values}
    ingress = {"host": "a.example"} if "ingress" in field else {}
    return {field.split(".")[1]: {**ingress, "annotations": values}}


class TestAnnotations:
    @pytest.mark.parametrize("field", INJECTING)
    def test_what_acts_with_the_rights_of_others_is_refused_by_name(self, space: Space, field: str) -> None:
        for number, key in enumerate(INJECTING[field]):
            space.apply(gateway(f"demo-{number}", **annotated(field, [key])))
        for number, key in enumerate(INJECTING[field]):
            message = space.await_condition(f"demo-{number}", "Accepted", "False", "Invalid")["message"]
            assert message.startswith(f"{field} has {key!r}, which is not among the allowed annotations")
            assert message.endswith(f": [{key!r}]}}"), "the value of the chart that allows it"
        assert space.owned() == {}

    def test_the_platform_team_allows_more(self, space: Space) -> None:
        usual = {"cert-manager.io/cluster-issuer": "internal", "nginx.ingress.kubernetes.io/proxy-read-timeout": "3600"}
        wanted = {FURTHER: "404", **usual}
        pods = {"example.com/team": "a", "prometheus.io/scrape": "true"}
        space.apply(gateway(ingress={"host": "a.example", "annotations": wanted}, podAnnotations=pods))
        eventually("the ingress", lambda: space.get("ingress", "demo")["metadata"].get("annotations") == wanted)
        assert space.get("deployment", "demo")["spec"]["template"]["metadata"]["annotations"] == pods


FIRST = 1000680000  # of the range that OpenShift would give to the namespace
ASSIGN = f"""Object{{spec: Object.spec{{securityContext: Object.spec.securityContext{{
  runAsUser: {FIRST}, runAsGroup: 0, fsGroup: {FIRST}}}}}}}"""
REFUSED = "runAsUser: Invalid value: must be in the ranges: [1000680000, 1000689999]"


@pytest.fixture(scope="module")
def assigning(plane: ControlPlane) -> str:
    """Admission as OpenShift's restricted-v2, in namespaces with this label: ids are assigned, and others are refused.

    Source: OpenShift "Managing security context constraints": runAsUser MustRunAsRange, fsGroup MustRunAs.
    """
    label = "ids-are-assigned"
    about = {
        "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        "namespaceSelector": {"matchLabels": {label: "true"}},
        "matchPolicy": "Equivalent",
    }
    absent = "!has(object.spec.securityContext.runAsUser)"
    inside = f"object.spec.securityContext.runAsUser >= {FIRST} && object.spec.securityContext.runAsUser < {FIRST + 10000}"

    def policy(kind: str, **spec: Any) -> list[dict[str, Any]]:
        api = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": label}}
        binding: dict[str, Any] = {"policyName": label} | (
            {"validationActions": ["Deny"]} if kind.startswith("Validating") else {}
        )
        return [{**api, "kind": kind, "spec": spec}, {**api, "kind": f"{kind}Binding", "spec": binding}]

    plane.kubectl.apply(
        *policy(
            "MutatingAdmissionPolicy",
            matchConstraints=about,
            matchConditions=[{"name": "absent", "expression": absent}],
            mutations=[{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": ASSIGN}}],
            failurePolicy="Fail",
            reinvocationPolicy="Never",
        ),
        *policy(
            "ValidatingAdmissionPolicy",
            matchConstraints=about,
            validations=[{"expression": inside, "message": REFUSED}],
            failurePolicy="Fail",
        ),
    )
    return f"{label}=true"


class TestAssignedIds:
    @MODES
    def test_a_platform_assigns_user_and_groups(self, space: Space, assigning: str, mode: str) -> None:
        space.kubectl("label", "namespace", space.name, assigning)
        space.apply(gateway("demo", mode=mode))
        failed = space.await_condition("demo", "Programmed", "False", "RolloutFailed")
        assert REFUSED in failed["message"], "the policy is in force, and its words are told"
        space.apply(gateway("demo", mode=mode, runAs="Assigned"))
        for pod in pods(space, 1 if mode == "Sidecar" else 2):
            security = pod["spec"]["securityContext"]
            assert (security["runAsUser"], security["runAsGroup"], security["fsGroup"]) == (FIRST, 0, FIRST)
            assert security["runAsNonRoot"] is True

    def test_the_chart_sets_it_for_all_gateways_and_the_operator(self) -> None:
        (deployment,) = [d for d in operators.chart("runAs=Assigned") if d["kind"] == "Deployment"]
        pod = deployment["spec"]["template"]["spec"]
        assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(pod["securityContext"])
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert "--run-as=Assigned" in pod["containers"][0]["args"]
