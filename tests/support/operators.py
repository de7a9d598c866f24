"""The operator's real process outside of a cluster, with the rights of the chart's own service account and no more."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import yaml

from . import tools
from .cluster import CHART, SYSTEM
from .controlplane import ControlPlane
from .kubectl import Kubectl, eventually
from .locks import free_port
from .metrics import samples
from .processes import end
from .waiting import PATIENCE

IMAGE = "ghcr.io/mcpgateway/gateway:test"


def chart(*values: str, namespace: str = SYSTEM) -> list[dict[str, Any]]:
    """The chart's manifests, by a real Helm."""
    helm = [str(tools.module("helm")), "template", "mcpgateway", str(CHART), "--namespace", namespace, "--skip-tests"]
    done = subprocess.run([*helm, *[f"--set={value}" for value in values]], capture_output=True, text=True, check=True)
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def install_rights(kubectl: Kubectl, *values: str, namespace: str = SYSTEM) -> None:
    """The CRD, the service account and its roles: everything of the chart but its Deployment and its Job."""
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    rights = [document for document in chart(*values, namespace=namespace) if document["kind"] not in ("Deployment", "Job")]
    kubectl.apply(*rights)
    eventually("the CRD to be served", lambda: kubectl("get", "mcpgateways", "-A") is not None)


@contextlib.contextmanager
def control_plane(folder: Path, *values: str) -> Iterator[ControlPlane]:
    """A control plane with everything of the chart but its Deployment, for as long as it is used. Raises: CannotRunError."""
    plane = ControlPlane(folder)
    try:
        plane.start()
        install_rights(plane.kubectl, *values)
        yield plane
    finally:
        plane.stop()


EVERY_OPTION = "optionalAPIs.ingress=true", "optionalAPIs.httpRoute=true", "optionalAPIs.serviceMonitor=true"
GATEWAY_API = "sigs.k8s.io/gateway-api@v1.6.3", "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"
SERVICE_MONITOR = (
    "github.com/prometheus-operator/prometheus-operator@v0.85.0",
    "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
)
PROMETHEUS_RULE = SERVICE_MONITOR[0], "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml"


def install_crd(kubectl: Kubectl, source: tuple[str, str]) -> None:
    """Another project's CRD, from its Go module."""
    module, file = source
    kubectl("apply", "--server-side", "-f", str(tools.sources(module) / file))


def kubeconfig_for(kubectl: Kubectl, folder: Path, *, account: str = "mcpgateway", namespace: str = SYSTEM) -> Path:
    """A kubeconfig with a token of a service account."""
    admin = yaml.safe_load(kubectl.kubeconfig.read_text())
    token = kubectl("create", "token", account, "-n", namespace, "--duration=2h").strip()
    admin["users"] = [{"name": "admin", "user": {"token": token}}]
    path = folder / f"{account}-{namespace}.kubeconfig"
    path.write_text(yaml.safe_dump(admin))
    return path


_running: dict[Path, subprocess.Popen[bytes]] = {}
_probes: dict[Path, str] = {}


@contextlib.contextmanager
def operator(
    kubeconfig: Path, folder: Path, *flags: str, env: dict[str, str] | None = None, module: str = "mcpgateway_operator"
) -> Iterator[Path]:
    """Run it; yields its log. A traceback in the log fails the test, and so does a line that is no JSON object."""
    log = folder / f"operator-{free_port()}.log"
    probes = f"--probes=http://127.0.0.1:{free_port()}/healthz"
    command = [sys.executable, "-m", module, f"--gateway-image={IMAGE}", probes, *flags]
    world = {**os.environ, "KUBECONFIG": str(kubeconfig), **(env or {})}
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=world)
    _running[log] = process
    _probes[log] = probes.removeprefix("--probes=")
    try:
        eventually("the operator to start", lambda: "operator started" in log.read_text() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield log
    finally:
        stop(log)
    assert "Traceback" not in log.read_text(), log.read_text()
    assert not [line for line in log.read_text().splitlines() if not isinstance(json.loads(line), dict)]


def give_up(kubeconfig: Path, *flags: str) -> None:
    """What the chart's Job does before an operator with these flags is uninstalled."""
    command = [sys.executable, "-m", "mcpgateway_operator", f"--gateway-image={IMAGE}", *flags, "--give-up"]
    subprocess.run(command, check=True, timeout=PATIENCE, env={**os.environ, "KUBECONFIG": str(kubeconfig)})


def stop(log: Path) -> None:
    """End the operator that writes this log."""
    if log in _running:
        end(_running.pop(log), patience=30)


def ready(log: Path) -> bool:
    """Whether the operator that writes this log says that it can act."""
    return readiness(log)[0] == 200


def readiness(log: Path) -> tuple[int, str]:
    """What the operator that writes this log answers a kubelet that asks whether it is ready; 0 while it does not answer."""
    with contextlib.suppress(httpx2.TransportError):
        answer = httpx2.get(probes(log).replace("/healthz", "/readyz"))
        return answer.status_code, answer.text
    return 0, ""


def metrics(log: Path) -> dict[str, float]:
    """What the operator that writes this log has counted."""
    return samples(httpx2.get(probes(log).replace("/healthz", "/metrics"), timeout=PATIENCE).text)


def pid(log: Path) -> int:
    """Of the operator that writes this log."""
    return _running[log].pid


def kill(log: Path) -> None:
    """End it as an out-of-memory killer does."""
    process = _running.pop(log)
    process.kill()
    process.wait()


def probes(log: Path) -> str:
    """Where the operator that writes this log answers a kubelet."""
    return _probes[log]
