"""Modern clients and what legacy servers ask them, log, and tell of changes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from msgspec import Raw

from mcpgateway.access.keyring import KeyRing
from mcpgateway.protocol import request_meta
from mcpgateway.protocol.jsonrpc import ProtocolError
from mcpgateway.requests import input_required
from mcpgateway.requests.input_required import InputRequiredStore
from tests.gateway.conftest import World
from tests.support.bridges import until
from tests.support.gateways import MODERN, TOKEN
from tests.support.waiting import PATIENCE

FORM = {"message": "Your name?", "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}}}
ANSWER = {"action": "accept", "content": {"name": "ü", "n": 1.50}}


def message(method: str, *, id: Any = 1, capabilities: Any = None, level: str | None = None, **params: Any) -> dict[str, Any]:
    meta: dict[str, Any] = {
        request_meta.VERSION_KEY: MODERN,
        request_meta.CAPABILITIES_KEY: {} if capabilities is None else capabilities,
    }
    if level is not None:
        meta[request_meta.META + "logLevel"] = level
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": {**params, "_meta": meta}}


def headers(body: dict[str, Any]) -> dict[str, str]:
    name = body["params"].get("name") or body["params"].get("uri")
    found = {"MCP-Protocol-Version": MODERN, "Mcp-Method": body["method"]} | ({"Mcp-Name": name} if name else {})
    return {**found, "Authorization": f"Bearer {TOKEN}", "Accept": "application/json, text/event-stream"}


def ask(world: World, *, id: int = 1, question: str = "elicitation/create", tool: str = "old_ask", **more: Any) -> dict[str, Any]:
    arguments = {"method": question, "params": FORM}
    body = message("tools/call", id=id, name=tool, arguments=arguments, capabilities={"elicitation": {}}, **more)
    answer: dict[str, Any] = world.gateway.post(body, headers=headers(body)).json()
    return answer


def retry(world: World, asked: dict[str, Any], **more: Any) -> dict[str, Any]:
    responses = dict.fromkeys(asked["inputRequests"], ANSWER)
    return ask(world, id=2, **{"inputResponses": responses, "requestState": asked["requestState"], **more})


def test_a_question_in_the_middle_of_a_call_is_its_result_and_the_retry_ends_it(world: World) -> None:
    asked = ask(world)["result"]
    assert asked["resultType"] == "input_required"
    assert list(asked["inputRequests"].values()) == [
        {"method": "elicitation/create", "params": {**FORM, "message": "[old] Your name?"}}
    ]
    answer = retry(world, asked)
    assert (answer["id"], json.loads(answer["result"]["content"][0]["text"])) == (2, ANSWER)
    assert answer["result"]["resultType"] == "complete"


def test_a_state_works_once_and_only_as_it_was_given(world: World) -> None:
    asked = ask(world)["result"]
    state = asked["requestState"]
    body, _, signature = state.rpartition(".")
    forged = f"{body}.{signature[:-2]}{'AA' if signature[-2:] != 'AA' else 'BB'}"
    for wrong in (forged, "", "x", state + "x", 5):
        assert retry(world, asked, requestState=wrong)["error"]["code"] == -32602, wrong
    other_request = retry(world, asked, question="roots/list")
    words = {other_request["error"]["message"]}
    assert "result" in retry(world, asked)
    words.add(retry(world, asked)["error"]["message"])
    assert words == {"params.requestState is not valid (any more): send the request without it"}


def test_a_missing_or_wrong_answer_is_asked_for_again(world: World) -> None:
    asked = ask(world)["result"]
    for responses in ({}, {"other": ANSWER}, dict.fromkeys(asked["inputRequests"], 7)):
        asked = retry(world, asked, inputResponses=responses)["result"]
        assert asked["resultType"] == "input_required"
    assert "content" in retry(world, asked)["result"]


def test_a_client_is_asked_only_for_what_it_has_declared(world: World) -> None:
    text = ask(world, question="sampling/createMessage")["result"]["content"][0]["text"]
    assert "the client has not declared the capability sampling" in text


def test_a_parked_call_expires_and_belongs_to_its_principal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Kept:
        def expire(self) -> None: ...

        def resume(self, answer: Any, params: Any) -> None: ...

    place = InputRequiredStore(KeyRing({"k": b"k" * 32}))
    params = {"name": Raw(b'"t"'), "arguments": Raw(b'{"a":1,"b":2}'), "inputResponses": Raw(b"{}")}
    mine = input_required.binding(principal="me", method="tools/call", params=params)
    again = input_required.binding(principal="me", method="tools/call", params={**params, "arguments": Raw(b'{ "b":2, "a":1 }')})
    others = input_required.binding(principal="you", method="tools/call", params=params)
    assert mine == again != others
    kept = Kept()
    _, state = place.put(kept, mine)
    with pytest.raises(ProtocolError):
        place.take(state, others)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + input_required.PATIENCE + 1)
    with pytest.raises(ProtocolError):
        place.take(state, mine)
    monkeypatch.setattr(time, "time", lambda: now)
    assert place.take(state, mine) is kept


@contextmanager
def stream(world: World, body: dict[str, Any]) -> Iterator[Callable[[], dict[str, Any]]]:
    """An open response; each call gives its next message."""
    with httpx2.stream("POST", world.gateway.url, json=body, headers=headers(body), timeout=PATIENCE) as response:
        assert response.headers["content-type"] == "text/event-stream"
        messages = (json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: "))
        yield lambda: next(messages)


@pytest.mark.parametrize("server", ["old", "new"])
def test_log_messages_come_with_the_request_that_wants_them(world: World, server: str) -> None:
    wanted = message("tools/call", name=f"{server}_log", arguments={"level": "error", "data": [1]}, level="warning")
    with stream(world, wanted) as take:
        assert take()["params"] == {"level": "error", "data": [1]}
        assert "result" in take()
    for level in (None, "critical"):
        body = message("tools/call", name=f"{server}_log", arguments={"level": "error", "data": [1]}, level=level)
        assert world.gateway.post(body, headers=headers(body)).headers["content-type"] == "application/json"


@pytest.mark.parametrize("server", ["legacy", "modern"])
def test_a_listener_hears_of_resources(world: World, server: str) -> None:
    uris = [f"memo://{server}/all", "memo://absent/x"]
    with stream(world, message("subscriptions/listen", id="l1", notifications={"resourceSubscriptions": uris})) as take:
        meta = {"io.modelcontextprotocol/subscriptionId": "l1"}
        acknowledged = take()["params"]
        assert acknowledged["notifications"] == {"resourceSubscriptions": uris[:1]}
        assert acknowledged["_meta"] == meta
        told = take()
        assert (told["method"], told["params"]["uri"]) == ("notifications/resources/updated", uris[0])
        assert told["params"]["_meta"] == meta


def test_too_many_resources_are_refused(world: World) -> None:
    for wrong in ([f"memo://{n}" for n in range(1001)], [5], "memo://x"):
        body = message("subscriptions/listen", notifications={"resourceSubscriptions": wrong})
        assert world.gateway.post(body, headers=headers(body)).json()["error"]["code"] == -32602


def test_a_call_that_its_client_gives_up_is_cancelled_at_the_server(world: World) -> None:
    body = message("tools/call", name="old_slow", arguments={"until": "cancelled"})
    with pytest.raises(httpx2.TimeoutException):
        httpx2.post(world.gateway.url, json=body, headers=headers(body), timeout=0.5)
    until("the next call to be served", lambda: "result" in world.gateway.call("new_echo"))
    until("the server to serve others", lambda: "result" in world.gateway.call("old_echo"))
