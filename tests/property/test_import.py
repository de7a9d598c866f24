"""Import of changed configurations: a valid resource, or one clear refusal."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcpgateway_operator.cli.documents import read
from mcpgateway_operator.importing.importer import Source, import_sources
from mcpgateway_operator.importing.model import Package, UnreadableError
from mcpgateway_operator.importing.source import documents
from tests.support.paths import ROOT

TEXTS = [path.read_text() for path in sorted((ROOT / "tests" / "cases" / "import").iterdir())]
WORDS = [
    "npx",
    "-y",
    "--from",
    "docker",
    "run",
    "-e",
    "-v",
    "${input:x}",
    "http://[",
    "https://h.example/?k=v",
    "a\nb",
    "\ud800",
    "",
    " ",
    "é" * 50,
]
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(WORDS),
    st.text(max_size=12),
    st.lists(st.sampled_from(WORDS), max_size=4),
    st.dictionaries(
        st.sampled_from(["command", "args", "url", "env", "name", "headers"]) | st.text(max_size=5),
        st.sampled_from(WORDS),
        max_size=3,
    ),
)


async def unknown(package: Package) -> Package:
    return package


def check(text: str) -> None:
    try:
        result = asyncio.run(import_sources([Source("source", text)], name="imported", resolve=unknown))
    except UnreadableError as error:
        message = str(error)
    else:
        message = ""
    if message:
        assert "\n" not in message
        assert len(message) < 500
        return
    assert result.servers or result.report.of("refused")
    for note in result.report.notes:
        assert "Traceback" not in note.text
    if result.servers:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "out.yaml")
            file.write_text(result.text)
            assert len(read([file]).gateways[0].spec.servers) == result.servers


def places(value: Any, *path: Any) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for step, child in children for place in places(child, *path, step))]


@st.composite
def changed(draw: st.DrawFn) -> str:
    document = json.loads(json.dumps(documents(draw(st.sampled_from(TEXTS)))[0], default=str))
    for _ in range(draw(st.integers(1, 4))):
        ways = places(document)[1:]
        if not ways:
            break
        way = draw(st.sampled_from(ways))
        parent = document
        for step in way[:-1]:
            parent = parent[step]
        change = draw(st.sampled_from(["replace", "replace", "remove", "rename", "list"]))
        if change == "replace":
            parent[way[-1]] = draw(values)
        elif change == "remove":
            del parent[way[-1]]
        elif change == "rename" and isinstance(parent, dict):
            parent[draw(st.text(max_size=6) | st.sampled_from(["command", "url", "servers"]))] = parent.pop(way[-1])
        else:
            parent[way[-1]] = [parent[way[-1]]]
    return json.dumps(document)


calm = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@calm
@given(changed())
def test_a_changed_configuration_is_imported_or_refused(text: str) -> None:
    check(text)


@calm
@given(st.sampled_from(TEXTS), st.integers(0, 2000), st.integers(0, 12), st.text(max_size=4))
def test_damaged_text_is_imported_or_refused(text: str, at: int, length: int, inserted: str) -> None:
    check(text[:at] + inserted + text[at + length :])
