"""Clients of other SDKs and versions: what each sees of a server directly and through the gateway; docs/clients.md lists them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support import clients, npm
from tests.support.clients import Plan, Way
from tests.support.gateways import TOKEN, Gateway

from .client_reports import SERVERS, World, compare
from .client_table import DOCUMENT, HEAD, TABLE, label

META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
NAMED = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "resources/read"}
WANTED = "this gateway has no OAuth: configure the client to send the header Authorization: Bearer TOKEN"


@pytest.fixture(scope="module")
def world(bridge_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(bridge_program, tmp_path_factory.mktemp("clients"), stack)


@pytest.fixture
def ours(world: World) -> Gateway:
    return world.gateway("old")


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    return clients.scripts(tmp_path)


@pytest.mark.parametrize("way", clients.WAYS, ids=str)
def test_a_client_sees_the_same_of_a_server_as_directly(world: World, scripts: Path, way: Way) -> None:
    """Of the server on the Python SDK 1; `make clients` compares all."""
    name = "old"
    comparison = compare(world, scripts, way, name)
    assert comparison.differences == []
    answers = SERVERS[name].answers
    assert comparison.texts == {tool: answers.get(tool, text) for tool, text in comparison.texts.items()}
    assert sum(row.startswith(label(way)) for row in DOCUMENT.read_text().splitlines()) == 1


def test_the_document_has_a_row_for_each_way() -> None:
    written = DOCUMENT.read_text()
    assert written.startswith(HEAD + TABLE)
    assert len(written.removeprefix(HEAD + TABLE).splitlines()) == len(clients.WAYS)


def test_the_batches_of_a_client_of_version_2025_03_26(ours: Gateway, scripts: Path) -> None:
    """The servers of the other tests take none."""
    batch: list[dict[str, Any]] = [
        {"jsonrpc": "2.0", "id": "b1", "method": "tools/call", "params": {"name": "old_count", "arguments": {}}},
        {"jsonrpc": "2.0", "method": "notifications/roots/list_changed"},
        {"jsonrpc": "2.0", "id": "b2", "method": "tools/call", "params": {"name": "no_such"}},
        {
            "jsonrpc": "2.0",
            "id": "b3",
            "method": "tools/call",
            "params": {"name": "old_work", "arguments": {"steps": 2}, "_meta": {"progressToken": "t"}},
        },
    ]
    for path in ("/mcp", "/sse"):
        url = ours.url.removesuffix("/mcp") + path
        found = clients.report(Way("TypeScript SDK 1.12", path), Plan(batch=batch), url, TOKEN, scripts)
        assert found["batch"] == {"b1": "1", "b2": -32602, "b3": "2 steps", "progress": [1, 2]}


def test_mcp_remote_without_a_token_shows_that_one_is_wanted(ours: Gateway, scripts: Path) -> None:
    done = clients.run([*npm.program("mcp-remote"), ours.url, "--allow-http", "--transport", "http-only"], scripts)
    assert done.returncode != 0
    assert WANTED in done.stderr


def test_a_client_that_tries_oauth_shows_that_a_bearer_token_is_wanted(ours: Gateway, scripts: Path) -> None:
    done = clients.run([str(npm.node()), "oauth1.mjs", ours.url], scripts)
    assert WANTED in json.loads(done.stdout)["error"]


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_what_mcp_apps_need_passes_as_it_is(ours: Gateway, era: str) -> None:
    """The extension `io.modelcontextprotocol/ui`: a tool names its `ui://` resource, which is listed and read."""
    if era == "modern":
        ask = ours.modern
    else:
        headers = ours.session()

        def ask(method: str, **params: Any) -> Any:
            return ours.post({"jsonrpc": "2.0", "id": 2, "method": method, "params": params}, headers=headers)

    (tool,) = [tool for tool in ask("tools/list").json()["result"]["tools"] if tool["name"] == "old_count"]
    uri = tool["_meta"]["ui"]["resourceUri"]
    assert tool["_meta"]["ui"] == {"resourceUri": "ui://fastmcp1/count", "visibility": ["model", "app"]}
    (listed,) = [one for one in ask("resources/list").json()["result"]["resources"] if one["uri"] == uri]
    assert (listed["mimeType"], listed["_meta"]) == ("text/html;profile=mcp-app", {"ui": {"prefersBorder": True}})
    if era == "modern":
        body = {"jsonrpc": "2.0", "id": 3, "method": "resources/read", "params": {"uri": uri, "_meta": META}}
        read = ours.post(body, headers=NAMED | {"Mcp-Name": uri})
    else:
        read = ask("resources/read", uri=uri)
    (content,) = read.json()["result"]["contents"]
    assert (content["text"], content["mimeType"]) == ("<!doctype html><title>Count</title>", "text/html;profile=mcp-app")
