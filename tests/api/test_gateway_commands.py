"""The commands about a gateway of a cluster, with a real API server, the operator, and a user's own rights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.api.conftest import Space
from tests.support.commands import Command
from tests.support.controlplane import ControlPlane
from tests.support.locks import free_port


def gateway(name: str, **spec: Any) -> dict[str, Any]:
    tokens = [{"name": "dev", "secretKeyRef": {"name": "mcp-token", "key": "token"}}]
    servers = [{"name": "a", "image": "example.com/a:1", "command": ["a"]}]
    return {
        "apiVersion": "mcpgateway.dev/v1alpha1",
        "kind": "MCPGateway",
        "metadata": {"name": name},
        "spec": {"auth": {"tokens": tokens}, "servers": servers, **spec},
    }


@pytest.fixture
def mcpgw(plane: ControlPlane, tmp_path: Path) -> Command:
    return Command(KUBECONFIG=str(plane.kubeconfig), XDG_STATE_HOME=str(tmp_path))


def test_status_of_a_gateway_without_pods(mcpgw: Command, space: Space, operator_log: Path) -> None:
    """There is no kubelet here: its pods are never ready, and the user is told where to look."""
    space.apply(gateway("web"))
    space.await_condition("web", "Ready", "False", "GatewayNotReady")
    shown = mcpgw("status", "-n", space.name, code=5).out
    assert shown.startswith(f"web (namespace {space.name}, context test)\n")
    assert "GatewayNotReady" in shown
    document = mcpgw("status", "-n", space.name, "-g", "web", "-o", "json", code=5).document
    assert document["status"]["url"] == f"http://web.{space.name}.svc:8811/mcp"
    space.kubectl("-n", space.name, "create", "secret", "generic", "mcp-token", "--from-literal=token=x")
    assert f"run `mcpgw doctor -g web -n {space.name}`" in mcpgw("tools", "-n", space.name, code=3).error


def test_wrong_names_are_answered_by_the_nearest(mcpgw: Command, space: Space) -> None:
    for name in ("web", "api"):
        space.apply(gateway(name))
    place = f"namespace {space.name!r} of context 'test'"
    assert mcpgw("status", "-n", space.name, code=1).error == (
        f"mcpgw: {place} has several MCPGateways: name one with --gateway: api, web"
    )
    assert mcpgw("status", "-n", space.name, "-g", "wep", code=1).error == (
        f"mcpgw: no MCPGateway 'wep' in {place}: did you mean 'web'?"
    )
    assert f"did you mean -g api -n {space.name}?" in mcpgw("status", "-n", "default", "-g", "api", code=1).error
    assert mcpgw("status", "--context", "tets", code=1).error.endswith("no context 'tets': did you mean 'test'?")


def test_a_user_without_rights_is_told_which(mcpgw: Command, plane: ControlPlane, space: Space, tmp_path: Path) -> None:
    space.apply(gateway("web"))
    space.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "guest"}})
    token = space.kubectl("-n", space.name, "create", "token", "guest").strip()
    content = yaml.safe_load(plane.kubeconfig.read_text())
    content["users"][0]["user"] = {"token": token}
    (tmp_path / "guest").write_text(yaml.safe_dump(content))
    error = mcpgw("status", "-n", space.name, "--kubeconfig", str(tmp_path / "guest"), code=3).error
    assert 'cannot list resource "mcpgateways"' in error
    content["users"][0]["user"] = {"token": "wrong"}
    (tmp_path / "guest").write_text(yaml.safe_dump(content))
    error = mcpgw("status", "-n", space.name, "--kubeconfig", str(tmp_path / "guest"), code=3).error
    assert error == "mcpgw: the cluster does not accept the credentials of context 'test': log in again, or use --context"


def test_a_cluster_that_does_not_answer(mcpgw: Command, plane: ControlPlane, tmp_path: Path) -> None:
    content = yaml.safe_load(plane.kubeconfig.read_text())
    content["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{free_port()}"
    (tmp_path / "away").write_text(yaml.safe_dump(content))
    error = mcpgw("status", "--kubeconfig", str(tmp_path / "away"), code=3).error
    assert error.startswith("mcpgw: no API server answers at https://127.0.0.1:")
    del content["clusters"][0]["cluster"]["insecure-skip-tls-verify"]
    content["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{plane.addresses.api}"
    (tmp_path / "away").write_text(yaml.safe_dump(content))
    assert (
        "has a certificate that context 'test' does not trust"
        in mcpgw("status", "--kubeconfig", str(tmp_path / "away"), code=3).error
    )


BROKEN: dict[str, tuple[dict[str, Any], str, str]] = {  # name → spec, reason, command
    "no-secret": ({}, "does not exist", "create secret generic mcp-token --from-literal=token=VALUE"),
    "no-key": (
        {"auth": {"tokens": [{"name": "a", "secretKeyRef": {"name": "given", "key": "tok"}}]}},
        "'tok'",
        "create secret generic",
    ),
    "paused": ({"paused": True}, "Paused", 'patch mcpgateway paused --type=merge -p \'{"spec":{"paused":false}}\''),
    "zero": ({"replicas": 0}, "ScaledToZero", "scale mcpgateway zero --replicas=1"),
    "conflict": ({}, "Conflict", "get deployments,services,configmaps,networkpolicies"),
    "no-api": ({"ingress": {"host": "a.example.com"}}, "APIDisabled", "--set optionalAPIs.ingress=true"),
    "no-pods": ({}, "GatewayNotReady", "describe pods -l app.kubernetes.io/instance=no-pods,app.kubernetes.io/component=gateway"),
}
WITHOUT_TOKEN = ("no-secret", "no-key")


def test_the_doctor_names_the_cause_and_the_command(mcpgw: Command, space: Space, operator_log: Path) -> None:
    """Gateways that are broken in ways for which no kubelet is needed."""
    given = {"tokens": [{"name": "a", "secretKeyRef": {"name": "given", "key": "token"}}]}
    space.kubectl("-n", space.name, "create", "secret", "generic", "given", "--from-literal=token=x")
    space.kubectl("-n", space.name, "create", "configmap", "conflict-config")
    for name, (spec, _, _) in BROKEN.items():
        space.apply(gateway(name, **({} if name in WITHOUT_TOKEN else {"auth": given}), **spec))
    for name in BROKEN:
        space.await_condition(
            name, "Ready", "False", "ScaledToZero" if name == "zero" else "Conflict" if name == "conflict" else "GatewayNotReady"
        )
        report = mcpgw("doctor", "-n", space.name, "-g", name, "-o", "json", code=5).document
        _, words, command = BROKEN[name]
        texts = [(finding["sentence"], finding["command"]) for finding in report["findings"]]
        first = texts[0] if name in WITHOUT_TOKEN else next(pair for pair in texts if words in pair[0])
        assert (words in first[0], command in first[1]) == (True, True), (name, texts)


def test_tokens_are_created_rotated_and_revoked(mcpgw: Command, space: Space) -> None:
    space.apply(gateway("web"))
    where = ("-n", space.name)

    def names() -> list[str]:
        return [token["name"] for token in space.get("mcpgateway", "web")["spec"]["auth"]["tokens"]]

    created = mcpgw("token", "create", "ci", *where).out.strip()
    assert mcpgw("token", "show", "ci", *where).out.strip() == created
    rotated = mcpgw("token", "rotate", "ci", *where, "-o", "json").document
    assert (rotated["name"], names()) == ("ci-r2", ["dev", "ci", "ci-r2"])
    assert rotated["token"] != created
    mcpgw("token", "revoke", "ci", *where)
    mcpgw("token", "revoke", "dev", *where)
    assert names() == ["ci-r2"]
    secrets = space.kubectl("-n", space.name, "get", "secrets", "-o", "name").split()
    assert [name for name in secrets if "-token-" in name] == ["secret/web-token-ci-r2"]  # the others are the operator's keys
    assert mcpgw("token", "rotate", "ci-r2", *where, "-o", "json").document["name"] == "ci-r3"
    mcpgw("token", "revoke", "ci-r3", *where)
    assert "is the only token of 'web'" in mcpgw("token", "revoke", "ci-r2", *where, code=1).error
    assert "want lower-case letters" in mcpgw("token", "create", "C I", *where, code=1).error
    assert "'mcp-token' of spec.auth.tokens does not exist" not in mcpgw("token", "list", *where).out
