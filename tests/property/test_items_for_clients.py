"""Whatever a server lists, the TypeScript SDKs 1.x and 2.x accept what the intake lets through: their own schemas judge."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from mcpgateway.catalog.intake import Intake
from mcpgateway.catalog.model import KINDS, Kind
from tests.support import npm
from tests.support.paths import ROOT

Judge = Callable[[str, Any], list[str]]

NOISE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        ["", "x", "object", "string", "2025-01-31T10:00:00Z", "user", "#/$defs/a", "^a+$", "(", "\\d", "__proto__"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "type", "src", "name"]), inner, max_size=3),
    max_leaves=6,
)
TEXT = st.sampled_from(["", "x", "grüße", "a b"])
PATTERNS = st.text("ab1()[]{}|\\^$.*+?-,:=!dwsnup/<>&", max_size=9)


def members(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with some of these members, each right or of any other type."""
    return st.fixed_dictionaries({}, optional={name: value | NOISE for name, value in values.items()})


def schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, max_size=2)
    named = st.dictionaries(st.sampled_from(["a", "b/c", "$x"]), inner, max_size=2)
    return members(
        **{
            "type": st.sampled_from(["object", "string", "null", "integer", ["string", "null"], [], ["x"], "file"]),
            "properties": named,
            "$defs": named,
            "definitions": named,
            "patternProperties": st.dictionaries(PATTERNS, inner, max_size=1),
            "items": inner | several,
            "anyOf": several,
            "allOf": several,
            "additionalProperties": inner,
            "not": inner,
            "if": inner,
            "enum": st.lists(NOISE, max_size=3),
            "const": NOISE,
            "default": NOISE,
            "required": st.lists(TEXT, max_size=2),
            "pattern": PATTERNS,
            "format": st.sampled_from(["date-time", "uri", "unknown"]),
            "minLength": st.integers(-1, 3),
            "multipleOf": st.integers(-1, 3),
            "minimum": st.integers(),
            "$ref": st.sampled_from(
                ["#", "#/$defs/a", "#/definitions/b~1c", "#/$defs/b~1c", "#/x", "http://x.example/y", "#/type"]
            ),
            "$schema": st.sampled_from(
                ["http://json-schema.org/draft-07/schema#", "https://json-schema.org/draft/2020-12/schema", "x"]
            ),
            "$id": TEXT,
            "nullable": st.booleans(),
            "dependencies": named,
            "prefixItems": several,
            "x-vendor": NOISE,
        }
    )


SCHEMA = st.recursive(st.booleans() | st.just({"type": "object"}), schemas, max_leaves=8)
ICONS = st.lists(
    members(src=TEXT, mimeType=TEXT, sizes=st.lists(TEXT, max_size=2), theme=st.sampled_from(["dark", "x"])) | NOISE, max_size=3
)
TIMES = st.sampled_from(
    ["2025-01-31T10:00:00Z", "2025-02-30T10:00:00Z", "2025-01-31T10:00:00+25:00", "2025-01-31", "0000-01-01T00:00:00Z"]
)
COMMON: dict[str, st.SearchStrategy[Any]] = {
    "title": TEXT,
    "description": TEXT,
    "icons": ICONS,
    "_meta": st.dictionaries(TEXT, NOISE, max_size=2),
}
ANNOTATIONS = members(
    audience=st.lists(st.sampled_from(["user", "assistant", "x"]), max_size=2), priority=st.floats(-1, 2), lastModified=TIMES
)
ITEMS: dict[str, st.SearchStrategy[Any]] = {
    "tools": members(
        **COMMON,
        name=TEXT,
        inputSchema=SCHEMA,
        outputSchema=SCHEMA,
        annotations=members(title=TEXT, readOnlyHint=st.booleans(), openWorldHint=st.booleans()),
        execution=members(taskSupport=st.sampled_from(["required", "forbidden", "x"])),
    ),
    "prompts": members(
        **COMMON, name=TEXT, arguments=st.lists(members(name=TEXT, description=TEXT, required=st.booleans()) | NOISE, max_size=3)
    ),
    "resources": members(**COMMON, name=TEXT, uri=TEXT, mimeType=TEXT, size=st.integers(-1), annotations=ANNOTATIONS),
    "resourceTemplates": members(**COMMON, name=TEXT, uriTemplate=TEXT, mimeType=TEXT, annotations=ANNOTATIONS),
}


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    """The SDKs' verdict about a list's result."""
    folder = tmp_path_factory.mktemp("judge")
    shutil.copy(ROOT / "tests" / "gateway" / "clients" / "accepts.mjs", folder)
    (folder / "node_modules").symlink_to(npm.modules())
    command = [str(npm.node()), "accepts.mjs"]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        source, verdicts = process.stdin, process.stdout

        def ask(kind: str, result: Any) -> list[str]:
            source.write(json.dumps({"kind": kind, "result": result}) + "\n")
            source.flush()
            found: list[str] = json.loads(verdicts.readline())
            return found

        yield ask
        process.stdin.close()


def let_through(kind: Kind, items: list[Any]) -> list[Any]:
    intake = Intake("s")
    for _ in intake.read(kind, Raw(json.dumps({kind.name: items}).encode())):
        pass
    return [json.loads(bytes(item.raw)) for item in intake.offer().items]


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_the_typescript_sdks_accept_every_list_that_the_intake_lets_through(kind: Kind, judge: Judge) -> None:
    @settings(max_examples=400, deadline=None)
    @given(st.lists(ITEMS[kind.name].map(lambda item: {kind.key: "k", **item} if isinstance(item, dict) else item), max_size=3))
    def check(items: list[Any]) -> None:
        assert judge(kind.name, {kind.name: let_through(kind, items)}) == []

    check()


GENERATED = {  # as pydantic and zod write them
    "$schema": "http://json-schema.org/draft-07/schema#",
    "$defs": {"Point": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"], "title": "Point"}},
    "type": "object",
    "properties": {
        "points": {"type": "array", "items": {"$ref": "#/$defs/Point"}},
        "name": {"anyOf": [{"type": "string", "pattern": "^[a-z_]+$"}, {"type": "null"}], "default": None},
        "when": {"type": "string", "format": "date-time"},
    },
    "required": ["points"],
    "additionalProperties": False,
}


def test_what_generators_write_stays_as_it_is(judge: Judge) -> None:
    tool = {
        "name": "t",
        "inputSchema": GENERATED,
        "outputSchema": GENERATED,
        "annotations": {"readOnlyHint": True},
        "icons": [{"src": "data:,", "sizes": ["48x48"]}],
    }
    assert let_through(KINDS["tools"], [tool]) == [tool]
    assert judge("tools", {"tools": [tool]}) == []


def test_an_output_schema_that_clients_cannot_compile_is_left_out_and_its_tool_offered() -> None:
    tools = [
        {
            "name": "t",
            "inputSchema": {"type": "object"},
            "outputSchema": {"type": "object", "properties": {"x": {"$ref": "#/nowhere"}}},
        }
    ]
    assert let_through(KINDS["tools"], tools) == [{"name": "t", "inputSchema": {"type": "object"}}]
