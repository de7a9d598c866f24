"""The chart, by a real Helm against a real API server."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.api.conftest import Space
from tests.support import manifests, operators, tools
from tests.support.cluster import CHART
from tests.support.controlplane import ControlPlane
from tests.support.kubectl import eventually
from tests.support.paths import ROOT

TAKE_OVER = {"helm3": ["--take-ownership"], "helm": ["--take-ownership", "--force-conflicts"]}  # 4 applies on the server side
VERSIONS = tuple(TAKE_OVER)
DIGEST = "sha256:" + 64 * "0"
EVERYTHING: dict[str, Any] = {
    "image": {"digest": DIGEST},
    "imagePullSecrets": [{"name": "registry"}],
    "gatewayImage": {"digest": DIGEST},
    "replicas": 2,
    "optionalAPIs": {"ingress": True, "httpRoute": True, "serviceMonitor": True},
    "clusterCIDRs": ["203.0.113.0/24"],
    "networkPolicy": {"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]},
    "metrics": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
    },
    "proxy": {"https": "http://proxy.example.com:3128", "except": "10.0.0.0/8"},
    "trustedCAs": {"configMap": "authorities"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "control-plane", "operator": "Exists"}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "Exists"}]}]
            }
        }
    },
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}
    ],
    "priorityClassName": "system-cluster-critical",
    "podLabels": {"team": "platform"},
    "podAnnotations": {"example.com/note": "yes"},
    "serviceAccount": {"annotations": {"example.com/identity": "operator"}},
}


def helm(*args: str, version: str = "helm", **env: str) -> subprocess.CompletedProcess[str]:
    command = [str(tools.module(version)), *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **env})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("nonsense=1", "additional properties 'nonsense' not allowed"),
        ("image.nonsense=1", "additional properties 'nonsense' not allowed"),
        ("scope=Galaxy", "value must be one of 'Cluster', 'Namespace'"),
        ("image.pullPolicy=Maybe", "value must be one of 'Always', 'IfNotPresent', 'Never'"),
        ("dns.peers={kube-dns}", "'kube-dns' does not match pattern"),
        ("dns.ports={0}", "minimum: got 0, want 1"),
        ("crds.enabled=perhaps", "got string, want boolean"),
    ],
)
def test_a_wrong_value_is_refused_by_name(value: str, message: str) -> None:
    done = helm("template", "x", str(CHART), f"--set={value}")
    assert done.returncode != 0
    assert message in done.stderr


def test_it_passes_helms_own_lint() -> None:
    assert helm("lint", str(CHART)).returncode == 0


def test_the_crd_is_a_template_that_is_kept() -> None:
    (crd,) = [d for d in operators.chart() if d["kind"] == "CustomResourceDefinition"]
    assert crd["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert not [d for d in operators.chart("crds.enabled=false") if d["kind"] == "CustomResourceDefinition"]
    (loose,) = [d for d in operators.chart("crds.keep=false") if d["kind"] == "CustomResourceDefinition"]
    assert "annotations" not in loose["metadata"]


@pytest.fixture
def restricted(space: Space) -> Space:
    label = "pod-security.kubernetes.io/warn=restricted"
    space.kubectl("label", "namespace", space.name, label)
    return space


class Release:
    """A release of one test, by one version of Helm."""

    def __init__(self, space: Space, version: str) -> None:
        self._space, self._version = space, version

    def __call__(self, *args: str) -> subprocess.CompletedProcess[str]:
        kubeconfig = str(self._space.kubectl.kubeconfig)
        return helm(*args, "-n", self._space.name, version=self._version, KUBECONFIG=kubeconfig)

    def install(self, name: str, *args: str) -> subprocess.CompletedProcess[str]:
        done = self("install", name, str(CHART), *args)
        assert done.returncode == 0, done.stderr
        return done


@pytest.mark.parametrize("version", VERSIONS)
class TestInstalling:
    """By the oldest and the newest supported generation of Helm."""

    @pytest.fixture
    def release(self, restricted: Space, version: str) -> Iterator[Release]:
        release = Release(restricted, version)
        yield release
        # No kubelet runs the Job of the hook here; tests/e2e/test_namespaced.py uninstalls with it.
        for name in json.loads(release("list", "-o", "json").stdout):
            assert release("uninstall", name["name"], "--wait", "--no-hooks").returncode == 0

    def test_what_it_prints_works_without_any_other_file(self, release: Release, restricted: Space) -> None:
        done = release.install("mine", "--set=scope=Namespace,crds.enabled=false")
        assert f"The operator watches only the namespace {restricted.name}" in done.stdout
        assert "would violate PodSecurity" not in done.stderr
        assert "examples/" not in done.stdout
        (document,) = re.findall(r"<<'END'\n(.*?)\nEND\n", done.stdout, re.DOTALL)
        restricted.kubectl("-n", restricted.name, "apply", "-f", "-", stdin=document)
        assert restricted.get("mcpgateway", "quickstart")["spec"]["mode"] == "MultiPod"

    def test_every_value_at_once_is_accepted(self, release: Release, plane: ControlPlane, tmp_path: Path) -> None:
        for crd in (operators.SERVICE_MONITOR, operators.PROMETHEUS_RULE):
            operators.install_crd(plane.kubectl, crd)
        values = tmp_path / "values.yaml"
        values.write_text(yaml.safe_dump({**EVERYTHING, "crds": {"enabled": False}}))
        done = release.install(f"all-{random.randrange(10**6)}", "--values", str(values))
        assert "would violate PodSecurity" not in done.stderr

    def test_a_crd_of_somebody_else_is_taken_over_only_if_asked_to(
        self, release: Release, plane: ControlPlane, version: str
    ) -> None:
        name = f"other-{random.randrange(10**6)}"
        refused = release("install", name, str(CHART))
        assert refused.returncode != 0
        assert "invalid ownership metadata" in refused.stderr
        release.install(name, *TAKE_OVER[version])
        crd = plane.kubectl.get("crd", "mcpgateways.mcpgateway.dev")
        assert crd["metadata"]["annotations"]["meta.helm.sh/release-name"] == name

    def test_what_the_test_makes_is_accepted(self, release: Release, restricted: Space) -> None:
        rendered = release("template", "x" * 53, str(CHART), "--show-only", "templates/tests/call.yaml", "--kube-version=1.31.0")
        assert rendered.returncode == 0, rendered.stderr
        said = restricted.kubectl("-n", restricted.name, "apply", "--dry-run=server", "-f", "-", stdin=rendered.stdout)
        assert said.count("created (server dry run)") == 3


def test_what_plain_manifests_and_kustomize_install_is_the_chart(plane: ControlPlane, tmp_path: Path) -> None:
    built = list(yaml.safe_load_all(plane.kubectl("kustomize", str(ROOT / "deploy"))))
    whole = [document for document in yaml.safe_load_all(manifests.manifests()) if document]

    def named(documents: list[dict[str, Any]]) -> list[tuple[str, str]]:
        return sorted((document["kind"], document["metadata"]["name"]) for document in documents)

    assert named(built) == named(whole)
    (tmp_path / "install.yaml").write_text(manifests.manifests())
    plane.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", str(tmp_path / "install.yaml"))


def test_alerts_are_about_metrics_that_the_operator_has(operator_log: Path) -> None:
    eventually("it to be ready", partial(operators.ready, operator_log))
    served = {name.partition("{")[0] for name in operators.metrics(operator_log)}
    (rules,) = [d for d in operators.chart("metrics.prometheusRule.enabled=true") if d["kind"] == "PrometheusRule"]
    asked = {
        name
        for group in rules["spec"]["groups"]
        for rule in group["rules"]
        for name in re.findall(r"mcpgateway_\w+", rule["expr"])
    }
    assert len(asked) == 3
    assert asked <= served


@pytest.mark.parametrize(
    ("value", "flag"),
    [
        ("replicas=2", "--standby"),
        ("trustedCAs.configMap=authorities", "--ca-file=/etc/mcpgateway/ca/ca.crt"),
        (f"gatewayImage.digest={DIGEST}", f"--gateway-image=ghcr.io/mcpgateway/gateway:0.1.0@{DIGEST}"),
    ],
)
def test_a_value_becomes_a_flag_of_the_operator(value: str, flag: str) -> None:
    def flags(*values: str) -> list[str]:
        (deployment,) = [d for d in operators.chart(*values) if d["kind"] == "Deployment"]
        listed: list[str] = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
        return listed

    assert flag in flags(value)
    assert flag not in flags()
