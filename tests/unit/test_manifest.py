"""Manifests are read as PyYAML would read them, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mcpgateway_operator.render import yaml_text
from mcpgateway_operator.render.templating import encode

GOLDEN = sorted((Path(__file__).parent.parent / "golden").glob("*/out.yaml"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.parent.name)
def test_golden_manifests_are_read_in_the_same_way(file: Path) -> None:
    for text in file.read_text().split("\n---\n"):
        assert yaml_text.load(text) == yaml.safe_load(text)


@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=4))
def test_encoded_values_are_read_back_unchanged(values: dict[str, Any]) -> None:
    text = f"spec: {encode(values)}\n"
    assert yaml_text.load(text) == yaml.safe_load(text) == {"spec": values}


@pytest.mark.parametrize("text", ["mode: 0644", "on: yes", "when: 2026-11-27", "a: !!binary aGk=", "<<: {a: 1}", ""])
def test_unsupported_yaml_is_an_error(text: str) -> None:
    with pytest.raises((KeyError, ValueError)):
        yaml_text.load(text)


def test_invalid_yaml_is_an_error() -> None:
    with pytest.raises(yaml.YAMLError):
        yaml_text.load("a: [")
