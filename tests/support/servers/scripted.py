"""An MCP server on the standard library that sends what a test tells it, byte for byte; other requests get good answers.

    scripted.py FOLDER ERA SCRIPT         over stdio
    scripted.py FOLDER --http=PORT        over HTTP, at /ERA/SCRIPT

A script is FOLDER/SCRIPT.json, read again for each message: {"METHOD": ["LINE", …]}, each line in Latin-1, so that it can hold
any bytes. `@ID@` in a line is replaced by the id of the request, `@TOKEN@` by its progress token, `@N@` by a number that grows,
`@PAD 9@` by so many letters. A line that begins with `@TIMES 9@` is sent so often. One that begins with `@RAW@` goes over HTTP as
the whole response, status line included; `@EXIT@` ends the program.
"""

from __future__ import annotations

import itertools
import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SCHEMA = {"type": "object", "properties": {"x": {"type": "number"}}, "required": []}
CAPABILITIES: dict[str, Any] = {
    "tools": {"listChanged": True},
    "prompts": {"listChanged": True},
    "resources": {"subscribe": True, "listChanged": True},
    "completions": {},
}
INFO = {"name": "scripted", "version": "1", "title": "Scripted"}
META = {"vendor/x": 1.50}
TOOL = {
    "name": "t",
    "title": "T",
    "description": "says it again",
    "inputSchema": SCHEMA,
    "outputSchema": {"type": "object"},
    "annotations": {"readOnlyHint": True, "title": "T"},
    "icons": [{"src": "https://example.com/i.png", "mimeType": "image/png", "sizes": ["48x48"]}],
    "_meta": META,
}
PROMPT = {"name": "p", "title": "P", "description": "greets", "arguments": [{"name": "whom", "required": True}], "_meta": META}
RESOURCE = {"uri": "note://all", "name": "all", "mimeType": "text/plain", "size": 3, "annotations": {"priority": 0.5}}
TEMPLATE = {"uriTemplate": "note://{id}/{+rest}", "name": "note", "mimeType": "text/plain", "_meta": META}
RESULTS: dict[str, dict[str, Any]] = {
    "ping": {},
    "logging/setLevel": {},
    "resources/subscribe": {},
    "resources/unsubscribe": {},
    "tools/list": {"tools": [TOOL], "_meta": META},
    "prompts/list": {"prompts": [PROMPT], "_meta": META},
    "resources/list": {"resources": [RESOURCE], "_meta": META},
    "resources/templates/list": {"resourceTemplates": [TEMPLATE], "_meta": META},
    "tools/call": {
        "content": [{"type": "text", "text": "done", "annotations": {"audience": ["user"]}, "_meta": META}],
        "structuredContent": {"x": 1.50},
        "isError": False,
        "_meta": META,
    },
    "prompts/get": {"description": "d", "messages": [{"role": "user", "content": {"type": "text", "text": "hi"}}], "_meta": META},
    "resources/read": {
        "contents": [{"uri": "note://all", "mimeType": "text/plain", "text": "abc", "_meta": META}],
        "_meta": META,
    },
    "completion/complete": {"completion": {"values": ["a", "b"], "total": 2, "hasMore": False}, "_meta": META},
}
LEGACY_ONLY = ("ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe")


def results(era: str) -> dict[str, dict[str, Any]]:
    """The honest result of each method, in that era's form."""
    if era == "legacy":
        hello = {"capabilities": {**CAPABILITIES, "logging": {}}, "serverInfo": INFO, "instructions": "Be kind."}
        return {**RESULTS, "initialize": {"protocolVersion": "2025-11-25", **hello}}
    capabilities = {**CAPABILITIES, "extensions": {"vendor/x": {"n": 1.50}, "io.modelcontextprotocol/tasks": {}}}
    hello = {"supportedVersions": ["2026-07-28"], "capabilities": capabilities, "serverInfo": INFO, "instructions": "Be kind."}
    known = {"server/discover": hello, **RESULTS}
    keep = {"ttlMs": 1000, "cacheScope": "private"}
    cacheable = ("server/discover", "resources/read")
    return {
        method: {"resultType": "complete", **result, **(keep if method in cacheable or method.endswith("/list") else {})}
        for method, result in known.items()
        if method not in LEGACY_ONLY
    }


