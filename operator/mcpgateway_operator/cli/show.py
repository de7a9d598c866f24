"""The output of `mcpgw up`: lines of progress, and the client configuration as text or as one JSON document."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table


class Screen:
    """Progress on stderr, the result on stdout; colours only on a terminal."""

    def __init__(self, *, json: bool) -> None:
        self._json = json
        self._log = Console(stderr=True, highlight=False)
        self._out = Console(highlight=False, soft_wrap=True)
        self._shown: dict[str, tuple[Any, ...]] = {}

    def say(self, who: str, text: str) -> None:
        """One line of progress."""
        self._log.print(f"[bold]{who:>12}[/bold]  ", end="")
        self._log.print(text, markup=False)

    def servers(self, rows: Sequence[dict[str, Any]]) -> None:
        """Show the servers whose state has changed."""
        for row in rows:
            error = row.get("lastError") if row["state"] != "Ready" else None
            key = (row["state"], row.get("tools"), error and error["message"])
            if self._shown.get(row["name"]) == key:
                continue
            self._shown[row["name"]] = key
            if row["state"] == "Ready":
                detail = f"protocol {row['protocolVersion']}, {row['isolation'].lower()} process"
                self.say(row["name"], f"ready: {row.get('tools', 0)} tools, {detail}")
            elif error:
                self.say(row["name"], f"{row['state']}: {error['reason']}: {error['message']}")

    def called(self, name: str, answer: str) -> None:
        """Show the result of a tool call."""
        if not self._json:
            table = Table(title=f"tools/call {name}", show_header=False, title_justify="left")
            table.add_row(answer.strip()[:400])
            self._out.print(table)

    def connect(self, *, gateway: str, url: str, token: str | None, calls: list[dict[str, Any]]) -> None:
        """Show the URL and the configuration of a client."""
        entry: dict[str, Any] = {"type": "http", "url": url}
        if token:
            entry["headers"] = {"Authorization": f"Bearer {token}"}
        servers = {"mcpServers": {gateway: entry}}
        if self._json:
            sys.stdout.write(json.dumps({"url": url, "token": token, "clientConfig": servers, "calls": calls}) + "\n")
            sys.stdout.flush()
            return
        self._out.print(f"\nServing [bold]{url}[/bold]\n\nClient configuration (.mcp.json):\n")
        self._out.print(json.dumps(servers, indent=2), markup=False)
        self._out.print("\nPress Ctrl-C to stop.")
