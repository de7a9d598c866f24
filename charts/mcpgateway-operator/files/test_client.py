import json
import os
import secrets
import sys
import time
import urllib.error
import urllib.request

VERSION = "2025-06-18"
sent = secrets.token_hex(8)


def ask(method, params, session=""):
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    headers = {
        "Authorization": "Bearer " + os.environ["TOKEN"],
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": VERSION,
        **({"Mcp-Session-Id": session} if session else {}),
    }
    request = urllib.request.Request(os.environ["URL"], json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as response:
        lines = response.read().decode().splitlines()
        told = [json.loads(line.removeprefix("data:")) for line in lines if line.strip().startswith(("{", "data: {"))]
        return next(each for each in told if each.get("id") == 1), response.headers.get("Mcp-Session-Id", "")


def call():
    client = {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": {"name": "helm-test", "version": "1"}}
    _, session = ask("initialize", client)
    return ask("tools/call", {"name": "echo_echo", "arguments": {"text": sent}}, session)[0]


while True:
    try:
        outcome = call()
    except (OSError, StopIteration, ValueError) as error:
        outcome = repr(error)
    print(outcome, flush=True)
    if isinstance(outcome, dict) and outcome.get("result", {}).get("content", [{}])[0].get("text") == sent:
        sys.exit()
    time.sleep(2)
