"""The comparison of what a client reports directly and through the gateway: it finds every difference that is planted."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.reports import differences, values

DIRECT: dict[str, Any] = {
    "version": "2025-11-25",
    "tools": [{"name": "echo", "inputSchema": {"type": "object", "required": []}}, {"name": "add", "_meta": {"n": 1}}],
    "prompts": [{"name": "greet", "arguments": [{"name": "whom", "required": True}]}],
    "resources": [{"uri": "a://b", "size": 3}],
    "templates": [{"uriTemplate": "a://{b}"}],
    "called": [{"content": [{"type": "text", "text": "1"}], "isError": False}, {"error": {"code": -32602}}],
    "progress": [[{"progress": 1}, {"progress": 2}], []],
    "got": [],
    "read": [{"contents": [{"uri": "a://b", "text": ""}]}],
    "logs": [{"level": "info", "data": None}],
}


def through() -> dict[str, Any]:
    """The same report, as the gateway gives it: other names, in another order."""
    report = copy.deepcopy(DIRECT)
    for kind in ("tools", "prompts"):
        report[kind] = [{**item, "name": f"s_{item['name']}"} for item in reversed(report[kind])]
    return report | {"version": "2025-03-26", "progress": [list(reversed(steps)) for steps in report["progress"]]}


def at(report: Any, path: str) -> tuple[Any, Any]:
    """The container of a value, and its key in it."""
    *way, last = (int(step) if step.isdigit() else step for step in path.split("."))
    for step in way:
        report = report[step]
    return report, last


KEYS = ("version", "tools.0.name", "tools.1.name", "prompts.0.name", "resources.0.uri", "templates.0.uriTemplate")
PATHS = [path for path, _ in values(through()) if path not in KEYS]


def test_prefixes_and_order_are_no_differences() -> None:
    assert differences(DIRECT, through(), server="s") == []


@pytest.mark.parametrize("path", PATHS)
def test_every_value_that_is_changed_or_missing_is_found(path: str) -> None:
    for deleted in (False, True):
        report = through()
        where, key = at(report, path)
        if deleted:
            del where[key]
        else:
            where[key] = "changed"
        assert differences(DIRECT, report, server="s"), path


SCALARS = [path for path, value in values(through()) if path in PATHS and not isinstance(value, list | dict)]


@given(
    st.sampled_from([path for path in SCALARS if "name" not in path and "uri" not in path]),
    st.text() | st.integers() | st.booleans(),
)
def test_every_other_value_is_found(path: str, value: Any) -> None:
    report = through()
    where, key = at(report, path)
    same = where[key] == value and isinstance(where[key], bool) == isinstance(value, bool)
    where[key] = value
    assert bool(differences(DIRECT, report, server="s")) != same


def test_a_name_without_the_prefix_is_found() -> None:
    report = through()
    report["tools"][0]["name"] = "add"
    assert differences(DIRECT, report, server="s")


def test_what_one_era_only_has_is_no_difference_between_eras() -> None:
    report = through() | {"logs": [], "progress": []}
    report["called"][0] |= {"resultType": "complete", "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "s"}}}
    assert differences(DIRECT, report, server="s", eras=True) == []
    assert differences(DIRECT, report, server="s") != []
    report["called"][0]["isError"] = True
    assert differences(DIRECT, report, server="s", eras=True) == ["called.0.isError: False directly, True through the gateway"]
