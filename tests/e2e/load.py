"""Calls through a Service at a steady rate, by clients of three kinds; run in a pod, on the standard library alone.

    load.py URL TOKEN TOOL ARGUMENTS RATE

Kinds: modern (2026-07-28, without sessions), legacy (2025-11-25, sessions), sse (2024-11-05, HTTP+SSE). It prints a line with the
counts twice a second, and ends with its input. Nothing is tried again: what a client of a real SDK sees as an error is one.
"""

from __future__ import annotations

import http.client
import json
import queue
import sys
import threading
import time
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

MODERN, LEGACY = "2026-07-28", "2025-11-25"
CLIENTS = 4  # of each kind
PATIENCE = 90.0  # seconds that a client waits for an answer
SLOW = 1.0  # seconds from which a call counts as stalled
INFO = {"name": "load", "version": "1"}


class Failed(Exception):
    """A call that has no result; the message says why."""


class Lost(Exception):
    """What a server or gateway kept for this client is gone, and it has been told."""


class Http:
    """One connection at a time, kept as long as the server keeps it."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        self.host, self.port, self.path = parts.hostname or "", parts.port or 80, parts.path
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.headers["Accept"] = "application/json, text/event-stream"
        self.connection: http.client.HTTPConnection | None = None

    def post(self, path: str, body: Any, headers: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)
        try:
            self.connection.request("POST", path, json.dumps(body), self.headers | headers)
            response = self.connection.getresponse()
            raw, kind = response.read(), response.headers.get("content-type", "")
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            self.connection = None
            raise Failed(f"{type(error).__name__}: {error}") from error
        if response.will_close:
            self.connection.close()
            self.connection = None
        return response.status, answer_of(raw, kind), dict(response.headers)


def answer_of(raw: bytes, kind: str) -> Any:
    if kind.startswith("text/event-stream"):
        events = [line[5:] for line in raw.splitlines() if line.startswith(b"data:")]
        answers = [json.loads(event) for event in events if event.strip()]
        return next((answer for answer in answers if "id" in answer), None)
    return json.loads(raw) if raw.strip().startswith(b"{") else raw.decode(errors="replace")


def check(answer: Any) -> None:
    """Raises: Failed, Lost."""
    if isinstance(answer, dict) and "result" in answer:
        return
    error = answer.get("error", {}) if isinstance(answer, dict) else {}
    if (error.get("data") or {}).get("reason") == "StateLost":
        raise Lost(str(error))
    raise Failed(str(answer)[:300])


class Modern:
    kind = "modern"

    def __init__(self, url: str, token: str) -> None:
        self.http = Http(url, token)

    def call(self, tool: str, arguments: Any) -> None:
        meta = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
        headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": tool}
        params = {"name": tool, "arguments": arguments, "_meta": meta}
        _, answer, _ = self.http.post(self.http.path, request(params), headers)
        check(answer)


class Legacy:
    kind = "legacy"

    def __init__(self, url: str, token: str) -> None:
        self.http = Http(url, token)
        self.session: dict[str, str] = {}

    def call(self, tool: str, arguments: Any) -> None:
        if not self.session:
            self.open()
        status, answer, _ = self.http.post(self.http.path, request({"name": tool, "arguments": arguments}), self.session)
        if status == 404:
            self.session = {}
            raise Lost("the session has ended")
        check(answer)

    def open(self) -> None:
        _, answer, headers = self.http.post(self.http.path, initialize(LEGACY), {})
        check(answer)
        names = {name.lower(): value for name, value in headers.items()}
        self.session = {"Mcp-Session-Id": names["mcp-session-id"], "MCP-Protocol-Version": LEGACY}
        self.http.post(self.http.path, {"jsonrpc": "2.0", "method": "notifications/initialized"}, self.session)


class Sse:
    kind = "sse"

    def __init__(self, url: str, token: str) -> None:
        self.http = Http(url, token)
        self.events: queue.Queue[Any] = queue.Queue()
        self.place = ""

    def call(self, tool: str, arguments: Any) -> None:
        if not self.place:
            self.open()
        while not self.events.empty():
            if self.events.get() is None:
                self.place = ""
                raise Lost("the stream has ended between two calls")
        self.ask(request({"name": tool, "arguments": arguments}))

    def open(self) -> None:
        self.events = queue.Queue()
        connection = http.client.HTTPConnection(self.http.host, self.http.port, timeout=None)
        headers = self.http.headers | {"Accept": "text/event-stream"}
        try:
            connection.request("GET", self.http.path.removesuffix("/mcp") + "/sse", headers=headers)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise Failed(f"{type(error).__name__}: {error}") from error
        if response.status != 200:
            raise Failed(f"GET /sse: {response.status}")
        threading.Thread(target=self.read, args=(connection, response, self.events), daemon=True).start()
        self.place = str(self.take())
        self.ask(initialize("2024-11-05"))
        self.http.post(self.place, {"jsonrpc": "2.0", "method": "notifications/initialized"}, {})

    def read(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse, events: queue.Queue[Any]) -> None:
        event = ""
        try:
            while line := response.readline():
                name, _, value = line.decode().rstrip("\r\n").partition(":")
                if name == "event":
                    event = value.strip()
                elif name == "data":
                    events.put(value.strip() if event == "endpoint" else json.loads(value))
        except (OSError, http.client.HTTPException):
            pass
        connection.close()
        events.put(None)

    def take(self) -> Any:
        while True:
            try:
                event = self.events.get(timeout=PATIENCE)
            except queue.Empty:
                raise Failed("no answer on the stream") from None
            if event is None:
                self.place = ""
                raise Failed("the stream has ended in the middle of a call")
            if isinstance(event, str) or "id" in event:
                return event

    def ask(self, body: Any) -> None:
        status, answer, _ = self.http.post(self.place, body, {})
        if status == 404:
            self.place = ""
            raise Lost("the session has ended")
        if status != 202:
            raise Failed(f"{status}: {answer}"[:300])
        check(self.take())


def request(params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


def initialize(version: str) -> dict[str, Any]:
    params = {"protocolVersion": version, "capabilities": {}, "clientInfo": INFO}
    return {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}


class Tally:
    """What all clients have seen."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        self.words: Counter[str] = Counter()

    def add(self, kind: str, outcome: str, seconds: float, words: str) -> None:
        with self.lock:
            self.counts["calls"] += 1
            self.counts[kind] += 1
            self.counts["stalled"] += seconds > SLOW
            self.counts[outcome] += 1
            if words and len(self.words) < 20:
                self.words[f"{kind} {outcome}: {words}"] += 1

    def line(self) -> str:
        with self.lock:
            return json.dumps({**self.counts, "words": dict(self.words)})


def run(client: Modern | Legacy | Sse, tally: Tally, pause: float, tool: str, arguments: Any) -> None:
    while True:
        began = time.monotonic()
        outcome, words = "ok", ""
        try:
            client.call(tool, arguments)
        except Lost as error:
            outcome, words = "lost", str(error)
        except Exception as error:
            outcome, words = "failed", f"{type(error).__name__}: {error}"
        took = time.monotonic() - began
        tally.add(client.kind, outcome, took, words)
        time.sleep(max(0.0, pause - took))


def await_end(ended: threading.Event) -> None:
    """Read the input to its end."""
    sys.stdin.read()
    ended.set()


def main(url: str, token: str, tool: str, arguments: str, rate: str) -> None:
    tally, kinds = Tally(), (Modern, Legacy, Sse)
    pause = CLIENTS * len(kinds) / float(rate)
    for kind in kinds:
        for _ in range(CLIENTS):
            given = (kind(url, token), tally, pause, tool, json.loads(arguments))
            threading.Thread(target=run, args=given, daemon=True).start()
    ended = threading.Event()
    threading.Thread(target=await_end, args=(ended,), daemon=True).start()
    while not ended.wait(0.5):
        print(tally.line(), flush=True)
    print(tally.line(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
