"""A new version of the operator over the gateways of the previous one."""

from __future__ import annotations

import json
from pathlib import Path

from tests.api.conftest import Space
from tests.support import operators
from tests.support.controlplane import ControlPlane
from tests.support.kubectl import eventually
from tests.support.resources import gateway


def test_an_operator_upgrade_rolls_a_few_gateways_at_a_time(plane: ControlPlane, tmp_path: Path) -> None:
    """No kubelet here: whoever has its turn keeps it. An edit does not wait, and who is deleted makes room."""
    namespace, names = "upgraded", {f"g{number}" for number in range(5)}
    operators.install_rights(plane.kubectl, "scope=Namespace", "crds.enabled=false", namespace=namespace)
    kubeconfig = operators.kubeconfig_for(plane.kubectl, tmp_path, namespace=namespace)
    space = Space(plane.kubectl, namespace)
    with operators.operator(kubeconfig, tmp_path, f"--namespace={namespace}"):
        for name in names:
            space.apply(gateway(name))
        for name in names:
            space.await_condition(name, "Ready", "False", "GatewayNotReady")
    newer = "--gateway-image=ghcr.io/mcpgateway/gateway:newer"
    with operators.operator(kubeconfig, tmp_path, f"--namespace={namespace}", newer, "--max-concurrent-rollouts=2"):
        queued = set(eventually("three to wait", lambda: result if len(result := _queued(space, names)) == 3 else None))
        assert _rolled(space, names) == names - queued
        edited, deleted = min(queued), min(names - queued)
        reported = space.condition(edited, "Programmed")
        assert reported["message"] == "an operator upgrade rolls 2 gateways at a time; this one waits"
        edit = {"spec": {"podLabels": {"edited": "yes"}}}
        space.kubectl("-n", namespace, "patch", "mcpgateway", edited, "--type=merge", "-p", json.dumps(edit))
        eventually("the edited gateway", lambda: edited in _rolled(space, names))
        assert _queued(space, names) == queued - {edited}
        space.delete("mcpgateway", deleted)
        eventually("another gateway's turn", lambda: len(_queued(space, names - {deleted})) == 1)
        eventually("it to be rolled", lambda: len(_rolled(space, names - {deleted})) == 3)
    space.delete("mcpgateways", "--all")


def _queued(space: Space, names: set[str]) -> set[str]:
    return {name for name in names if space.condition(name, "Programmed")["reason"] == "RolloutQueued"}


def _rolled(space: Space, names: set[str]) -> set[str]:
    """Whose both Deployments are of the newer image."""
    result = space.get("deployments")["items"]
    old = {
        each["metadata"]["labels"]["app.kubernetes.io/instance"] for each in result if ":newer" not in json.dumps(each["spec"])
    }
    return names - old
