"""What the API server refuses, word for word: each rule of the schema once."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.api.conftest import Space
from tests.support.kubectl import KubectlError
from tests.support.paths import ROOT
from tests.support.resources import WRONG, gateway


@pytest.mark.parametrize(("resource", "message"), WRONG)
def test_a_wrong_resource_is_refused_by_name(space: Space, resource: dict[str, Any], message: str) -> None:
    with pytest.raises(KubectlError) as caught:
        space.apply(resource)
    assert message in str(caught.value)


@pytest.mark.parametrize("sample", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_every_sample_is_accepted(space: Space, sample: Any) -> None:
    for document in yaml.safe_load_all(sample.read_text()):
        space.kubectl(
            "-n", space.name, "apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=yaml.safe_dump(document)
        )


def test_kubectl_explain_shows_the_descriptions(space: Space) -> None:
    assert "Which process serves a call." in space.kubectl("explain", "mcpgateway.spec.servers.isolation")
    egress = " ".join(space.kubectl("explain", "mcpgateway.spec.servers.egress.allow").split())
    assert "For a Service of the cluster, select its pods by namespaceSelector and podSelector" in egress


def test_the_scale_subresource_works(space: Space) -> None:
    space.apply(gateway())
    space.kubectl("-n", space.name, "scale", "mcpgateway/demo", "--replicas=3")
    assert space.get("mcpgateway", "demo")["spec"]["replicas"] == 3
