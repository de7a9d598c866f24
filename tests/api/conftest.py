"""A real kube-apiserver with the operator's process as the chart's service account."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import operators, tools
from tests.support.apiproxy import ApiProxy
from tests.support.controlplane import ControlPlane
from tests.support.kubectl import Kubectl, condition, eventually
from tests.support.waiting import PATIENCE

_numbers = itertools.count()
KINDS = (
    "configmaps,services,deployments,networkpolicies,secrets,persistentvolumeclaims,poddisruptionbudgets,horizontalpodautoscalers"
)
EVERY_API = "--api=ingress", "--api=httpRoute", "--api=serviceMonitor"


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    try:
        with operators.control_plane(tmp_path_factory.mktemp("plane"), *operators.EVERY_OPTION) as running:
            yield running
    except tools.CannotRunError as error:
        tools.cannot_run("api", error)


@pytest.fixture(scope="session")
def operator_kubeconfig(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return operators.kubeconfig_for(plane.kubectl, tmp_path_factory.mktemp("account"))


@pytest.fixture(scope="module")
def operator_log(operator_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with operators.operator(operator_kubeconfig, tmp_path_factory.mktemp("operator")) as log:
        yield log


@pytest.fixture
def proxy(plane: ControlPlane) -> Iterator[ApiProxy]:
    with ApiProxy(plane).serving() as running:
        yield running


@pytest.fixture
def through(proxy: ApiProxy, operator_kubeconfig: Path, tmp_path: Path) -> Path:
    """The operator's kubeconfig, through the proxy."""
    return proxy.kubeconfig(operator_kubeconfig, tmp_path)


@dataclass
class Space:
    """A namespace of one test."""

    kubectl: Kubectl
    name: str

    def apply(self, resource: dict[str, Any]) -> None:
        self.kubectl.apply(resource, namespace=self.name)

    def get(self, *args: str) -> Any:
        return self.kubectl.get("-n", self.name, *args)

    def find(self, *args: str) -> Any:
        return self.kubectl.find("-n", self.name, *args)

    def delete(self, *args: str) -> None:
        self.kubectl("-n", self.name, "delete", "--wait=false", *args)

    def owned(self, kinds: str = KINDS) -> dict[str, Any]:
        """Our objects by kind and name."""
        items = self.get(kinds, "-l", "app.kubernetes.io/managed-by=mcpgateway-operator")["items"]
        return {f"{item['kind']}/{item['metadata']['name']}": item for item in items}

    def report_ready(self, name: str) -> None:
        """Report a gateway's own pods as ready, which is a kubelet's part: no kubelet runs here, the other controllers do."""
        selector = f"app.kubernetes.io/instance={name},app.kubernetes.io/component=gateway"
        ready = '{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}'
        for pod in self.kubectl("-n", self.name, "get", "pods", "-l", selector, "-o", "name").split():
            patch = ("patch", pod, "--subresource=status", "--type=merge", "-p", ready)
            self.kubectl("-n", self.name, *patch, check=False)  # it may be gone

    def condition(self, name: str, kind: str) -> dict[str, Any]:
        return condition(self.get("mcpgateway", name), kind)

    def await_condition(self, name: str, kind: str, status: str, reason: str, timeout: float = PATIENCE) -> dict[str, Any]:
        def look() -> Any:
            result = self.condition(name, kind)
            return result if (result.get("status"), result.get("reason")) == (status, reason) else None

        result: dict[str, Any] = eventually(f"{kind}={status}/{reason} of {name}", look, timeout=timeout)
        return result


@pytest.fixture
def space(plane: ControlPlane) -> Space:
    name = f"test-{next(_numbers)}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    plane.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    return Space(plane.kubectl, name)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """On failure show what the cluster knew."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    space = getattr(item, "funcargs", {}).get("space")
    log = getattr(item, "funcargs", {}).get("operator_log")
    if report.when == "call" and report.failed and isinstance(space, Space):
        kinds = "mcpgateways,deployments,replicasets,pods,services,configmaps"
        report.sections.append(("resources", space.kubectl("-n", space.name, "get", kinds, "-o", "wide", check=False)))
        report.sections.append(("resource", space.kubectl("-n", space.name, "get", "mcpgateways", "-o", "yaml", check=False)))
        report.sections.append(("events", space.kubectl("-n", space.name, "get", "events", check=False)))
    if report.when == "call" and report.failed and log is not None:
        report.sections.append(("operator", log.read_text()[-6000:]))
