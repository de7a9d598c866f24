"""Calls that wait for their client's answer have a bound of their own, and take no room of calls that run."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mcpgateway.access.keyring import KeyRing
from mcpgateway.config import Server
from mcpgateway.gateway import Gateway, Settings, start
from mcpgateway.protocol import request_meta
from mcpgateway.requests import input_required, router
from mcpgateway.requests.call_limits import CallLimits
from mcpgateway.requests.input_required import InputRequiredStore, ParkedCall
from mcpgateway.upstream.active_call import Question
from tests.gateway.test_session_end import CAPABILITIES, Client, Posted, condition
from tests.support.gateways import MODERN, configuration, write_config
from tests.support.scripted_bridge import result, scripted_bridge

RUNNING, WAITING = 2, 3
FORM = {"message": "?", "requestedSchema": {"type": "object", "properties": {}}}
ANSWER = {"action": "accept", "content": {}}


class Asking:
    """A server's process: a call is answered when its question is, one without a question never."""

    def __init__(self) -> None:
        self.refused: list[str] = []
        self._calls: dict[str, dict[str, Any]] = {}

    def answer(self, message: dict[str, Any]) -> bytes | None:
        if "method" not in message:
            call = self._calls.pop(message["id"])
            if "error" in message:
                self.refused.append(message["error"]["message"])
            return result(call, {"content": [{"type": "text", "text": "error" if "error" in message else "answered"}]})
        if message["method"] != "tools/call":
            return None
        if not message["params"]["arguments"]["ask"]:
            return b""
        id = f"q{len(self._calls)}-{message['id']}"
        self._calls[id] = message
        question = {"jsonrpc": "2.0", "id": id, "method": "elicitation/create", "params": FORM}
        return json.dumps(question).encode() + b"\n"


@contextlib.asynccontextmanager
async def asking(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Gateway, Asking]]:
    """A gateway in this process with small bounds, and its server."""
    monkeypatch.setattr(router, "CallLimits", partial(CallLimits, principal=RUNNING, waiting=WAITING))
    process = Asking()
    async with scripted_bridge(process.answer) as bridge:
        server = Server(name="s", addresses=(bridge.address,), isolation="Principal")
        write_config(folder, configuration(server, folder=folder))
        gateway = await start(Settings(config=folder / "config.json"))
        gateway.configure(gateway.reading)
        await condition("the server", lambda: all(found.snapshot.available for found in gateway.router.backends.values()))
        await condition("the start to be over", lambda: gateway.router.startup.over)
        yield gateway, process
        await gateway._close()


def modern(gateway: Gateway, id: int, *, ask: bool, **more: Any) -> Posted:
    """Send a call of a modern client, which can be asked."""
    meta = {request_meta.VERSION_KEY: MODERN, request_meta.CAPABILITIES_KEY: {"elicitation": {}}}
    params = {"name": "s_t", "arguments": {"ask": ask, "n": id}, "_meta": meta, **more}
    headers = {b"mcp-protocol-version": MODERN.encode(), b"mcp-method": b"tools/call", b"mcp-name": b"s_t"}
    posted = Posted(headers, {"id": id, "method": "tools/call", "params": params})
    gateway.router.handle(posted)
    return posted


def legacy(gateway: Gateway, client: Client, id: int) -> Posted:
    """Send a call of a legacy client."""
    posted = Posted(client.headers, {"id": id, "method": "tools/call", "params": {"name": "s_t", "arguments": {"ask": True}}})
    gateway.router.handle(posted)
    return posted


async def outcome(posted: Posted) -> dict[str, Any]:
    await condition("an answer", posted.answered.is_set)
    answer: dict[str, Any] = json.loads(posted.answer)
    return answer


async def assert_room_is_left(gateway: Gateway) -> None:
    """As many calls run as may, and no more."""
    running = [modern(gateway, 100 + number, ask=False) for number in range(RUNNING)]
    refused = await outcome(modern(gateway, 200, ask=False))
    assert refused["error"]["data"] == {"reason": "TooManyCalls", "scope": "principal", "limit": RUNNING}
    assert not any(posted.answered.is_set() for posted in running)
    for posted in running:
        assert posted.on_disconnect is not None
        posted.on_disconnect()


@pytest.mark.anyio
async def test_parked_calls_of_a_modern_client_leave_room_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with asking(tmp_path, monkeypatch) as (gateway, process):
        parked = [(await outcome(modern(gateway, number, ask=True)))["result"] for number in range(WAITING)]
        assert all(result["resultType"] == "input_required" for result in parked)
        beyond = await outcome(modern(gateway, 50, ask=True))
        assert beyond["result"]["content"][0]["text"] == "error"
        assert f"has {WAITING} calls that wait for an answer of its clients" in process.refused[0]
        await assert_room_is_left(gateway)
        for number, asked in enumerate(parked):
            answers = dict.fromkeys(asked["inputRequests"], ANSWER)
            again = modern(gateway, number, ask=True, inputResponses=answers, requestState=asked["requestState"])
            assert (await outcome(again))["result"]["content"][0]["text"] == "answered"
        await assert_room_is_left(gateway)


@pytest.mark.anyio
async def test_calls_of_a_legacy_client_that_is_asked_leave_room_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with asking(tmp_path, monkeypatch) as (gateway, process):
        assert "elicitation" in CAPABILITIES
        client = Client(gateway)
        await client.open()
        waiting = []
        for number in range(WAITING):
            posted = legacy(gateway, client, number)
            await condition("the client to be asked", lambda posted=posted: bool(posted.told))  # type: ignore[misc]
            waiting.append(posted)
        beyond = await outcome(legacy(gateway, client, 50))
        assert beyond["result"]["content"][0]["text"] == "error"
        assert f"has {WAITING} calls that wait" in process.refused[0]
        await assert_room_is_left(gateway)
        for posted in waiting:
            gateway.router.handle(Posted(client.headers, {"id": posted.told[0]["id"], "result": ANSWER}))
            assert (await outcome(posted))["result"]["content"][0]["text"] == "answered"
        await assert_room_is_left(gateway)


class Kept:
    """A call that can be parked."""

    def __init__(self) -> None:
        self.expired = False

    def expire(self) -> None:
        self.expired = True

    def resume(self, answer: Any, params: Any) -> None: ...


def test_so_many_calls_are_parked_and_the_oldest_of_all_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_required, "MAX_PARKED", 3)
    store = InputRequiredStore(KeyRing({"k": b"k" * 32}))
    calls = [Kept() for _ in range(4)]
    for call in calls:
        store.put(call, "binding")
    assert [call.expired for call in calls] == [True, False, False, False]


def test_a_call_has_so_many_open_questions() -> None:
    parked = ParkedCall(InputRequiredStore(KeyRing({"k": b"k" * 32})))
    question = Question("roots/list", None, answer=lambda raw: None, refuse=lambda words: None)
    for _ in range(input_required.MAX_QUESTIONS):
        assert not parked.full
        parked.add(question)
    assert parked.full