_numbers = itertools.count()
_TIMES = re.compile(rb"@TIMES (\d+)@")
_PAD = re.compile(rb"@PAD (\d+)@")


def _repeated(line: bytes) -> list[bytes]:
    times = _TIMES.match(line)
    return [line[times.end() :]] * int(times[1]) if times else [line]


def _filled(line: bytes) -> bytes:
    if b"@N@" in line:
        line = line.replace(b"@N@", b"%d" % next(_numbers))
    return _PAD.sub(lambda pad: b"x" * int(pad[1]), line) if b"@PAD" in line else line


def replies(folder: Path, era: str, script: str, message: dict[str, Any]) -> list[bytes]:
    """What goes out in answer to a message, without line ends."""
    method, id, params = message.get("method"), message.get("id"), message.get("params")
    try:
        scripted = json.loads((folder / f"{script}.json").read_text()).get(method)
    except OSError:
        scripted = None
    if scripted is not None:
        meta = params.get("_meta") if isinstance(params, dict) else None
        token = json.dumps(meta.get("progressToken") if isinstance(meta, dict) else None).encode()
        lines = [line for text in scripted for line in _repeated(text.encode("latin-1"))]
        return [_filled(line.replace(b"@ID@", json.dumps(id).encode()).replace(b"@TOKEN@", token)) for line in lines]
    if id is None or method is None:
        return []
    known = results(era)
    if method == "subscriptions/listen" and era == "modern":
        stamp = {"_meta": {"io.modelcontextprotocol/subscriptionId": id}}
        told = {"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": {"notifications": {}, **stamp}}
        return [json.dumps(told).encode()]
    if method in known:
        return [json.dumps({"jsonrpc": "2.0", "id": id, "result": known[method]}).encode()]
    return [json.dumps({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": f"no {method}"}}).encode()]


def over_stdio(folder: Path, era: str, script: str) -> None:
    for line in sys.stdin.buffer:
        for reply in replies(folder, era, script, json.loads(line)):
            if reply == b"@EXIT@":
                return
            sys.stdout.buffer.write(reply + b"\n")
        sys.stdout.buffer.flush()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder = Path()

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        _, era, script = self.path.split("/")
        out = replies(self.folder, era, script, message)
        if out and out[0].startswith(b"@RAW@"):
            self.wfile.write(out[0].removeprefix(b"@RAW@"))
            self.close_connection = True
        elif not out:
            self.respond(202, b"")
        elif len(out) == 1 and message.get("method") != "subscriptions/listen":
            self.respond(200, out[0], "application/json")
        else:
            self.respond(200, b"".join(b"data: " + line + b"\n\n" for line in out), "text/event-stream")

    def do_GET(self) -> None:
        self.respond(405, b"")

    def do_DELETE(self) -> None:
        self.respond(405, b"")

    def respond(self, status: int, body: bytes, kind: str = "") -> None:
        self.send_response(status)
        if kind:
            self.send_header("Content-Type", kind)
        if self.path.startswith("/legacy/"):
            self.send_header("Mcp-Session-Id", "s1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The gateway may close a connection at any time."""


def main(argv: list[str]) -> None:
    folder = Path(argv[0])
    if argv[1].startswith("--http="):
        Handler.folder = folder
        Server(("127.0.0.1", int(argv[1].removeprefix("--http="))), Handler).serve_forever()
    else:
        over_stdio(folder, argv[1], argv[2])


if __name__ == "__main__":
    main(sys.argv[1:])
