"""Who else judges a gateway by its status: Helm (and Flux) by kstatus, Argo CD by the script of the manual."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from mcpgateway_operator.reconcile import gateway_status
from mcpgateway_operator.reconcile.finding import Finding
from tests.api.conftest import Space
from tests.support import tools
from tests.support.controlplane import ControlPlane
from tests.support.paths import ROOT
from tests.support.resources import gateway
from tests.support.waiting import PATIENCE
from tests.unit.test_status import READY, built

MANUAL = ROOT / "docs" / "operations.md"
NOW = "2026-11-24T00:00:00Z"


def rejected() -> dict[str, Any]:
    return gateway_status.rejection("spec.x is wrong", operator="o", generation=1, previous={}, now=NOW)


READY_STATUS = built(replace(READY, generation=1))
STARTING = built(replace(READY, generation=1, gateway=None, pods=(), reports={}))
STALLED = built(replace(READY, generation=1, failure=Finding("False", "Conflict", "Service x already exists")))


class TestArgo:
    """The script of the manual, by the interpreter that Argo CD has."""

    @pytest.mark.parametrize(
        ("status", "spec", "health"),
        [
            (READY_STATUS, {}, "Healthy"),
            (STARTING, {}, "Progressing"),
            (STALLED, {}, "Degraded"),
            (rejected(), {}, "Degraded"),
            (None, {}, "Progressing"),
            ({**READY_STATUS, "observedGeneration": 0}, {}, "Progressing"),
            (READY_STATUS, {"paused": True}, "Suspended"),
        ],
    )
    def test_health(self, status: dict[str, Any] | None, spec: dict[str, Any], health: str, tmp_path: Path) -> None:
        resource = {**gateway(**spec), "status": status}
        resource["metadata"]["generation"] = 1
        assert self.judged(resource, tmp_path) == health

    def judged(self, resource: dict[str, Any], folder: Path) -> str:
        block = MANUAL.read_text().split("```yaml\n")[1].split("```")[0]
        script = yaml.safe_load(block)["data"]["resource.customizations.health.mcpgateway.dev_MCPGateway"]
        file = folder / "health.lua"
        file.write_text(f"local obj = {lua(resource)}\nlocal function health()\n{script}\nend\nprint(health().status)\n")
        done = subprocess.run([str(tools.module("glua")), str(file)], capture_output=True, text=True, check=True)
        return done.stdout.strip()


def lua(value: Any) -> str:
    """Data as a Lua expression."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"[{json.dumps(k)}] = {lua(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "{" + ", ".join(map(lua, value)) + "}"
    return "nil" if value is None else json.dumps(value)


class TestHelm:
    """`helm install --wait`, whose kstatus is Flux's, too."""

    def test_helm_waits_until_the_gateway_is_ready(self, plane: ControlPlane, space: Space, tmp_path: Path) -> None:
        with install(plane, space, tmp_path, patience="60s") as helm:
            with pytest.raises(subprocess.TimeoutExpired):
                helm.wait(timeout=3)  # there has been no pass yet
            self.write(space, STARTING)
            with pytest.raises(subprocess.TimeoutExpired):
                helm.wait(timeout=3)
            self.write(space, READY_STATUS)
            assert helm.wait(timeout=PATIENCE) == 0

    def test_helm_fails_for_a_stalled_gateway(self, plane: ControlPlane, space: Space, tmp_path: Path) -> None:
        with install(plane, space, tmp_path, patience="8s") as helm:
            self.write(space, rejected())
            assert helm.wait(timeout=PATIENCE) != 0
            assert helm.stderr is not None
            assert "demo" in helm.stderr.read()

    def write(self, space: Space, status: dict[str, Any]) -> None:
        space.kubectl("-n", space.name, "wait", "--for=create", "mcpgateway/demo", "--timeout=30s")
        patch = json.dumps({"status": status})
        space.kubectl("-n", space.name, "patch", "mcpgateway", "demo", "--subresource=status", "--type=merge", "-p", patch)


def install(plane: ControlPlane, space: Space, folder: Path, *, patience: str) -> subprocess.Popen[str]:
    """A chart that holds nothing but a gateway."""
    templates = folder / "chart" / "templates"
    templates.mkdir(parents=True)
    (templates.parent / "Chart.yaml").write_text("apiVersion: v2\nname: mine\nversion: 0.1.0\n")
    (templates / "gateway.yaml").write_text(yaml.safe_dump(gateway()))
    command = [str(tools.module("helm")), "install", "mine", str(templates.parent), "-n", space.name, "--wait"]
    environment = {**os.environ, "KUBECONFIG": str(plane.kubeconfig)}
    return subprocess.Popen(
        [*command, f"--timeout={patience}"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
