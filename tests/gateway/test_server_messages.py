"""What a legacy session's own servers say by themselves, and what its client answers."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import (
    CreateMessageResult,
    ElicitResult,
    ListRootsResult,
    LoggingMessageNotificationParams,
    ResourceUpdatedNotification,
    Root,
    TextContent,
)

from tests.gateway.conftest import World
from tests.gateway.test_protocol import initialize
from tests.support.bridges import until
from tests.support.gateways import TOKEN
from tests.support.waiting import PATIENCE

FORM = {"message": "Your name?", "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}}}
ASKABLE: dict[str, Any] = {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}}
PROMPT = {"messages": [{"role": "user", "content": {"type": "text", "text": "hi"}}], "maxTokens": 5}

# Logging and subscriptions go with the legacy era; the SDK says so at each use.
pytestmark = pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")


class Person:
    """Answers like a client with a person and a model behind it."""

    def __init__(self) -> None:
        self.logged: list[LoggingMessageNotificationParams] = []
        self.updated = asyncio.Event()

    async def elicit(self, context: Any, params: Any) -> ElicitResult:
        return ElicitResult(action="accept", content={"name": f"answer to {params.message}"})

    async def sample(self, context: Any, params: Any) -> CreateMessageResult:
        return CreateMessageResult(role="assistant", content=TextContent(type="text", text="hello"), model="m")

    async def roots(self, context: Any) -> ListRootsResult:
        return ListRootsResult(roots=[Root(uri="file:///home")])

    async def log(self, params: LoggingMessageNotificationParams) -> None:
        self.logged.append(params)

    async def hear(self, message: Any) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            self.updated.set()


@asynccontextmanager
async def connected(world: World, person: Person, mode: Any = "legacy") -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}) as http,
        Client(
            streamable_http_client(world.gateway.url, http_client=http),
            mode=mode,
            elicitation_callback=person.elicit,
            sampling_callback=person.sample,
            list_roots_callback=person.roots,
            logging_callback=person.log,
            message_handler=person.hear,
        ) as client,
    ):
        yield client


async def call(client: Client, tool: str, server: str = "old", **arguments: Any) -> Any:
    result = await client.call_tool(f"{server}_{tool}", arguments)
    return json.loads(result.content[0].text)  # type: ignore[union-attr]


@pytest.mark.anyio
@pytest.mark.parametrize("server", ["old", "new"])
@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_a_server_asks_its_client_in_the_middle_of_a_call(world: World, mode: str, server: str) -> None:
    async with connected(world, Person(), mode) as client:
        elicited = await call(client, "ask", server, method="elicitation/create", params=FORM)
        assert elicited == {"action": "accept", "content": {"name": f"answer to [{server}] Your name?"}}
        sampled = await call(client, "ask", server, method="sampling/createMessage", params=PROMPT)
        assert sampled["content"]["text"] == "hello"
        assert (await call(client, "ask", server, method="roots/list"))["roots"][0]["uri"] == "file:///home"


@pytest.mark.anyio
@pytest.mark.parametrize("server", ["old", "new"])
async def test_many_clients_are_asked_each_for_its_own(world: World, server: str) -> None:
    async def one(number: int) -> None:
        async with connected(world, Person()) as client:
            for turn in range(3):
                form = {**FORM, "message": f"{number}/{turn}"}
                answer = await call(client, "ask", server, method="elicitation/create", params=form)
                assert answer["content"]["name"] == f"answer to [{server}] {number}/{turn}"

    await asyncio.gather(*(one(number) for number in range(8)))


@pytest.mark.anyio
@pytest.mark.parametrize("server", ["old", "new"])
async def test_a_server_knows_what_its_client_can(world: World, server: str) -> None:
    async with connected(world, Person()) as client:
        assert {"elicitation", "sampling", "roots"} <= set(await call(client, "capabilities", server))
    answer = world.gateway.modern("tools/call", name="old_capabilities", arguments={}).json()
    assert json.loads(answer["result"]["content"][0]["text"]) == {}


@pytest.mark.anyio
@pytest.mark.parametrize("server", ["old", "new"])
async def test_log_messages_arrive_from_the_level_on_that_the_session_wants(world: World, server: str) -> None:
    person = Person()
    async with connected(world, person) as client:
        await client.set_logging_level("warning")  # before the server's process is there
        await call(client, "log", server, level="info", data="unwanted")
        await call(client, "log", server, level="error", data={"wanted": 1})
        await client.set_logging_level("debug")
        await call(client, "log", server, level="debug", data="now wanted")
    assert [(entry.level, entry.data) for entry in person.logged] == [("error", {"wanted": 1}), ("debug", "now wanted")]


@pytest.mark.anyio
@pytest.mark.parametrize("server", ["legacy", "modern"])
async def test_a_subscribed_resource_is_told_of_on_the_sessions_stream(world: World, server: str) -> None:
    person = Person()
    async with connected(world, person) as client:
        await call(client, "echo", "old")  # the session's GET stream is open by then
        await client.subscribe_resource(f"memo://{server}/all")
        async with asyncio.timeout(PATIENCE):
            await person.updated.wait()
        await client.unsubscribe_resource(f"memo://{server}/all")


class Raw:
    """A legacy session by hand; its client can be asked everything."""

    def __init__(self, world: World) -> None:
        self.world = world
        _, self.headers = initialize(world, capabilities=ASKABLE)

    def post(self, **message: Any) -> httpx2.Response:
        return self.world.gateway.post({"jsonrpc": "2.0", **message}, headers=self.headers)

    def ask(self, accept: str = "application/json, text/event-stream", **arguments: Any) -> httpx2.Response:
        self.headers["Accept"] = accept
        return self.post(id=1, method="tools/call", params={"name": "old_ask", "arguments": arguments})

    @contextmanager
    def asked(self, server: str = "old", **arguments: Any) -> Iterator[Iterator[dict[str, Any]]]:
        """A call's stream of messages."""
        params = {"name": f"{server}_ask", "arguments": arguments}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        headers = {**self.headers, "Authorization": f"Bearer {TOKEN}", "Accept": "application/json, text/event-stream"}
        with httpx2.stream("POST", self.world.gateway.url, json=body, headers=headers, timeout=PATIENCE) as response:
            yield (json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: "))


def test_a_client_that_cannot_be_asked_is_not_waited_for(world: World) -> None:
    answer = Raw(world).ask(accept="application/json", method="elicitation/create", params=FORM).json()
    assert "no stream open that it could be asked on" in answer["result"]["content"][0]["text"]


@pytest.mark.parametrize(
    ("capabilities", "method", "params", "code", "reason"),
    [
        ({}, "elicitation/create", FORM, -32601, "the client has not declared the capability elicitation"),
        ({"roots": {}}, "sampling/createMessage", PROMPT, -32601, "the client has not declared the capability sampling"),
        (ASKABLE, "vendor/strange", {}, -32601, "vendor/strange: no client is asked this"),
        (
            ASKABLE,
            "elicitation/create",
            {"mode": "url", "message": "m", "url": "javascript:alert(1)"},
            -32602,
            "params.url must be an http or https URL: 'javascript:alert(1)'",
        ),
    ],
)
def test_what_a_client_has_not_declared_is_refused_to_the_server(
    world: World, capabilities: dict[str, Any], method: str, params: dict[str, Any], code: int, reason: str
) -> None:
    raw = Raw(world)
    _, raw.headers = initialize(world, capabilities=capabilities)
    answer = raw.ask(method=method, params=params)
    messages = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")] or [answer.json()]
    refused = json.loads(messages[-1]["result"]["content"][0]["text"])
    assert (len(messages), refused["code"]) == (1, code)
    assert reason in refused["message"]


@pytest.mark.parametrize("mode", ["legacy", "modern"])
def test_a_modern_servers_question_that_the_client_cannot_be_asked_ends_its_call(world: World, mode: str) -> None:
    arguments = {"method": "sampling/createMessage", "params": PROMPT}
    if mode == "modern":
        error = world.gateway.call("new_ask", **arguments)["error"]
    else:
        raw = Raw(world)
        _, raw.headers = initialize(world)
        params = {"name": "new_ask", "arguments": arguments}
        raw.headers["Accept"] = "application/json, text/event-stream"
        error = raw.post(id=1, method="tools/call", params=params).json()["error"]
    assert "has not declared" in error["message"]
    assert "the client has not declared the capability sampling" in error["message"]


def test_the_question_passes_byte_for_byte_and_so_does_an_error_as_its_answer(world: World) -> None:
    raw = Raw(world)
    with raw.asked(method="sampling/createMessage", params={"n": 1.50, "big": 2**70, "ü": [None]}) as messages:
        question = next(messages)
        assert (question["method"], question["params"]) == ("sampling/createMessage", {"n": 1.50, "big": 2**70, "ü": [None]})
        assert raw.post(id=question["id"], error={"code": -1, "message": "nö", "data": [1]}).status_code == 202
        text = next(messages)["result"]["content"][0]["text"]
    assert json.loads(text) == {"code": -1, "message": "nö", "data": [1]}


def test_a_modern_servers_elicitation_by_url_gets_the_id_that_legacy_clients_know(world: World) -> None:
    raw = Raw(world)
    with raw.asked(
        "new", method="elicitation/create", params={"mode": "url", "url": "https://example.com/", "message": "m"}
    ) as messages:
        question = next(messages)
        assert question["params"]["elicitationId"]
        raw.post(id=question["id"], result={"action": "accept"})
        assert json.loads(next(messages)["result"]["content"][0]["text"]) == {"action": "accept"}


def test_a_refusal_and_a_client_that_cannot_be_asked_end_a_modern_servers_call(world: World) -> None:
    raw = Raw(world)
    with raw.asked("new", method="elicitation/create", params=FORM) as messages:
        raw.post(id=next(messages)["id"], error={"code": -1, "message": "not today"})
        assert "server 'new': the client refused to answer: not today" in next(messages)["error"]["message"]
    raw.headers["Accept"] = "application/json"
    params = {"name": "new_ask", "arguments": {"method": "elicitation/create", "params": FORM}}
    error = raw.post(id=1, method="tools/call", params=params).json()["error"]
    assert "elicitation/create: the client has no stream open" in error["message"]


def test_another_sessions_answer_and_a_second_one_change_nothing(world: World) -> None:
    mine, other = Raw(world), Raw(world)
    with mine.asked(method="elicitation/create", params=FORM) as messages:
        question = next(messages)["id"]
        assert other.post(id=question, result={"forged": True}).status_code == 202
        for answer in ({"first": 1}, {"second": 2}):
            assert mine.post(id=question, result=answer).status_code == 202
        assert json.loads(next(messages)["result"]["content"][0]["text"]) == {"first": 1}


def test_a_call_waits_longer_for_a_person_than_for_a_server(world: World) -> None:
    """The servers here have 3 s for a call."""
    raw = Raw(world)
    with raw.asked(method="elicitation/create", params=FORM) as messages, concurrent.futures.ThreadPoolExecutor() as pool:
        question = next(messages)["id"]
        rest = pool.submit(next, messages)
        done, _ = concurrent.futures.wait([rest], timeout=4)
        assert not done
        raw.post(id=question, result={"late": True})
        assert json.loads(rest.result(timeout=PATIENCE)["result"]["content"][0]["text"]) == {"late": True}


def test_a_wrong_level_is_named(world: World) -> None:
    error = Raw(world).post(id=1, method="logging/setLevel", params={"level": "loud"}).json()["error"]
    assert (error["code"], "params.level must be one of debug, info" in error["message"]) == (-32602, True)


def test_capabilities_survive_the_gateway_in_the_sessions_token(world: World) -> None:
    params = {"protocolVersion": "2025-11-25", "clientInfo": {"name": "t", "version": "1"}}
    for size, kept in ((100, True), (5000, False)):
        capabilities = {"experimental": {"x": "y" * size}}
        opened = world.gateway.post(
            {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {**params, "capabilities": capabilities}}
        )
        token = opened.headers["mcp-session-id"]
        assert len(token) <= 1024
        ask = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "old_capabilities", "arguments": {}}}
        answer = world.gateway.post(ask, headers={"Mcp-Session-Id": token}).json()
        assert json.loads(answer["result"]["content"][0]["text"]) == (capabilities if kept else {})


def test_the_end_of_a_session_ends_its_process(world: World) -> None:
    raw = Raw(world)
    raw.post(id=1, method="tools/call", params={"name": "old_echo", "arguments": {}})
    before = len(world.legacy.children())
    httpx2.delete(world.gateway.url, headers={**raw.headers, "Authorization": f"Bearer {TOKEN}"})
    until("one process less", lambda: len(world.legacy.children()) < before)
