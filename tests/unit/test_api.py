"""The resource's models and the CRD that is made from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from mcpgateway_operator.api import crd, quantities, validation
from tests.support.paths import ROOT


def walk(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, child in node.get("properties", {}).items():
        yield f"{path}.{name}", child
        yield from walk(child, f"{path}.{name}")
    if isinstance(node.get("items"), dict):
        yield from walk(node["items"], f"{path}[]")


def schema(part: str) -> dict[str, Any]:
    definition = crd.custom_resource_definition()
    result: dict[str, Any] = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][part]
    return result


@pytest.mark.parametrize("part", ["spec", "status"])
def test_every_field_is_described(part: str) -> None:
    assert [path for path, node in walk(schema(part)) if not node.get("description")] == []


@pytest.mark.parametrize("part", ["spec", "status"])
def test_no_field_accepts_unknown_content(part: str) -> None:
    for path, node in walk(schema(part), part):
        assert "x-kubernetes-preserve-unknown-fields" not in node, path
        assert node.get("type") or node.get("x-kubernetes-int-or-string"), path
        assert node.get("nullable") is None, path


def test_every_list_map_and_string_of_spec_has_a_maximum() -> None:
    for path, node in walk(schema("spec")):
        if node.get("type") == "array":
            assert "maxItems" in node, path
        elif node.get("type") == "string" and "enum" not in node:
            assert "maxLength" in node, path
        elif "additionalProperties" in node:
            assert "maxProperties" in node, path


def test_the_crd_is_small_enough_for_client_side_apply() -> None:
    assert len(crd.to_yaml()) < 100 << 10


def test_the_committed_crd_is_fresh() -> None:
    assert (ROOT / "crds/mcpgateways.yaml").read_text() == crd.to_yaml()
    assert yaml.safe_load(crd.to_yaml()) == crd.custom_resource_definition()


@pytest.mark.parametrize(("text", "seconds"), [("60s", 60), ("1m30s", 90), ("500ms", 0.5), ("2h", 7200), ("1.5s", 1.5)])
def test_durations(text: str, seconds: float) -> None:
    assert quantities.seconds(text) == seconds


def test_a_bad_spec_names_the_field_and_the_value() -> None:
    with pytest.raises(validation.InvalidSpecError) as caught:
        validation.parse_spec({"mode": "Both", "servers": [{"name": "UP", "image": "x"}]})
    assert "spec.mode is 'Both': want MultiPod or Sidecar" in str(caught.value)
    assert "spec.servers[0].name" in str(caught.value)


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(validation.InvalidSpecError, match=r"spec\.server is not a field: did you mean servers\?"):
        validation.parse_spec({"server": [], "servers": [{"name": "a", "image": "x", "command": ["x"]}]})
