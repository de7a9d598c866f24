"""Flags → arguments of a tool: whatever a schema has, what is written as flags arrives as it was meant."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgateway_operator.cli.bad_input import BadInputError
from mcpgateway_operator.cli.verbs.arguments import describe, parse_arguments, parse_json

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "timezone": {"type": "string", "description": "IANA name"},
        "max_results": {"type": "integer"},
        "ratio": {"type": "number"},
        "deep": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "numbers": {"type": "array", "items": {"type": "integer"}},
        "where": {"type": "object", "properties": {"city": {"type": "string"}, "zip": {"type": ["integer", "null"]}}},
        "level": {"enum": ["low", "high"]},
        "either": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        "named": {"$ref": "#/$defs/Named"},
        "any": {},
    },
    "required": ["timezone"],
    "$defs": {"Named": {"type": "string", "enum": ["a", "b"]}},
}


@pytest.mark.parametrize(
    ("tokens", "arguments"),
    [
        (["--max-results", "3"], {"max_results": 3}),
        (["--ratio", "1e3"], {"ratio": 1000.0}),
        (["--deep"], {"deep": True}),
        (["--no-deep"], {"deep": False}),
        (["--deep", "false", "--ratio", "-1"], {"deep": False, "ratio": -1}),
        (["--deep=TRUE"], {"deep": True}),
        (["--tags", "a", "--tags", "b,c"], {"tags": ["a", "b,c"]}),
        (["--tags", '["a", "b"]'], {"tags": ["a", "b"]}),
        (["--numbers", "1", "--numbers", "2"], {"numbers": [1, 2]}),
        (["--where.city", "Bern", "--where.zip", "3000"], {"where": {"city": "Bern", "zip": 3000}}),
        (["--where", '{"city": "Bern"}'], {"where": {"city": "Bern"}}),
        (["--where.zip", "null"], {"where": {"zip": None}}),
        (["--level", "low", "--named=b"], {"level": "low", "named": "b"}),
        (["--either", "7"], {"either": 7}),
        (["--either", "seven"], {"either": "seven"}),
        (["--any", "x"], {"any": "x"}),
        (["--any", "[1]"], {"any": [1]}),
    ],
)
def test_flags(tokens: list[str], arguments: dict[str, Any]) -> None:
    assert parse_arguments("t", SCHEMA, ["--timezone", "UTC", *tokens]) == {"timezone": "UTC", **arguments}


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([], "t: --timezone is missing: string, IANA name"),
        (["--timezon", "UTC"], "t: it has no argument --timezon: did you mean 'timezone'?"),
        (["--timezone"], "t: --timezone has no value"),
        (["--timezone", "UTC", "--timezone", "UTC"], "t: --timezone is given twice, and takes one value"),
        (["--timezone", "UTC", "--max-results", "three"], "t: --max_results is 'three': want integer"),
        (["--timezone", "UTC", "--max-results", "1.5"], "t: --max_results is '1.5': want integer"),
        (["--timezone", "UTC", "--numbers", "x"], "t: --numbers is 'x': want integer"),
        (["--timezone", "UTC", "--level", "hig"], "t: --level is 'hig': did you mean 'high'?"),
        (["--timezone", "UTC", "--where.zip", "x"], "t: --where.zip is 'x': want integer"),
        (["--timezone", "UTC", "--where", "x"], "t: --where is 'x': want object"),
        (["--timezone", "UTC", "--ratio", "true"], "t: --ratio is 'true': want number"),
        (["-o", "json"], "t: '-o' is not a flag: arguments are given as --timezone, --max_results, --ratio, --deep; "),
    ],
)  # fmt: skip
def test_wrong_flags_name_the_nearest_right_thing(tokens: list[str], message: str) -> None:
    with pytest.raises(BadInputError) as caught:
        parse_arguments("t", SCHEMA, tokens)
    assert caught.value.messages[0].startswith(message)


NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True)
VALUES = {
    "string": st.text(max_size=30),
    "integer": st.integers(),
    "number": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "array": st.lists(st.integers(), max_size=5),
    "object": st.dictionaries(st.text(max_size=8), st.integers(), max_size=4),
}
PROPERTIES = st.dictionaries(NAMES, st.sampled_from(sorted(VALUES)), max_size=6)


@given(
    PROPERTIES.flatmap(lambda kinds: st.tuples(st.just(kinds), st.fixed_dictionaries({n: VALUES[k] for n, k in kinds.items()})))
)
def test_what_is_written_arrives(drawn: tuple[dict[str, str], dict[str, Any]]) -> None:
    kinds, values = drawn
    schema = {"type": "object", "properties": {name: {"type": kind} for name, kind in kinds.items()}, "required": list(kinds)}
    tokens = [f"--{name}={value if kinds[name] == 'string' else json.dumps(value)}" for name, value in values.items()]
    assert parse_arguments("t", schema, tokens) == values


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v))


KEYWORDS = st.sampled_from(["type", "properties", "required", "$ref", "anyOf", "items", "enum", "$defs"])


@given(st.dictionaries(KEYWORDS, JSON), st.lists(st.text()))
def test_no_schema_of_a_server_breaks_the_command(schema: dict[str, Any], tokens: list[str]) -> None:
    list(describe(schema))
    with contextlib.suppress(BadInputError):
        parse_arguments("t", schema, [f"--{token}" for token in tokens])


@given(st.text() | JSON.map(json.dumps))
def test_json_is_an_object_or_refused(text: str) -> None:
    with contextlib.suppress(BadInputError):
        assert isinstance(parse_json(text), dict)
