"""Attacks by clients who hold a token: well-formed requests, too many or too odd."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from tests.hostile.world import Client, World

from .registry import attack
from .sockets import connected, exchange, head, post

_MODERN = {"MCP-Protocol-Version": "2026-07-28"}
_META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}


def _statuses(world: World, *bodies: bytes) -> str:
    """The statuses of a session's requests, each once."""
    client = Client(world.gateway.port)
    with contextlib.closing(client):
        session = client.open_session()
        return " ".join(dict.fromkeys(str(client.post(body, session)[0].status) for body in bodies))


def _request(method: str, params: Any, id: Any = 1) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).encode()


@attack("E6", "`notifications/cancelled` with params that are no object", expects="^(202|400)( 400)?$")
def odd_cancelled(world: World) -> str:
    kinds: tuple[Any, ...] = ([], 5, "x", None, {"requestId": {}}, {"requestId": None})
    return _statuses(
        world, *(json.dumps({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": p}).encode() for p in kinds)
    )


@attack("E6", "`initialize` with a number beyond all ranges in `capabilities`", expects="^(200|400)$")
def huge_capability(world: World) -> str:
    body = b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"x":1e999},'
    body += b'"clientInfo":{"name":"t","version":"1"}}}'
    return exchange(world, post(body, "Connection: close"))


@attack("E6", "a cursor of 5,000 digits", expects="^(200|400)$")
def long_cursor(world: World) -> str:
    return _statuses(world, _request("tools/list", {"cursor": "1" * 5_000}), _request("tools/list", {"cursor": "9" * 5_000}))


@attack("E6", "a session id in four spellings", expects="^(404|400)$")
def spelt_session(world: World) -> str:
    client = Client(world.gateway.port)
    with contextlib.closing(client):
        session = client.open_session()
        id = session["Mcp-Session-Id"]
        spellings = (id + "=", id + "A", id[:-1] + chr(ord(id[-1]) ^ 1), id.swapcase())
        answers = (client.post(_request("ping", {}), {**session, "Mcp-Session-Id": spelt})[0] for spelt in spellings)
        return " ".join(dict.fromkeys(str(answer.status) for answer in answers))


@attack("E7", "500 sessions of one principal", expects="^(200|429|503)( 429| 503)?$")
def many_sessions(world: World) -> str:
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    client = Client(world.gateway.port)
    with contextlib.closing(client):
        answers = [client.post(_request("initialize", params), {})[0] for _ in range(500)]
        for id in [answer.headers["mcp-session-id"] for answer in answers if answer.status == 200]:
            client.end_session({"Mcp-Session-Id": id})
        return " ".join(dict.fromkeys(str(answer.status) for answer in answers))


@attack("E7", "200 calls at once to a tool that takes half a second each", expects="^200 calls wait")
def many_calls(world: World) -> str:
    params = {"name": "honest-legacy_slow", "arguments": {"seconds": 0.01}, "_meta": _META}
    routing = ("MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: honest-legacy_slow")
    request = post(_request("tools/call", params), *routing)
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(connected(world)).sendall(request)
        return "200 calls wait, and are given up"


@attack("E7", "100 streams of one session", expects="^[0-9]+ streams")
def many_streams(world: World) -> str:
    client = Client(world.gateway.port)
    with contextlib.closing(client), contextlib.ExitStack() as stack:
        id = client.open_session()["Mcp-Session-Id"]
        fields = (f"Mcp-Session-Id: {id}", "MCP-Protocol-Version: 2025-11-25")
        request = head("GET", "/mcp", *fields).replace(b"application/json, text", b"text")
        links = [stack.enter_context(connected(world)) for _ in range(100)]
        for link in links:
            link.sendall(request)
        return f"{sum(link.recv(12).endswith(b'200') for link in links)} streams began, the oldest end"


@attack("body", "1,000 calls of tools that do not exist, names of 10 KB", expects="^(200|400|404)")
def unlisted_tools(world: World) -> str:
    bodies = (_request("tools/call", {"name": f"{number}" + "x" * 10_000}) for number in range(1_000))
    return _statuses(world, *bodies)


@attack("body", "a request of each kind with `params` of each type", expects="^[0-9 ]+$")
def odd_params(world: World) -> str:
    methods: tuple[str, ...] = (
        "initialize",
        "ping",
        "tools/call",
        "tools/list",
        "resources/read",
        "prompts/get",
        "completion/complete",
    )
    methods += ("logging/setLevel", "resources/subscribe", "tasks/get", "subscriptions/listen", "server/discover")
    odd: tuple[Any, ...] = (None, [], 5, "x", {}, {"_meta": None}, {"_meta": []}, {"name": None}, {"uri": []}, {"cursor": {}})
    answer = _statuses(world, *(_request(method, params) for method in methods for params in odd))
    assert "500" not in answer, answer
    return answer
