"""A running `mcpgw up`, and resources for it."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from .bridges import ECHO
from .paths import ROOT
from .waiting import PATIENCE

MODERN = "2026-07-28"


class Up:
    """A running `mcpgw up`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._out: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, args=(process.stderr, self.lines.append), daemon=True).start()
        threading.Thread(target=self._read, args=(process.stdout, self._out.put), daemon=True).start()

    @staticmethod
    def _read(stream: Any, take: Any) -> None:
        with stream:
            for line in stream:
                take(line)

    @property
    def log(self) -> str:
        return "".join(self.lines)

    def connected(self, timeout: float = PATIENCE) -> dict[str, Any]:
        """The JSON document that says how to connect."""
        try:
            report: dict[str, Any] = json.loads(self._out.get(timeout=timeout))
        except queue.Empty:
            raise AssertionError(f"it does not become ready:\n{self.log}") from None
        return report

    def document(self, timeout: float = PATIENCE) -> dict[str, Any]:
        """The next JSON document of its output."""
        document: dict[str, Any] = json.loads(self._out.get(timeout=timeout))
        return document

    def call(self, report: dict[str, Any], tool: str, **arguments: Any) -> str:
        """A tool call of the modern era: its text. An answer without one fails the test."""
        meta = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
        params = {"name": tool, "arguments": arguments, "_meta": meta}
        headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": tool}
        return self._called(report, params, headers)

    def session(self, report: dict[str, Any]) -> dict[str, str]:
        """The headers of a new legacy session."""
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        opened = self._post(report, "initialize", params, {})
        return {"Mcp-Session-Id": opened.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-11-25"}

    def call_in(self, session: dict[str, str], report: dict[str, Any], tool: str, **arguments: Any) -> str:
        """A tool call in a legacy session: its text."""
        return self._called(report, {"name": tool, "arguments": arguments}, session)

    def _called(self, report: dict[str, Any], params: dict[str, Any], headers: dict[str, str]) -> str:
        answer = self._post(report, "tools/call", params, headers)
        content = answer.json()
        assert "result" in content, content
        return str(content["result"]["content"][0]["text"])

    @staticmethod
    def _post(report: dict[str, Any], method: str, params: dict[str, Any], headers: dict[str, str]) -> httpx2.Response:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        sent = {"Accept": "application/json, text/event-stream", "Authorization": f"Bearer {report['token']}", **headers}
        return httpx2.post(report["url"], json=body, headers=sent, timeout=PATIENCE)

    def interrupt(self) -> int:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=PATIENCE)


def descendants(pid: int) -> set[int]:
    """All processes below one, by /proc."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
    report: set[int] = set()
    fresh = {pid}
    while fresh:
        fresh = {child for child, parent in parents.items() if parent in fresh} - report
        report |= fresh
    return report


@contextmanager
def up(*args: str, state: Path, **env: str) -> Iterator[Up]:
    command = [str(Path(sys.executable).parent / "mcpgw"), "up", *args, "--output=json"]
    environment = {**os.environ, "XDG_STATE_HOME": str(state), **env}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=ROOT)
    running = Up(process)
    try:
        yield running
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=PATIENCE)


def resource(*names: str, **more: Any) -> dict[str, Any]:
    servers = [{"name": name, "image": "unused", "command": [*ECHO, "modern"], **more} for name in names]
    tokens = [{"name": "dev", "secretKeyRef": {"name": "t", "key": "token"}}]
    return {
        "apiVersion": "mcpgateway.dev/v1alpha1",
        "kind": "MCPGateway",
        "metadata": {"name": "local"},
        "spec": {"auth": {"tokens": tokens}, "servers": servers},
    }
