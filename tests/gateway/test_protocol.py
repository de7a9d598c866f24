"""Both eras on one endpoint, by the official SDK and by hand."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from mcp import MCPError
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from mcpgateway.access import challenges
from mcpgateway.protocol import jsonrpc
from tests.gateway.conftest import World
from tests.support.gateways import TOKEN

TOOLS: tuple[str, ...] = ("echo", "pid", "count", "die", "kill", "hang", "junk", "big", "slow", "environ")
TOOLS += ("progress", "ask", "log", "capabilities", "flaky", "flaky_write")


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["legacy", "auto", "2026-07-28"])
async def test_an_sdk_client_lists_and_calls_tools_of_both_servers(world: World, mode: Any) -> None:
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}) as http,
        Client(streamable_http_client(world.gateway.url, http_client=http), mode=mode) as client,
    ):
        names = [tool.name for tool in (await client.list_tools()).tools]
        assert names == [f"{server}_{tool}" for server in ("new", "old") for tool in TOOLS]
        for server in ("new", "old"):
            result = await client.call_tool(f"{server}_echo", {"text": "grüße"})
            assert json.loads(result.content[0].text) == {"text": "grüße"}  # type: ignore[union-attr]
        with pytest.raises(MCPError, match="unknown tool: 'nothing'"):
            await client.call_tool("nothing", {})


def initialize(
    world: World, version: str = "2025-11-25", capabilities: dict[str, Any] | None = None
) -> tuple[dict[str, Any], dict[str, str]]:
    params = {"protocolVersion": version, "capabilities": capabilities or {}, "clientInfo": {"name": "t", "version": "1"}}
    answer = world.gateway.post({"jsonrpc": "2.0", "id": "i", "method": "initialize", "params": params})
    session = answer.headers["mcp-session-id"]
    return answer.json()["result"], {"Mcp-Session-Id": session, "MCP-Protocol-Version": version}


def test_initialize_offers_what_works(world: World) -> None:
    result, _ = initialize(world)
    assert result["protocolVersion"] == "2025-11-25"
    changing = {"listChanged": True}
    assert result["capabilities"] == {
        "tools": changing,
        "prompts": changing,
        "resources": {**changing, "subscribe": True},
        "completions": {},
        "logging": {},
        "extensions": {"io.modelcontextprotocol/tasks": {}, "vendor/x": {"n": 1.5}},
    }


def test_a_session_is_needed_known_and_can_be_ended(world: World) -> None:
    ask = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    assert world.gateway.post(ask).status_code == 400
    assert world.gateway.post(ask, headers={"Mcp-Session-Id": "made-up"}).status_code == 404
    _, headers = initialize(world)
    assert len(world.gateway.post(ask, headers=headers).json()["result"]["tools"]) == 2 * len(TOOLS)
    authorized = headers | {"Authorization": f"Bearer {TOKEN}"}
    assert httpx2.delete(world.gateway.url, headers=authorized).status_code == 204
    assert world.gateway.post(ask, headers=headers).status_code == 404


def test_notifications_and_responses_are_accepted_without_an_answer(world: World) -> None:
    _, headers = initialize(world)
    for body in (
        {"method": "notifications/initialized"},
        {"id": 5, "result": {}},
        {"method": "notifications/whatever", "params": {}},
    ):
        answer = world.gateway.post({"jsonrpc": "2.0", **body}, headers=headers)
        assert (answer.status_code, answer.content) == (202, b"")


def test_ping_is_answered_in_the_legacy_era_only(world: World) -> None:
    _, headers = initialize(world)
    assert world.gateway.post({"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers=headers).json()["result"] == {}
    assert world.gateway.modern("ping").status_code == 404


@pytest.mark.parametrize("id", [1, 0, -7, "one", "", "ü", 2**70])
def test_ids_come_back_as_they_were(world: World, id: int | str) -> None:
    assert world.gateway.modern("tools/list", id=id).json()["id"] == id


def test_a_session_servers_state_is_one_sessions_own(world: World) -> None:
    sessions = [initialize(world)[1] for _ in range(2)]

    def count(headers: dict[str, str]) -> str:
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "old_count", "arguments": {}}}
        return str(world.gateway.post(body, headers=headers).json()["result"]["content"][0]["text"])

    assert [count(sessions[0]), count(sessions[0]), count(sessions[1])] == ["1", "2", "1"]


def test_a_shared_server_has_one_process(world: World) -> None:
    assert world.gateway.text("new_pid") == world.gateway.text("new_pid")
    assert world.gateway.server("new")["isolation"] == "Shared"
    assert world.gateway.server("old")["isolation"] == "Session"


def test_what_the_server_says_passes_byte_for_byte(world: World) -> None:
    raw = world.gateway.modern("tools/call", name="new_echo", arguments={"x": 1}).content
    assert b'"x-vendor": [1.5, "\\u00fc"]' in raw
    listed = world.gateway.modern("tools/list").json()["result"]["tools"][0]
    assert listed == {"name": "new_echo", "inputSchema": {"type": "object"}, "x-vendor": {"n": 1.5}}


def test_results_for_modern_clients_are_complete(world: World) -> None:
    for server in ("new", "old"):
        result = world.gateway.call(f"{server}_echo")["result"]
        assert result.get("resultType", "complete") == "complete"
    assert world.gateway.call("old_echo")["result"]["resultType"] == "complete"
    discovered = world.gateway.modern("server/discover").json()["result"]
    assert (discovered["supportedVersions"], discovered["resultType"], discovered["cacheScope"]) == (
        ["2026-07-28"],
        "complete",
        "private",
    )


def test_big_messages_pass(world: World) -> None:
    assert len(world.gateway.text("new_big", size=3_000_000)) == 3_000_000
    assert json.loads(world.gateway.text("new_echo", blob="y" * 1_000_000))["blob"] == "y" * 1_000_000


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, jsonrpc.PARSE_ERROR),
        (b"{", 400, jsonrpc.PARSE_ERROR),
        (b"[]", 400, jsonrpc.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', 400, jsonrpc.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":' + b"[" * 50_000 + b"]" * 50_000 + b"}", 400, jsonrpc.PARSE_ERROR),
    ],
)
def test_a_malformed_request_gets_the_right_status_and_error(world: World, body: bytes, status: int, code: int) -> None:
    answer = world.gateway.post(body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"Mcp-Method": "tools/call"}, 400, jsonrpc.HEADER_MISMATCH),
        ({"MCP-Protocol-Version": "2031-01-01"}, 400, jsonrpc.UNSUPPORTED_VERSION),
        ({"MCP-Protocol-Version": "2025-11-25"}, 400, jsonrpc.HEADER_MISMATCH),
    ],
)
def test_headers_must_agree_with_the_body(world: World, changes: dict[str, str], status: int, code: int) -> None:
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
    body = {"jsonrpc": "2.0", "id": 9, "method": "tools/list", "params": {"_meta": meta}}
    answer = world.gateway.post(body, headers={"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list"} | changes)
    assert (answer.status_code, answer.json()["error"]["code"], answer.json()["id"]) == (status, code, 9)


def test_params_that_are_no_object_and_made_up_cursors_are_refused(world: World) -> None:
    _, headers = initialize(world)
    for params in ([1], {"name": 7}, {"cursor": "mine"}):
        method = "tools/list" if "cursor" in params else "tools/call"
        answer = world.gateway.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, headers=headers)
        assert answer.json()["error"]["code"] == jsonrpc.INVALID_PARAMS


def test_only_who_has_a_token_gets_in(world: World) -> None:
    for token in (None, "wrong"):
        answer = world.gateway.post({"jsonrpc": "2.0", "id": 1, "method": "ping"}, token=token)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith('Bearer realm="mcp"')
    assert httpx2.get(world.gateway.url).status_code == 401
    assert httpx2.get(world.gateway.url.replace("/mcp", "/health")).status_code == 200


@pytest.mark.parametrize(
    ("sent", "header", "message"),
    [
        (None, 'Bearer realm="mcp"', "a valid bearer token is needed; "),
        (
            "Bearer wrong",
            'Bearer realm="mcp", error="invalid_token", error_description="the bearer token is not valid here"',
            "the bearer token is not valid here; ",
        ),
        (
            "Basic ZGV2OnMzY3JldA==",
            'Bearer realm="mcp", error="invalid_request", '
            'error_description="the header Authorization must have the scheme Bearer"',
            "the header Authorization must have the scheme Bearer; ",
        ),
    ],
)
def test_a_refusal_says_that_a_bearer_token_is_wanted(world: World, sent: str | None, header: str, message: str) -> None:
    answer = world.gateway.post(
        {"jsonrpc": "2.0", "id": 1, "method": "ping"}, token=None, headers={"Authorization": sent} if sent else None
    )
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, header)
    assert answer.json()["error"]["message"] == message + challenges.NO_OAUTH


@pytest.mark.parametrize(
    "path",
    [
        *("/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp", "/register", "/token"),
        *("/.well-known/oauth-authorization-server/mcp", "/mcp/.well-known/openid-configuration", "/authorize"),
    ],
)
def test_where_clients_look_for_oauth_they_learn_that_there_is_none(world: World, path: str) -> None:
    answer = httpx2.post(world.gateway.url.replace("/mcp", path), json={"redirect_uris": []})
    assert answer.status_code == 404
    assert answer.json() == {"error": "invalid_request", "error_description": challenges.NO_OAUTH}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example.com"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example.com"}, 421),
        ({"Content-Type": "text/plain"}, 415),
        ({"Accept": "text/html"}, 406),
    ],
)
def test_foreign_pages_hosts_and_types_are_refused(world: World, headers: dict[str, str], status: int) -> None:
    assert world.gateway.post({"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers=headers).status_code == status


def test_get_is_a_stream_for_legacy_sessions_only(world: World) -> None:
    authorized = {"Authorization": f"Bearer {TOKEN}"}
    assert httpx2.get(world.gateway.url, headers=authorized | {"MCP-Protocol-Version": "2026-07-28"}).status_code == 405
    assert httpx2.get(world.gateway.url, headers=authorized).status_code == 400
    _, headers = initialize(world)
    assert httpx2.get(world.gateway.url, headers=authorized | headers | {"Accept": "application/json"}).status_code == 406
    with httpx2.stream("GET", world.gateway.url, headers=authorized | headers | {"Accept": "text/event-stream"}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert next(stream.iter_lines()) == ": open"


def test_metrics_and_probes(world: World) -> None:
    base = f"http://127.0.0.1:{world.gateway.internal}"
    assert [httpx2.get(f"{base}{path}").status_code for path in ("/healthz", "/readyz", "/metrics", "/nothing")] == [
        200,
        200,
        200,
        404,
    ]
    assert "mcpgateway_servers_ready 2.0" in httpx2.get(f"{base}/metrics").text
    refused = httpx2.get(f"{base}/status", params={"wait": "soon"})
    assert (refused.status_code, refused.json()["error"]) == (400, "wait is 'soon': want seconds, for example 60s")
