"""What servers offer beside tools, and what they say during a call: for clients of both eras, from servers of both."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from mcp import MCPError
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import PromptReference, ResourceTemplateReference

from tests.gateway.conftest import World
from tests.gateway.test_protocol import initialize
from tests.support.bridges import Connection
from tests.support.gateways import TOKEN

Told = tuple[float, float | None, str | None]
SERVERS = {"new": "modern", "old": "legacy"}
pytestmark = pytest.mark.anyio


@pytest.fixture(params=["legacy", "auto", "2026-07-28"])
def mode(request: pytest.FixtureRequest) -> Any:
    return request.param


@asynccontextmanager
async def connected(world: World, mode: Any) -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}) as http,
        Client(streamable_http_client(world.gateway.url, http_client=http), mode=mode) as client,
    ):
        yield client


async def test_prompts(world: World, mode: Any) -> None:
    async with connected(world, mode) as client:
        assert [prompt.name for prompt in (await client.list_prompts()).prompts] == ["new_greet", "old_greet"]
        for server in SERVERS:
            found = await client.get_prompt(f"{server}_greet", {"whom": "Zoë"})
            assert found.messages[0].content.text == "Greet Zoë"  # type: ignore[union-attr]
        with pytest.raises(MCPError, match="unknown prompt: 'absent'"):
            await client.get_prompt("absent", {})


async def test_resources(world: World, mode: Any) -> None:
    async with connected(world, mode) as client:
        listed = [str(resource.uri) for resource in (await client.list_resources()).resources]
        assert listed == ["memo://modern/all", "memo://legacy/all"]
        templates = [template.uri_template for template in (await client.list_resource_templates()).resource_templates]
        assert templates == ["memo://modern/note/{id}", "memo://legacy/note/{id}"]
        for uri in (*listed, "memo://modern/note/7", "memo://legacy/note/8"):
            found = await client.read_resource(uri)
            assert found.contents[0].text == f"text of {uri}"  # type: ignore[union-attr]
        with pytest.raises(MCPError) as refused:
            await client.read_resource("memo://absent/all")
        assert refused.value.error.code == (-32002 if mode == "legacy" else -32602)


async def test_completions(world: World, mode: Any) -> None:
    async with connected(world, mode) as client:
        for server, era in SERVERS.items():
            prompt = await client.complete(PromptReference(name=f"{server}_greet"), {"name": "whom", "value": "Z"})
            assert prompt.completion.values == ["greet:Z!"]
            template = f"memo://{era}/note/{{id}}"
            resource = await client.complete(ResourceTemplateReference(uri=template), {"name": "id", "value": "7"})
            assert resource.completion.values == [f"{template}:7!"]
        with pytest.raises(MCPError, match="unknown prompt"):
            await client.complete(PromptReference(name="absent"), {"name": "whom", "value": ""})


async def test_progress_reaches_who_asked_for_it_under_its_own_token(world: World, mode: Any) -> None:
    async with connected(world, mode) as client:
        for server in SERVERS:
            told: list[Told] = []

            async def on_progress(progress: float, total: float | None, message: str | None, told: list[Told] = told) -> None:
                told.append((progress, total, message))

            result = await client.call_tool(f"{server}_progress", {"x": 1}, progress_callback=on_progress)
            assert json.loads(result.content[0].text) == {"x": 1}  # type: ignore[union-attr]
            assert told == [(1, 3, "step 1"), (2, 3, "step 2")]  # the third has a token of no call


PROGRESS = {"name": "new_progress", "arguments": {}, "_meta": {"progressToken": "mine"}}


def ask(world: World, accept: str) -> httpx2.Response:
    _, headers = initialize(world)
    body = {"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": PROGRESS}
    return world.gateway.post(body, headers={**headers, "Accept": accept})


def test_an_answer_is_a_stream_only_if_something_comes_before_it(world: World) -> None:
    streamed = ask(world, "application/json, text/event-stream")
    assert streamed.headers["content-type"] == "text/event-stream"
    assert streamed.headers["x-accel-buffering"] == "no"
    events = [json.loads(line[6:]) for line in streamed.text.splitlines() if line.startswith("data: ")]
    assert [event.get("params", {}).get("progressToken") for event in events] == ["mine", "mine", None]
    assert events[-1]["id"] == 5
    plain = ask(world, "application/json")
    assert (plain.headers["content-type"], plain.json()["id"]) == ("application/json", 5)


def test_a_connection_is_used_again_after_a_stream(world: World) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": PROGRESS}).encode()
    _, session = initialize(world)
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
        f"Accept: application/json, text/event-stream\r\nMcp-Session-Id: {session['Mcp-Session-Id']}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with Connection(world.gateway.port) as client:
        for _ in range(2):
            client.socket.sendall(head.encode() + body)
            text = b""
            while not text.endswith(b"0\r\n\r\n"):
                text += client.file.readline()
            assert text.startswith(b"HTTP/1.1 200")
            assert text.count(b"notifications/progress") == 2


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        ("prompts/get", {"name": 1}, "params.name must be a string: the prompt's name"),
        ("resources/read", {"uri": None}, "params.uri must be a string: the resource's URI"),
        ("completion/complete", {"ref": {"type": "ref/other"}}, "params.ref.type must be ref/prompt or ref/resource"),
        ("completion/complete", {"ref": []}, "params must be an object"),
        ("prompts/list", {"cursor": "made up"}, "params.cursor is not of this list"),
    ],
)
def test_wrong_params_are_named(world: World, method: str, params: dict[str, Any], message: str) -> None:
    _, headers = initialize(world)
    answer = world.gateway.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, headers=headers).json()
    assert answer["error"]["code"] == -32602
    assert message in answer["error"]["message"]
