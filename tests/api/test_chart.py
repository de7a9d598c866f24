"""The chart, by a real Helm against a real API server."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.support import operators, tools
from tests.support.cluster import CHART
from tests.support.controlplane import ControlPlane


def helm(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [str(tools.module("helm")), *args]
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


def test_installing_prints_the_next_steps_and_the_pod_is_restricted(plane: ControlPlane) -> None:
    namespace = "chart-test"
    labels = {"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"}
    plane.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}})
    values = ("--set=scope=Namespace", "--set=crds.enabled=false")
    done = helm("install", "mine", str(CHART), "-n", namespace, *values, KUBECONFIG=str(plane.kubeconfig))
    assert done.returncode == 0, done.stderr
    assert "kubectl apply -f examples/quickstart.yaml" in done.stdout
    assert "The operator watches only the namespace chart-test." in done.stdout
    assert "would violate PodSecurity" not in done.stderr
    gone = helm("uninstall", "mine", "-n", namespace, "--wait", KUBECONFIG=str(plane.kubeconfig))
    assert gone.returncode == 0, gone.stderr
