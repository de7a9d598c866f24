"""The chart's values, their schema and their README say the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import chart_docs
from tests.support.chart_docs import CHART, Value

VALUES = chart_docs.values((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())


def leaves(schema: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[str]:
    """The dotted paths of all values that a schema knows one by one."""
    if "properties" not in schema:
        yield ".".join(path)
    for name, child in schema.get("properties", {}).items():
        yield from leaves(child, (*path, name))


def test_the_schema_knows_exactly_the_values() -> None:
    described = {value.path for value in VALUES}
    known = {path for path in leaves(SCHEMA) if path != "global"}  # Helm's own
    assert known == {path if path in known else path.rpartition(".")[0] for path in described}


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.path)
def test_every_value_is_described(value: Value) -> None:
    assert value.description.endswith((".", "].")), value.path


def test_comments_above_and_behind_a_key_describe_it() -> None:
    source = "# Of the group.\ngroup:\n  # Above,\n  # in two lines.\n  one: [1, 2]\n\n  two: {a: b}  # Behind.\nthree: x\n"
    assert chart_docs.values(source) == [
        Value("group.one", [1, 2], "Of the group. Above, in two lines."),
        Value("group.two", {"a": "b"}, "Behind."),
        Value("three", "x", ""),
    ]
