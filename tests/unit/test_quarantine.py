"""Sidecar: which servers are held back, and for how long."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mcpgateway_operator.api.spec import Spec
from mcpgateway_operator.api.validation import parse_spec
from mcpgateway_operator.observe.child_state import Container, Pod
from mcpgateway_operator.reconcile import image_pull_quarantine

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def spec(mode: str = "Sidecar", image: str = "bad:1") -> Spec:
    servers = [{"name": "time", "image": "good:1", "command": ["x"]}, {"name": "git", "image": image, "command": ["x"]}]
    return parse_spec({"mode": mode, "auth": {"allowUnauthenticated": True}, "servers": servers})


def pod(reason: str = "ErrImagePull", image: str = "bad:1") -> Pod:
    container = Container("mcp-git", image, running=False, ready=False, reason=reason, message="no such image")
    return Pod("p", "p", "gateway", "", "198.18.0.2", "", terminating=False, ready=False, containers=(container,))


def held(
    *,
    mode: str = "Sidecar",
    image: str = "bad:1",
    pods: list[Pod],
    status: dict[str, Any] | None = None,
    generation: int = 1,
    now: datetime = NOW,
) -> dict[str, image_pull_quarantine.Held]:
    return image_pull_quarantine.held_back(spec(mode, image), pods=pods, status=status or {}, generation=generation, now=now)


def test_a_server_whose_image_cannot_be_pulled_is_quarantined() -> None:
    assert held(pods=[pod()]) == {"git": image_pull_quarantine.Held("ErrImagePull", "no such image", "2026-11-23T12:00:00Z")}


def running(component: str = "gateway", *containers: Container, ready: bool = True) -> Pod:
    server = "git" if component == "server" else ""
    return Pod("q", "q", component, server, "198.18.0.3", "", terminating=False, ready=ready, containers=containers)


OLD = Container("mcp-git", "good:1", running=True, ready=True)


@pytest.mark.parametrize(
    "other", [running("gateway", OLD), running("server", OLD), replace(running("gateway", OLD), terminating=True)]
)
def test_a_server_that_another_pod_runs_is_not_left_out(other: Pod) -> None:
    """Of an earlier version, in either mode; also while that pod is being evicted."""
    assert held(pods=[pod(), other]) == {}


@pytest.mark.parametrize(
    "other",
    [
        running("gateway", Container("mcp-time", "i", running=True, ready=True)),  # it was left out of that one, too
        pod(image="bad:1"),
        replace(running("gateway", OLD, ready=False), terminating=True),
        running("gateway", ready=False),  # a new pod, of which nothing is to be seen yet
    ],
)
def test_a_pod_that_does_not_run_it_keeps_it_from_nothing(other: Pod) -> None:
    assert set(held(pods=[pod(), other])) == {"git"}


def test_a_crashing_server_is_not_quarantined() -> None:
    assert held(pods=[pod("CrashLoopBackOff")]) == {}


def test_multi_pod_mode_has_no_quarantine() -> None:
    assert held(mode="MultiPod", pods=[pod()]) == {}


def test_a_pod_with_the_previous_image_does_not_quarantine_the_new_one() -> None:
    assert held(image="good:2", pods=[pod(image="bad:1")]) == {}


STATUS = {
    "observedGeneration": 1,
    "servers": [
        {
            "name": "git",
            "state": "Quarantined",
            "lastError": {"reason": "ErrImagePull", "message": "no such image", "time": "2026-11-23T12:00:00Z"},
        }
    ],
}


def test_the_stored_status_keeps_the_quarantine_until_the_retry() -> None:
    assert "git" in held(pods=[], status=STATUS, now=NOW + timedelta(minutes=4))
    assert held(pods=[], status=STATUS, now=NOW + timedelta(minutes=5)) == {}


def test_an_edit_of_the_spec_ends_the_quarantine() -> None:
    assert held(pods=[], status=STATUS, generation=2) == {}


def test_the_retry_is_scheduled() -> None:
    quarantined = held(pods=[pod()])
    assert image_pull_quarantine.retry_in(quarantined, NOW + timedelta(minutes=4)) == 60.0
    assert image_pull_quarantine.retry_in({}, NOW) is None
