"""JSON is parsed in one place, so that whatever a peer sends raises one error."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PACKAGE = ROOT / "gateway" / "mcpgateway"
MAY_PARSE = ("protocol/", "config.py", "access/audit.py")


def json_uses(source: str) -> list[int]:
    """The lines of a module that name a JSON parser: `msgspec.json`, or the standard library's."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(value=ast.Name(id="msgspec"), attr="json"):
                lines.append(node.lineno)
            case ast.Import(names=names) if any(name.name in ("json", "msgspec.json") for name in names):
                lines.append(node.lineno)
            case ast.ImportFrom(module="json" | "msgspec.json"):
                lines.append(node.lineno)
            case ast.ImportFrom(module="msgspec", names=names) if any(name.name == "json" for name in names):
                lines.append(node.lineno)
    return lines


@pytest.mark.parametrize(
    "source",
    [
        "import msgspec\nmsgspec.json.decode(b'')",
        "from msgspec import UNSET, json",
        "from msgspec.json import decode",
        "import msgspec.json",
        "import json",
        "from json import loads",
    ],
)
def test_each_way_to_name_a_parser_is_seen(source: str) -> None:
    assert json_uses(source)


def test_only_protocol_configuration_and_audit_parse_json() -> None:
    modules = [path for path in PACKAGE.rglob("*.py") if not _relative(path).startswith(MAY_PARSE)]
    assert len(modules) > 30
    uses = [f"{_relative(path)}:{line}" for path in modules for line in json_uses(path.read_text())]
    assert uses == []


def _relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()
