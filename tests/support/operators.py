"""The operator's real process outside of a cluster, with the rights of the chart's own service account and no more."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from . import tools
from .bridges import free_port
from .cluster import CHART, SYSTEM
from .kubectl import Kubectl, eventually
from .processes import end

IMAGE = "ghcr.io/mcpgateway/gateway:test"


def chart(*values: str, namespace: str = SYSTEM) -> list[dict[str, Any]]:
    """The chart's manifests, by a real Helm."""
    helm = [str(tools.module("helm")), "template", "mcpgateway", str(CHART), "--namespace", namespace]
    done = subprocess.run([*helm, *[f"--set={value}" for value in values]], capture_output=True, text=True, check=True)
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def install_rights(kubectl: Kubectl, *values: str, namespace: str = SYSTEM) -> None:
    """The CRD, the service account and its roles: everything of the chart but its Deployment."""
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    kubectl.apply(*[document for document in chart(*values, namespace=namespace) if document["kind"] != "Deployment"])
    eventually("the CRD to be served", lambda: kubectl("get", "mcpgateways", "-A") is not None)


def kubeconfig_for(kubectl: Kubectl, folder: Path, *, account: str = "mcpgateway", namespace: str = SYSTEM) -> Path:
    """A kubeconfig with a token of a service account."""
    admin = yaml.safe_load(kubectl.kubeconfig.read_text())
    token = kubectl("create", "token", account, "-n", namespace, "--duration=2h").strip()
    admin["users"] = [{"name": "admin", "user": {"token": token}}]
    path = folder / f"{account}-{namespace}.kubeconfig"
    path.write_text(yaml.safe_dump(admin))
    return path


@contextlib.contextmanager
def operator(kubeconfig: Path, folder: Path, *flags: str) -> Iterator[Path]:
    """Run it; yields its log. A traceback in the log fails the test."""
    log = folder / f"operator-{free_port()}.log"
    probes = f"--probes=http://127.0.0.1:{free_port()}/healthz"
    command = [sys.executable, "-m", "mcpgateway_operator", f"--gateway-image={IMAGE}", probes, *flags]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env={**os.environ, "KUBECONFIG": str(kubeconfig)}
        )
    try:
        eventually("the operator to start", lambda: "operator started" in log.read_text())
        yield log
    finally:
        end(process, patience=30)
    assert "Traceback" not in log.read_text(), log.read_text()
