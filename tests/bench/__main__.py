"""`make bench`: ratios measured side by side, medians of interleaved rounds. Bare figures are this machine's, not portable.

python -m tests.bench [bridge] [gateway] [ready] [scale] [--output json]
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from . import bridge, calls, ready, scale

PARTS = {"bridge": bridge.measure, "gateway": calls.measure, "ready": ready.measure, "scale": scale.measure}


def show(console: Console, title: str, rows: list[dict[str, Any]]) -> None:
    """A table of rows that have the same keys."""
    table = Table(title=title, title_justify="left")
    for key in rows[0]:
        table.add_column(key, justify="left" if isinstance(rows[0][key], str) else "right")
    for row in rows:
        table.add_row(*(_shown(value) for value in row.values()))
    console.print(table)


def _shown(value: object) -> str:
    """Four digits that count, and all digits of what is larger."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.4g}"


def main() -> None:
    """Run the parts that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], default=[])
    parser.add_argument("--output", choices=["text", "json"], default="text")
    args = parser.parse_args()
    results = {name: PARTS[name]() for name in (args.parts or PARTS)}
    if args.output == "json":
        sys.stdout.write(json.dumps(results, indent=2) + "\n")
        return
    console = Console(highlight=False)
    for name, tables in results.items():
        for title, rows in tables.items():
            show(console, f"{name}: {title}", rows)


if __name__ == "__main__":
    main()
