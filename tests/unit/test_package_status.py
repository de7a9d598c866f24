"""What the termination message of an installer becomes: a server's error, a quarantine, or the integrity in its status."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mcpgateway_operator.api.spec import Spec
from mcpgateway_operator.api.validation import parse_spec
from mcpgateway_operator.observe import child_state
from mcpgateway_operator.observe.child_state import Pod
from mcpgateway_operator.reconcile import image_pull_quarantine
from mcpgateway_operator.reconcile.observation import Observation
from mcpgateway_operator.reconcile.server_status import server_status

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
INSTALLER = "install-package-time"


def spec(mode: str = "MultiPod", version: str = "1.0") -> Spec:
    servers = [{"name": "time", "package": {"pypi": "t", "version": version}}]
    return parse_spec({"mode": mode, "auth": {"allowUnauthenticated": True}, "servers": servers})


def pod(state: dict[str, Any], last: dict[str, Any] | None = None, *, component: str = "server", version: str = "1.0") -> Pod:
    """A pod as the kubelet reports it."""
    package = spec(version=version).servers[0].package
    assert package is not None
    labels = {"app.kubernetes.io/component": component, "mcpgateway.dev/server": "time"}
    status = {"name": INSTALLER, "image": "runner:1", "ready": False, "state": state, "lastState": last or {}}
    return child_state.pod(
        {
            "metadata": {"name": "p", "uid": "p", "labels": labels},
            "spec": {"initContainers": [{"name": INSTALLER, "args": ["package", f"/mcp-package/{package.key}"]}]},
            "status": {"initContainerStatuses": [status]},
        }
    )


def terminated(code: int, message: str, reason: str = "Error") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "message": message, "reason": reason}}


FAILED = terminated(1, "VersionNotFound: PyPI package t==1.0: there is no such version")


@pytest.mark.parametrize(
    ("state", "last"),
    [
        (FAILED, None),
        ({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}, FAILED),
        ({"running": {}}, FAILED),
    ],
    ids=["failed", "waiting", "trying again"],
)
def test_the_installers_words_are_the_servers_error(state: dict[str, Any], last: dict[str, Any] | None) -> None:
    row = rowed(pod(state, last))
    assert row["lastError"] | {"time": ""} == {
        "reason": "VersionNotFound",
        "message": "PyPI package t==1.0: there is no such version",
        "time": "",
    }
    assert (row["state"], row["package"]) == ("Failed", {"name": "pypi:t", "version": "1.0"})


def test_an_installer_that_was_killed_has_the_kubelets_reason() -> None:
    error = rowed(pod(terminated(137, "", "OOMKilled")))["lastError"]
    assert error["reason"] == "InstallFailed"
    assert error["message"].startswith("OOMKilled, exit code 137")


def test_the_integrity_of_what_is_installed_is_in_the_status_and_stays_while_the_pods_are_away() -> None:
    row = rowed(pod(terminated(0, "sha256:ab", "Completed")))
    assert row["package"] == {"name": "pypi:t", "version": "1.0", "integrity": "sha256:ab"}
    assert rowed(previous=row)["package"] == row["package"]
    assert "integrity" not in rowed(previous=row, version="2.0")["package"]


def test_in_sidecar_mode_a_failed_installation_quarantines_its_server_until_the_package_is_another() -> None:
    failing = pod(FAILED, component="gateway")
    held = image_pull_quarantine.held_back(spec("Sidecar"), pods=[failing], status={}, generation=1, now=NOW)
    assert held["time"].reason == "VersionNotFound"
    assert image_pull_quarantine.held_back(spec("Sidecar", "2.0"), pods=[failing], status={}, generation=2, now=NOW) == {}


def rowed(*pods: Pod, previous: dict[str, Any] | None = None, version: str = "1.0") -> dict[str, Any]:
    wanted = spec(version=version)
    seen = Observation(operator="o", name="g", namespace="n", generation=1, spec=wanted, config_digest="", pods=pods)
    return server_status(wanted.servers[0], seen, [], previous=previous or {}, now="2026-11-28T12:00:00Z")
