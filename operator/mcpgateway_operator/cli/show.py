"""The output of `mcpgw up`: lines of progress, and the client configuration, as text or as JSON documents, one a line."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from rich.console import Console
from rich.table import Table

_CALM = 60.0  # seconds without a change, after which a server's changes are shown again
_CHANGES = 6  # of one server that are shown until it is calm
_STARTING: Final = frozenset({"Connecting", "Restarting"})
_ARRIVING: Final = frozenset({"Unreachable", "NoAddress", "Moved", "Draining"})  # reasons of a start that goes on


def settled(row: dict[str, Any]) -> bool:
    """Whether a server has started, or has failed to."""
    error = row.get("lastError") or {}
    return row["state"] not in _STARTING and not (row["state"] == "Failed" and error.get("reason") in _ARRIVING)


@dataclass
class _Shown:
    """What has been shown of one server."""

    key: tuple[Any, ...] = ()
    errors: set[str] = field(default_factory=set)  # since it was ready the last time
    changes: int = 0  # since it was calm
    at: float = 0.0


class ServerLines:
    """A line for each change of a server that is news: one that fails again and again is not."""

    def __init__(self) -> None:
        self._shown: dict[str, _Shown] = {}

    def lines(self, rows: Sequence[dict[str, Any]], *, now: float) -> Iterator[tuple[str, str]]:
        """The (server, line) to show; `now` in seconds."""
        for row in rows:
            shown = self._shown.setdefault(row["name"], _Shown())
            if now - shown.at > _CALM:
                shown.changes = 0
            line = self._line(row, shown)
            if line is None:
                continue
            shown.changes, shown.at = shown.changes + 1, now
            if shown.changes < _CHANGES:
                yield row["name"], line
            elif shown.changes == _CHANGES:
                yield row["name"], f"{line} (it changes again and again: the next line comes after {_CALM:g} s without a change)"
        for name in [name for name in self._shown if name not in {row["name"] for row in rows}]:
            del self._shown[name]

    def _line(self, row: dict[str, Any], shown: _Shown) -> str | None:
        """The line of a row that is news."""
        error = row.get("lastError")
        if row["state"] == "Ready":
            key = ("Ready", row.get("tools"), row["protocolVersion"])
            if shown.key == key:
                return None
            shown.key = key
            shown.errors.clear()
            note = f"; {error['reason']}: {error['message']}" if error else ""
            detail = f"protocol {row['protocolVersion']}, {row['isolation'].lower()} process"
            return f"ready: {row.get('tools', 0)} tools, {detail}{note}"
        if error is None:
            return None
        words = f"{error['reason']}: {error['message']}"
        kind = re.sub(r"\d+", "#", words)  # one message with another number is no news
        if kind in shown.errors:
            return None
        shown.key = (row["state"],)
        shown.errors.add(kind)
        return f"{row['state']}: {words}"


class Screen:
    """Progress on stderr, the result on stdout; colours only on a terminal, and no line is broken."""

    def __init__(self, *, json: bool) -> None:
        self._json = json
        self._log = Console(stderr=True, highlight=False, soft_wrap=True)
        self._out = Console(highlight=False, soft_wrap=True)
        self._lines = ServerLines()
        self._connected = False
        self._rows: Sequence[dict[str, Any]] = ()

    def say(self, who: str, text: str) -> None:
        """One line of progress."""
        self._log.print(f"[bold]{who:>12}[/bold]  ", end="")
        self._log.print(text, markup=False)

    def servers(self, rows: Sequence[dict[str, Any]]) -> None:
        """Show the servers whose state has changed."""
        for name, line in self._lines.lines(rows, now=time.monotonic()):
            self.say(name, line)
        if self._json and self._connected and rows != self._rows:
            _document({"servers": rows})
        self._rows = rows

    def called(self, name: str, answer: str) -> None:
        """Show the result of a tool call."""
        if not self._json:
            table = Table(title=f"tools/call {name}", show_header=False, title_justify="left")
            table.add_row(answer.strip()[:400])
            self._out.print(table)

    def connect(self, *, gateway: str, url: str, token: str | None, calls: list[dict[str, Any]], logs: str) -> None:
        """Show the URL and the configuration of a client."""
        entry: dict[str, Any] = {"type": "http", "url": url}
        if token:
            entry["headers"] = {"Authorization": f"Bearer {token}"}
        servers = {"mcpServers": {gateway: entry}}
        if self._json:
            report = {"url": url, "token": token, "clientConfig": servers, "calls": calls, "logs": logs, "servers": self._rows}
            _document(report)
            self._connected = True
            return
        self._out.print(f"\nServing [bold]{url}[/bold]\n\nClient configuration (.mcp.json):\n")
        self._out.print(json.dumps(servers, indent=2), markup=False)
        self._out.print("\nPress Ctrl-C to stop.")


def _document(content: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()
