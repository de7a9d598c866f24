"""The wiring to kopf: what is watched, and with which filter on the server's side."""

from __future__ import annotations

import kopf
import pytest

from mcpgateway_operator.kube import watches
from mcpgateway_operator.observe import kinds
from mcpgateway_operator.render import naming


def resource(group: str, version: str, plural: str) -> kopf.Resource:
    return kopf.Resource(group=group, version=version, plural=plural, namespaced=True)


@pytest.mark.parametrize(
    "watched",
    [
        ("apps", "v1", "deployments"),
        ("", "v1", "services"),
        ("", "v1", "configmaps"),
        ("", "v1", "pods"),
        ("", "v1", "persistentvolumeclaims"),
        ("networking.k8s.io", "v1", "networkpolicies"),
        ("gateway.networking.k8s.io", "v1", "httproutes"),
    ],
)
def test_only_managed_objects_are_watched(watched: tuple[str, str, str]) -> None:
    result = watches.settings(kinds.CHILDREN, request_timeout=30).watching.label_selectors.collect(resource(*watched))
    assert result == [f"{naming.MANAGED_BY}={naming.MANAGER}"]


def test_gateways_are_watched_whole() -> None:
    watched = resource("mcpgateway.dev", "v1alpha1", "mcpgateways")
    assert watches.settings(kinds.CHILDREN, request_timeout=30).watching.label_selectors.collect(watched) == []


def test_kopf_writes_nothing() -> None:
    chosen = watches.settings(kinds.CHILDREN, request_timeout=30)
    assert (chosen.posting.enabled, chosen.peering.standalone, chosen.scanning.disabled) == (False, True, True)
    assert chosen.persistence.finalizer.startswith("mcpgateway.dev/")
