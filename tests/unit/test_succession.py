"""How a new version of a gateway takes over from the previous one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mcpgateway_operator.reconcile import succession
from tests.unit.test_status import DEPLOYMENT, REPORT, SPEC, pod, row


def report(**states: str) -> dict[str, object]:
    return {**REPORT, "servers": [row(name, state) for name, state in states.items()]}


@pytest.mark.parametrize("state", ["Ready", "Unresponsive", "Degraded", "Restarting"])
def test_a_server_that_is_reached_is_awaited(state: str) -> None:
    assert succession.served(SPEC, [pod()], {"g1": report(time=state, git="Failed")}) == ("time",)


def test_one_that_is_removed_or_new_is_not() -> None:
    assert succession.served(SPEC, [pod()], {"g1": report(removed="Ready")}) == ()


def test_all_are_awaited_before_the_reports_are_known() -> None:
    """As after a restart of the operator: what serves must not end because nothing is known of it."""
    assert succession.served(SPEC, [pod()], None) == ("git", "time")


@pytest.mark.parametrize("gone", [pod(ready=False), pod(terminating=True), pod(component="server")])
def test_none_is_awaited_while_no_gateway_serves(gone: object) -> None:
    assert succession.served(SPEC, [gone], None) == ()  # type: ignore[list-item]


def test_it_begins_with_a_change_of_an_existing_deployment() -> None:
    manifest = {"kind": "Deployment", "metadata": {"name": "gw"}}
    existing = {("Deployment", "gw"): DEPLOYMENT}
    assert succession.begins([manifest], existing, gateway="gw")
    assert not succession.begins([manifest], {}, gateway="gw")
    assert not succession.begins([], existing, gateway="gw")


def test_it_is_over_when_the_last_pod_of_the_previous_version_has_gone() -> None:
    assert succession.over(DEPLOYMENT, [pod()])
    assert not succession.over(DEPLOYMENT, [pod(), pod("old", terminating=True)]), "it may still finish calls"
    assert not succession.over(replace(DEPLOYMENT, complete=False), [pod()])
    assert not succession.over(None, [])
