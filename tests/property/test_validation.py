"""Validation of changed documents: our own words, a path that exists, and the same verdict as the models'."""

from __future__ import annotations

import copy
import re
from typing import Any

import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mcpgateway_operator.api import crd
from mcpgateway_operator.api.field_error import FieldError
from mcpgateway_operator.api.pitfalls import pitfalls
from mcpgateway_operator.api.spec import Spec
from mcpgateway_operator.api.validation import InvalidSpecError, parse_spec, spec_errors
from tests.support.paths import ROOT

# What pydantic says, by kind of error. Source: docs.pydantic.dev, "Validation Errors".
PYDANTIC = re.compile(
    r"Input should|Extra inputs|Field required|valid (tuple|dictionary|string|integer|boolean|list)|at (least|most) \d+ item \w"
    r"|should have at|String should|Value error|validation error|\[type=|pydantic|unable to parse|literal_error|instance of",
)
SCHEMA = crd.annotated(Spec)
SAMPLES = [
    document["spec"]
    for file in [*sorted((ROOT / "examples").glob("*.yaml")), *sorted((ROOT / "tests" / "golden").glob("*/in*.yaml"))]
    for document in yaml.safe_load_all(file.read_text())
    if document and document.get("kind") == "MCPGateway"
]
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(
        ["npx -y server", "8811", "true", "60", "${input:key}", "NEEDS-IMAGE", "a=b", "", " ", "x" * 5000, "ghp_" + "a1" * 18]
    ),
)
FIELDS = ["cwd", "type", "disabled", "env_from", "Command", "name", "value", "servers", "mcpServers", "x y", "secretKeyRef"]
values = st.recursive(
    scalars,
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=4), children, max_size=3)
    ),
    max_leaves=6,
)


def places(value: Any, *path: Any) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for step, child in children for place in places(child, *path, step))]


def reached(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


@st.composite
def changed(draw: st.DrawFn) -> Any:
    """A sample with a few of its parts replaced, removed, renamed, doubled, put into a list, or written as a text."""
    spec = {"spec": copy.deepcopy(draw(st.sampled_from(SAMPLES)))}
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(places(spec)[1:]))
        parent, last = reached(spec, path[:-1]), path[-1]
        change = draw(st.sampled_from(["replace", "replace", "remove", "rename", "add", "double", "list", "text"]))
        if change == "replace":
            parent[last] = draw(values)
        elif change == "remove":
            del parent[last]
            if not spec:
                spec["spec"] = draw(values)
        elif change == "rename" and isinstance(parent, dict) and len(path) > 1:
            parent[draw(st.sampled_from(FIELDS))] = parent.pop(last)
        elif change == "add" and isinstance(parent[last], dict):
            parent[last][draw(st.sampled_from(FIELDS) | st.text(max_size=4) | st.integers())] = draw(values)
        elif change == "double" and isinstance(parent[last], list):
            parent[last] = copy.deepcopy(parent[last]) * 2
        elif change == "list":
            parent[last] = [parent[last]]
        elif change == "text":
            parent[last] = str(parent[last])
    return spec["spec"]


def names_a_place(error: FieldError, raw: Any) -> bool:
    """Whether the path of an error is one of the document, or of the schema."""
    document, schema = {"spec": raw}, {"properties": {"spec": SCHEMA}}
    value: Any = document
    node: Any = schema
    for step in error.path:
        inside = (isinstance(value, dict) and step in value) or (
            isinstance(value, list) and isinstance(step, int) and step < len(value)
        )
        value = value[step] if inside else None
        if node is not None:
            node = (
                node.get("items")
                if isinstance(step, int)
                else node.get("properties", {}).get(step, node.get("additionalProperties"))
            )
        if not inside and node is None:
            return False
    return True


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(changed())
@example([])
@example(None)
@example({"servers": {"time": {"command": "npx", "args": "-y x", "env": {"A": "b"}}}})
def test_every_error_names_a_place_in_our_own_words(raw: Any) -> None:
    """And a document without errors is one that the models take: they never have the last word."""
    errors = spec_errors(raw)
    for error in [*errors, *pitfalls(raw)]:
        assert names_a_place(error, raw), error
        assert not PYDANTIC.search(error.text), error
        assert "\n" not in error.text.strip()
        assert len(error.text) < 600
    try:
        parse_spec(raw)
    except InvalidSpecError as error:
        refused = list(error.errors)
    else:
        return
    assert refused == errors


def test_every_pattern_of_the_schema_has_words() -> None:
    def wordless(node: Any, path: str) -> list[str]:
        if not isinstance(node, dict):
            return []
        ours = [path] if "pattern" in node and "x-wanted" not in node else []
        return ours + [hit for name, child in node.items() for hit in wordless(child, f"{path}.{name}")]

    assert wordless(SCHEMA, "spec") == []
