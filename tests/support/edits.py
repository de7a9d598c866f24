"""What edits of a live resource do to calls, by row; `python -m tests.support.edits` writes the table into docs/operations.md."""

from __future__ import annotations

import json
from typing import Any

from .paths import BUILD, ROOT

MANUAL = ROOT / "docs" / "operations.md"
_MEASURED = BUILD / "edits.jsonl"
_BEGIN, _END = "<!-- edits: begin -->\n", "<!-- edits: end -->\n"
_COUNTS = ("calls", "failed", "stalled", "lost")


def record(edit: str, mode: str, counts: dict[str, Any]) -> None:
    """Note what clients saw of one edit."""
    _MEASURED.parent.mkdir(exist_ok=True)
    with _MEASURED.open("a") as out:
        out.write(json.dumps([edit, mode, {name: counts.get(name, 0) for name in _COUNTS}]) + "\n")


def table() -> str:
    """The table, from what has been measured; of a row that was measured again the last one counts."""
    rows = {}
    for line in _MEASURED.read_text().splitlines():
        edit, mode, counts = json.loads(line)
        rows[mode, edit] = counts
    lines = ["| mode | edit | calls | failed | stalled | lost |", "|---|---|---|---|---|---|"]
    for (mode, edit), counts in rows.items():
        lines.append(f"| {mode} | {edit} | {' | '.join(f'{counts[name]:,}' for name in _COUNTS)} |")
    return "\n".join(lines) + "\n"


def written(manual: str) -> str:
    """The manual with the table in its place."""
    before, rest = manual.split(_BEGIN)
    return f"{before}{_BEGIN}{table()}{_END}{rest.split(_END)[1]}"


if __name__ == "__main__":
    MANUAL.write_text(written(MANUAL.read_text()))
