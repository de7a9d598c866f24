"""Who else judges a gateway by its status, as docs/waiting.md says: kubectl, Helm and Flux by kstatus, Argo CD by a script."""

from __future__ import annotations

import json
import os
import shlex
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
from tests.unit.test_status import DEPLOYMENT, READY, REPORT, built, row

MANUAL = ROOT / "docs" / "waiting.md"
NOW = "2026-11-24T00:00:00Z"


def rejected() -> dict[str, Any]:
    return gateway_status.rejection("spec.x is wrong", operator="o", generation=1, previous={}, now=NOW)


READY_STATUS = built(replace(READY, generation=1))
STARTING = built(replace(READY, generation=1, gateway=None, pods=(), reports={}))
ROLLING = built(replace(READY, generation=1, gateway=replace(DEPLOYMENT, complete=False)))  # the previous version serves
BROKEN = built(replace(READY, generation=1, gateway=replace(DEPLOYMENT, complete=False, problem="exceeded quota")))
AWAY = built(replace(READY, generation=1, reports={"g1": {**REPORT, "servers": [row("time"), row("git", "Failed")]}}))
SILENT = built(replace(READY, generation=1, reports={}))
STALLED = built(replace(READY, generation=1, failure=Finding("False", "Conflict", "Service x already exists")))


class TestArgo:
    """The script of the manual, by the interpreter that Argo CD has."""

    @pytest.mark.parametrize(
        ("status", "spec", "health"),
        [
            (READY_STATUS, {}, "Healthy"),
            (STARTING, {}, "Progressing"),
            (ROLLING, {}, "Progressing"),
            (SILENT, {}, "Progressing"),
            (BROKEN, {}, "Degraded"),
            (AWAY, {}, "Degraded"),
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


class TestFlux:
    """kstatus, by the library that Flux and Helm use."""

    @pytest.mark.parametrize(
        ("status", "generation", "verdict"),
        [
            (READY_STATUS, 1, "Current"),
            (READY_STATUS, 2, "InProgress"),
            (STARTING, 1, "InProgress"),
            (ROLLING, 1, "InProgress"),
            (SILENT, 1, "InProgress"),
            (AWAY, 1, "InProgress"),
            (BROKEN, 1, "Failed"),
            (STALLED, 1, "Failed"),
            (rejected(), 1, "Failed"),
        ],
    )
    def test_verdict(self, status: dict[str, Any], generation: int, verdict: str) -> None:
        resource = {**gateway(), "status": status}
        resource["metadata"]["generation"] = generation
        judge = subprocess.run([str(tools.kstatus())], input=json.dumps(resource), text=True, capture_output=True, check=True)
        assert judge.stdout.strip() == verdict


class TestKubectl:
    """The commands of the manual, after an edit of a resource that was well."""

    def waits(self) -> dict[str, list[str]]:
        """By condition, the arguments."""
        lines = [line.split(" && ")[0].split() for line in MANUAL.read_text().splitlines() if line.startswith("kubectl wait ")]
        return {line[2].removeprefix("--for=condition="): line[1:] for line in lines}

    def returns(self, space: Space, kind: str, timeout: str = "--timeout=1s") -> bool:
        command = [argument.replace("NAME", "demo") for argument in self.waits()[kind] if not argument.startswith("--timeout")]
        return "condition met" in space.kubectl("-n", space.name, *command, timeout, check=False)

    def test_they_return_for_the_edit_and_not_for_what_was_before(self, space: Space) -> None:
        assert set(self.waits()) == {"Programmed", "Ready", "Stalled"}
        space.apply(gateway())
        write(space, READY_STATUS)
        assert self.returns(space, "Programmed")
        space.apply(gateway(replicas=2))
        assert not self.returns(space, "Programmed"), "no operator has seen the edit yet"
        assert not self.returns(space, "Ready")
        write(space, of_generation(ROLLING, 2))
        assert not self.returns(space, "Programmed")
        assert self.returns(space, "Ready"), "the previous version serves"
        assert not self.returns(space, "Stalled")
        write(space, of_generation(BROKEN, 2))
        assert self.returns(space, "Stalled")
        cause = next(
            line for line in MANUAL.read_text().splitlines() if line.startswith("kubectl get mcpgateway/NAME -o jsonpath")
        )
        words = shlex.split(cause.replace("NAME", "demo"))
        assert "exceeded quota" in space.kubectl("-n", space.name, *words[1:])
        write(space, of_generation(READY_STATUS, 2))
        assert self.returns(space, "Programmed")
        assert self.returns(space, "Ready")


def of_generation(status: dict[str, Any], generation: int) -> dict[str, Any]:
    conditions = [{**condition, "observedGeneration": generation} for condition in status["conditions"]]
    return {**status, "observedGeneration": generation, "conditions": conditions}


def write(space: Space, status: dict[str, Any]) -> None:
    """Write a status, as an operator would: none runs here."""
    space.kubectl("-n", space.name, "wait", "--for=create", "mcpgateway/demo", "--timeout=30s")
    patch = json.dumps({"status": status})
    space.kubectl("-n", space.name, "patch", "mcpgateway", "demo", "--subresource=status", "--type=merge", "-p", patch)


class TestHelm:
    """`helm install --wait`, whose kstatus is Flux's, too."""

    def test_helm_waits_until_the_gateway_is_ready(self, plane: ControlPlane, space: Space, tmp_path: Path) -> None:
        with install(plane, space, tmp_path, patience="60s") as helm:
            with pytest.raises(subprocess.TimeoutExpired):
                helm.wait(timeout=3)  # there has been no pass yet
            write(space, STARTING)
            with pytest.raises(subprocess.TimeoutExpired):
                helm.wait(timeout=3)
            write(space, ROLLING)
            with pytest.raises(subprocess.TimeoutExpired):
                helm.wait(timeout=3)
            write(space, READY_STATUS)
            assert helm.wait(timeout=PATIENCE) == 0

    def test_helm_fails_for_a_stalled_gateway(self, plane: ControlPlane, space: Space, tmp_path: Path) -> None:
        with install(plane, space, tmp_path, patience="8s") as helm:
            write(space, rejected())
            assert helm.wait(timeout=PATIENCE) != 0
            assert helm.stderr is not None
            assert "demo" in helm.stderr.read()


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
