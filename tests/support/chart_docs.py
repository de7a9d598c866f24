"""The chart's README: its text from `README.md.in`, and a table of the values from the comments in `values.yaml`.

`python -m tests.support.chart_docs` prints it (`make chart`). A comment above a key, or behind it, describes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from .paths import ROOT

CHART = ROOT / "charts" / "mcpgateway-operator"
_PLACE = "<!-- values -->\n"


@dataclass(frozen=True)
class Value:
    """One value of the chart: its dotted path, its default, and the words of its comment."""

    path: str
    default: Any
    description: str


def values(source: str) -> list[Value]:
    """All values of a values.yaml, in its order."""
    document = yaml.compose(source)
    if not isinstance(document, yaml.MappingNode):
        raise ValueError("values.yaml is no mapping")
    return list(_walk(document, source.splitlines(), (), ""))


def _walk(mapping: yaml.MappingNode, lines: list[str], path: tuple[str, ...], inherited: str) -> Iterator[Value]:
    for key, node in mapping.value:
        words = " ".join(filter(None, (inherited, _comment(lines, key.start_mark.line))))
        here = (*path, key.value)
        if isinstance(node, yaml.MappingNode) and node.value and not node.flow_style:
            yield from _walk(node, lines, here, words)
        else:
            yield Value(".".join(here), yaml.safe_load(yaml.serialize(node)), words)
        inherited = ""


def _comment(lines: list[str], number: int) -> str:
    """What is said above a line, without a gap, and behind it."""
    above: list[str] = []
    while number > 0 and lines[number - len(above) - 1].lstrip().startswith("#"):
        above.insert(0, lines[number - len(above) - 1].lstrip("# ").rstrip())
    _, _, behind = lines[number].partition("  # ")
    return " ".join(filter(None, (*above, behind)))


def readme() -> str:
    """The README of the chart."""
    listed = values((CHART / "values.yaml").read_text())
    rows = [
        f"| `{value.path}` | `{json.dumps(value.default)}` | {value.description.replace('|', chr(92) + '|')} |"
        for value in listed
    ]
    table = "\n".join(("| value | default | |", "|---|---|---|", *rows, ""))
    return (CHART / "README.md.in").read_text().replace(_PLACE, table)


if __name__ == "__main__":
    print(readme(), end="")
