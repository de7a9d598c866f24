"""Objects of the API server → the small values that are kept of them."""

from __future__ import annotations

from typing import Any

import pytest

from mcpgateway_operator.observe import child_state

ENDED = {"terminated": {"exitCode": 3, "reason": "Error", "message": "no licence"}}


def container(**status: Any) -> child_state.Container:
    state = {"name": "gateway", "state": {"running": {}}, "ready": False, "restartCount": 0, **status}
    body = {
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "ns", "uid": "u"},
        "spec": {},
        "status": {"containerStatuses": [state]},
    }
    (seen,) = child_state.pod(body).containers
    return seen


@pytest.mark.parametrize(
    "now",
    [
        {"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}, "lastState": ENDED},
        {"state": ENDED},  # it has just ended again
        {"state": {"running": {}}, "lastState": ENDED},  # it has just been started again
    ],
)
def test_a_container_that_ends_again_and_again_has_one_reason_all_the_time(now: dict[str, Any]) -> None:
    """Else a status would alternate between stuck and progressing with each restart."""
    seen = container(restartCount=2, **now)
    assert (seen.reason, seen.message) == ("CrashLoopBackOff", "Error, exit code 3: no licence")


@pytest.mark.parametrize(
    "now",
    [
        {"restartCount": 2, "ready": True, "lastState": ENDED},  # it serves
        {"restartCount": 0, "state": ENDED},  # once may be an accident
        {"restartCount": 1, "lastState": {"terminated": {"exitCode": 0}}},
        {"state": {"waiting": {"reason": "PodInitializing"}}},
    ],
)
def test_otherwise_it_has_none(now: dict[str, Any]) -> None:
    assert container(**now).reason == ""


def deployment(**status: int) -> child_state.Owned:
    metadata = {"name": "d", "namespace": "ns", "uid": "u", "generation": 2}
    reported = {"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1, **status}
    return child_state.owned({"kind": "Deployment", "metadata": metadata, "spec": {"replicas": 1}, "status": reported})


@pytest.mark.parametrize(
    ("status", "complete", "outdated"),
    [
        ({}, True, False),
        ({"observedGeneration": 1}, False, True),  # the controller has not seen the newest template
        ({"replicas": 2}, False, True),  # a pod of an older one runs
        ({"availableReplicas": 0}, False, False),  # its only pod is being replaced
    ],
)
def test_a_deployment_is_outdated_while_pods_of_an_older_template_may_run(
    status: dict[str, int], complete: bool, outdated: bool
) -> None:
    seen = deployment(**status)
    assert (seen.complete, seen.outdated) == (complete, outdated)
