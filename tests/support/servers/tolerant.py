"""A small stdio MCP server that answers every request, whatever its params are; what it gets it does not look into.

tolerant.py [legacy | modern]
"""

from __future__ import annotations

import json
import sys
from typing import Any

ERA = "modern" if "modern" in sys.argv else "legacy"
CAPABILITIES: dict[str, Any] = {
    "tools": {},
    "prompts": {},
    "resources": {"subscribe": True},
    "completions": {},
    "logging": {},
}
LISTS: dict[str, Any] = {
    "tools/list": {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]},
    "prompts/list": {"prompts": [{"name": "greet"}]},
    "resources/list": {"resources": [{"uri": f"memo://{ERA}/all", "name": "all"}]},
    "resources/templates/list": {"resourceTemplates": [{"uriTemplate": f"memo://{ERA}/note/{{id}}", "name": "note"}]},
}
RESULTS: dict[str, Any] = {
    **LISTS,
    "initialize": {
        "protocolVersion": "2025-11-25",
        "capabilities": CAPABILITIES,
        "serverInfo": {"name": "tolerant", "version": "1"},
    },
    "server/discover": {
        "resultType": "complete",
        "supportedVersions": ["2026-07-28"],
        "capabilities": {**CAPABILITIES, "extensions": {"io.modelcontextprotocol/tasks": {}}},
        "ttlMs": 0,
        "cacheScope": "private",
    },
    "tools/call": {"content": [{"type": "text", "text": "answered"}]},
    "prompts/get": {"messages": []},
    "resources/read": {"contents": []},
    "completion/complete": {"completion": {"values": []}},
}


def answer(message: dict[str, Any]) -> None:
    method, id = message.get("method"), message.get("id")
    if method is None or id is None or method == "subscriptions/listen":
        return
    if method == ("initialize" if ERA == "modern" else "server/discover"):
        body: dict[str, Any] = {"error": {"code": -32601, "message": "not of this era"}}
    else:
        body = {"result": RESULTS.get(method, {})}
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": id, **body}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    for line in sys.stdin:
        answer(json.loads(line))
