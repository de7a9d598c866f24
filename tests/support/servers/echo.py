"""A small real stdio MCP server on the standard library alone, for faults that well-behaved servers do not have.

    echo.py [legacy | modern] [--name NAME]

Tools: echo, pid, count (state of this process), die (exit code 7), kill (signal 9), hang, junk, big, environ, progress, log,
slow (for `seconds`, or `until` it is `cancelled`), ask (sends the client the request in its arguments and returns the answer),
capabilities (of the client), flaky (reads only) and flaky_write: both end the process once, if the file in their argument is not
there.
One prompt, one resource, one resource template, and completions.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any

ERA = "modern" if "modern" in sys.argv else "legacy"
TOOLS: tuple[str, ...] = ("echo", "pid", "count", "die", "kill", "hang", "junk", "big", "slow", "environ")
TOOLS += ("progress", "ask", "log", "capabilities", "flaky", "flaky_write")
HINTS: dict[str, dict[str, Any]] = {"flaky": {"annotations": {"readOnlyHint": True}}}
PROMPT = {"name": "greet", "arguments": [{"name": "whom", "required": True}], "x-vendor": 1}
RESOURCE = {"uri": f"memo://{ERA}/all", "name": "all", "mimeType": "text/plain"}
TEMPLATE = {"uriTemplate": f"memo://{ERA}/note/{{id}}", "name": "note"}
LEVELS = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
STATE = "opaque: \u00fc"
counted = 0
level: str | None = "info" if ERA == "legacy" else None
client: dict[str, Any] = {}  # its capabilities


def answer(id: Any, **body: Any) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": id, **body}) + "\n")
    sys.stdout.flush()


def tell(method: str, **params: Any) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}) + "\n")
    sys.stdout.flush()


def ask(method: str, params: dict[str, Any]) -> str:
    """Legacy servers may ask their client in the middle of a call."""
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": 77, "method": method, "params": params}) + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        message = json.loads(line)
        if message.get("id") == 77 and "method" not in message:
            return json.dumps(message.get("result") or message["error"], ensure_ascii=False)
        handle(message)
    raise SystemExit


def await_cancellation(id: Any) -> None:
    """Serve no other request until the client cancels this call."""
    waiting = []
    for line in sys.stdin:
        message = json.loads(line)
        if message.get("method") == "notifications/cancelled" and message["params"]["requestId"] == id:
            break
        waiting.append(message)
    for message in waiting:
        handle(message)


def progress(params: dict[str, Any]) -> None:
    token = params.get("_meta", {}).get("progressToken")
    for done in range(1, 4):
        told = {"progressToken": token if done < 3 else "of no call", "progress": done, "total": 3, "message": f"step {done}"}
        if token is not None:
            sys.stdout.write(json.dumps({"jsonrpc": "2.0", "method": "notifications/progress", "params": told}) + "\n")


def call(id: Any, name: str, arguments: dict[str, Any], responses: Any = None, state: Any = None) -> str:
    global counted, TOOLS
    if name == "die":
        sys.stderr.write("about to die\n")
        sys.stderr.flush()
        os._exit(7)
    if name == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if name.startswith("flaky") and not os.path.exists(arguments["file"]):
        open(arguments["file"], "w").close()
        os._exit(7)
    if name == "hang":
        time.sleep(3600)
    if name == "slow" and arguments.get("until") == "cancelled":
        await_cancellation(id)
    elif name == "slow":
        time.sleep(float(arguments["seconds"]))
    if name == "junk":
        sys.stdout.write("this is no message\n\n{half\n" + '{"jsonrpc":"2.0","id":"stray-1","result":{}}\n')
    if "toggle" in arguments:
        TOOLS = TOOLS[:-1] if "more" in TOOLS else (*TOOLS, "more")
        tell("notifications/tools/list_changed")
    if "tell" in arguments:
        tell(arguments["tell"])
    if name == "pid" and "seconds" in arguments:
        time.sleep(arguments["seconds"])
    if name == "count":
        counted += 1
        return str(counted)
    if name == "environ":
        return os.environ.get(arguments["name"], "(unset)")
    if name == "ask" and ERA == "modern":
        return json.dumps(responses["q"] if state == STATE else {"wrong state": state}, ensure_ascii=False)
    if name == "ask":
        return ask(arguments["method"], arguments.get("params", {}))
    if name == "log" and level is not None and LEVELS.index(level) <= LEVELS.index(arguments["level"]):
        tell("notifications/message", level=arguments["level"], data=arguments["data"])
    if name == "big":
        return "x" * int(arguments["size"])
    if name == "capabilities":
        return json.dumps(client)
    return str(os.getpid()) if name == "pid" else json.dumps(arguments, ensure_ascii=False)


def read(id: Any, uri: str) -> None:
    if uri == RESOURCE["uri"] or uri.startswith(f"memo://{ERA}/note/"):
        answer(id, result={"contents": [{"uri": uri, "text": f"text of {uri}"}]})
    else:
        answer(id, error={"code": -32602 if ERA == "modern" else -32002, "message": f"no {uri}", "data": {"uri": uri}})


def handle(message: dict[str, Any]) -> None:
    global client, level
    id, method, params = message.get("id"), message.get("method"), message.get("params") or {}
    if ERA == "modern":
        client = params.get("_meta", {}).get("io.modelcontextprotocol/clientCapabilities", {})
        level = params.get("_meta", {}).get("io.modelcontextprotocol/logLevel")
    if id is None:
        return
    if method == "initialize" and ERA == "legacy":
        capabilities = {"tools": {"listChanged": True}, "prompts": {}, "completions": {}, "logging": {}}
        capabilities["resources"] = {"subscribe": True}
        client = params["capabilities"]
        info = {"name": "echo", "version": "1"}
        answer(id, result={"protocolVersion": params["protocolVersion"], "capabilities": capabilities, "serverInfo": info})
    elif method == "server/discover" and ERA == "modern":
        answer(
            id,
            result={
                "resultType": "complete",
                "supportedVersions": ["2026-07-28"],
                "capabilities": {
                    "tools": {"listChanged": True},
                    "prompts": {},
                    "resources": {"subscribe": True},
                    "completions": {},
                    "extensions": {"io.modelcontextprotocol/tasks": {}, "vendor/x": {"n": 1.50}},
                },
                "ttlMs": 0,
                "cacheScope": "private",
            },
        )
    elif method == "tools/list":
        schema = {"type": "object"}
        tools = [{"name": name, "inputSchema": schema, "x-vendor": {"n": 1.50}} for name in TOOLS]
        answer(id, result={"tools": [tool | HINTS.get(str(tool["name"]), {}) for tool in tools]})
    elif method == "logging/setLevel" and ERA == "legacy":
        level = params["level"]
        answer(id, result={})
    elif method in ("resources/subscribe", "resources/unsubscribe") and ERA == "legacy":
        answer(id, result={})
        tell("notifications/resources/updated", uri=params["uri"])
    elif str(method).startswith("tasks/") and ERA == "modern":
        if params["taskId"] != "t-1":
            answer(id, error={"code": -32602, "message": "no such task"})
        elif method == "tasks/get":
            result = {"content": [{"type": "text", "text": "done"}]}
            answer(id, result={"resultType": "complete", "taskId": "t-1", "status": "completed", "result": result})
        else:
            answer(id, result={"resultType": "complete"})
    elif method == "tools/call" and params.get("arguments", {}).get("as") == "task":
        answer(id, result={"resultType": "task", "taskId": "t-1", "status": "working", "ttlMs": 60000, "pollIntervalMs": 50})
    elif method == "subscriptions/listen" and ERA == "modern":
        stamp = {"_meta": {"io.modelcontextprotocol/subscriptionId": id}}
        tell("notifications/subscriptions/acknowledged", notifications=params["notifications"], **stamp)
        for uri in params["notifications"].get("resourceSubscriptions", ()):
            tell("notifications/resources/updated", uri=uri, **stamp)
    elif method == "prompts/list":
        answer(id, result={"prompts": [PROMPT]})
    elif method == "resources/list":
        answer(id, result={"resources": [RESOURCE]})
    elif method == "resources/templates/list":
        answer(id, result={"resourceTemplates": [TEMPLATE]})
    elif method == "prompts/get" and params["name"] == "greet":
        content = {"type": "text", "text": f"Greet {params['arguments']['whom']}"}
        answer(id, result={"messages": [{"role": "user", "content": content}]})
    elif method == "resources/read":
        read(id, params["uri"])
    elif method == "completion/complete":
        ref = params["ref"].get("name") or params["ref"].get("uri")
        answer(id, result={"completion": {"values": [f"{ref}:{params['argument']['value']}!"]}})
    elif method == "tools/call" and params["name"] == "ask" and ERA == "modern" and "inputResponses" not in params:
        question = {"method": params["arguments"]["method"], "params": params["arguments"].get("params", {})}
        answer(id, result={"resultType": "input_required", "inputRequests": {"q": question}, "requestState": STATE})
    elif method == "tools/call":
        if params["name"] == "progress":
            progress(params)
        text = call(id, params["name"], params.get("arguments") or {}, params.get("inputResponses"), params.get("requestState"))
        complete = {"resultType": "complete"} if ERA == "modern" else {}
        answer(id, result={"content": [{"type": "text", "text": text}], "x-vendor": [1.50, "ü"], **complete})
    else:
        answer(id, error={"code": -32601, "message": f"no {method}"})


for line in sys.stdin:
    handle(json.loads(line))
