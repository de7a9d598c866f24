"""A small real stdio MCP server on the standard library alone, for faults that well-behaved servers do not have.

    echo.py [legacy | modern] [--name NAME]

Tools: echo, pid, count (state of this process), die (exit code 7), kill (signal 9), hang, junk, big, slow, environ.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any

ERA = "modern" if "modern" in sys.argv else "legacy"
TOOLS = ("echo", "pid", "count", "die", "kill", "hang", "junk", "big", "slow", "environ")
counted = 0


def answer(id: Any, **body: Any) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": id, **body}) + "\n")
    sys.stdout.flush()


def call(id: Any, name: str, arguments: dict[str, Any]) -> str:
    global counted
    if name == "die":
        sys.stderr.write("about to die\n")
        sys.stderr.flush()
        os._exit(7)
    if name == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "hang":
        time.sleep(3600)
    if name == "slow":
        time.sleep(float(arguments["seconds"]))
    if name == "junk":
        sys.stdout.write("this is no message\n\n{half\n" + '{"jsonrpc":"2.0","id":"stray-1","result":{}}\n')
    if name == "count":
        counted += 1
        return str(counted)
    if name == "environ":
        return os.environ.get(arguments["name"], "(unset)")
    if name == "big":
        return "x" * int(arguments["size"])
    return str(os.getpid()) if name == "pid" else json.dumps(arguments, ensure_ascii=False)


def handle(message: dict[str, Any]) -> None:
    id, method, params = message.get("id"), message.get("method"), message.get("params") or {}
    if id is None:
        return
    if method == "initialize" and ERA == "legacy":
        capabilities = {"tools": {"listChanged": True}}
        info = {"name": "echo", "version": "1"}
        answer(id, result={"protocolVersion": params["protocolVersion"], "capabilities": capabilities, "serverInfo": info})
    elif method == "server/discover" and ERA == "modern":
        answer(
            id,
            result={
                "resultType": "complete",
                "supportedVersions": ["2026-07-28"],
                "capabilities": {"tools": {}},
                "ttlMs": 0,
                "cacheScope": "private",
            },
        )
    elif method == "tools/list":
        schema = {"type": "object"}
        answer(id, result={"tools": [{"name": name, "inputSchema": schema, "x-vendor": {"n": 1.50}} for name in TOOLS]})
    elif method == "tools/call":
        text = call(id, params["name"], params.get("arguments") or {})
        complete = {"resultType": "complete"} if ERA == "modern" else {}
        answer(id, result={"content": [{"type": "text", "text": text}], "x-vendor": [1.50, "ü"], **complete})
    else:
        answer(id, error={"code": -32601, "message": f"no {method}"})


for line in sys.stdin:
    handle(json.loads(line))
