"""Batches of protocol version 2025-03-26: several messages in one POST, each with its own answer."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcpgateway.protocol.batches import MAX_BATCH
from tests.gateway.conftest import World
from tests.support.gateways import TOKEN, Gateway

ONLY_JSON = {"Accept": "application/json"}


def session(gateway: Gateway, version: str = "2025-03-26") -> dict[str, str]:
    params = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    opened = gateway.post({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})
    assert opened.json()["result"]["protocolVersion"] == version
    return {"Mcp-Session-Id": opened.headers["mcp-session-id"]}


@pytest.fixture(scope="module")
def old(world: World) -> dict[str, str]:
    """The headers of a session of that version."""
    return session(world.gateway)


def request(id: Any, method: str = "ping", **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


def call(id: Any, tool: str, **arguments: Any) -> dict[str, Any]:
    return request(id, "tools/call", name=tool, arguments=arguments)


def events_of(text: str) -> list[dict[str, Any]]:
    """The messages of a stream."""
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: {")]


def answers(response: httpx2.Response) -> list[dict[str, Any]]:
    """The responses in an HTTP response of any of the three forms."""
    if response.headers.get("content-type") == "text/event-stream":
        return [message for message in events_of(response.text) if "method" not in message]
    if not response.content:
        return []
    body = response.json()
    return body if isinstance(body, list) else [body]


MIXED = [
    call("a", "new_echo", text="ü"),
    {"jsonrpc": "2.0", "method": "notifications/initialized"},
    request(2, "no/such"),
    {"jsonrpc": "2.0", "id": 99, "result": {}},
    call("b", "old_echo", text="x"),
    request(4, "tools/call", name="nothing"),
    request(5),
]


@pytest.mark.parametrize("accept", [{}, ONLY_JSON], ids=["stream", "array"])
def test_each_request_of_a_batch_gets_its_own_answer_or_error(world: World, old: dict[str, str], accept: dict[str, str]) -> None:
    response = world.gateway.post(MIXED, headers=old | accept)
    assert response.status_code == 200
    assert response.headers["content-type"] == ("application/json" if accept else "text/event-stream")
    by_id = {answer["id"]: answer for answer in answers(response)}
    assert set(by_id) == {"a", 2, "b", 4, 5}
    assert json.loads(by_id["a"]["result"]["content"][0]["text"]) == {"text": "ü"}
    assert json.loads(by_id["b"]["result"]["content"][0]["text"]) == {"text": "x"}
    assert (by_id[2]["error"]["code"], by_id[4]["error"]["code"], by_id[5]["result"]) == (-32601, -32602, {})


def test_notifications_and_responses_alone_are_accepted_without_an_answer(world: World, old: dict[str, str]) -> None:
    body = [{"jsonrpc": "2.0", "method": "notifications/initialized"}, {"jsonrpc": "2.0", "id": 1, "result": {}}]
    for headers in (old, old | ONLY_JSON):
        response = world.gateway.post(body, headers=headers)
        assert (response.status_code, response.content) == (202, b"")


def test_messages_before_an_answer_are_in_the_stream_of_the_batch(world: World, old: dict[str, str]) -> None:
    progress = request(1, "tools/call", name="old_progress", arguments={"steps": 2}, _meta={"progressToken": "t"})
    response = world.gateway.post([progress, request(2)], headers=old)
    told = [message["params"] for message in events_of(response.text) if message.get("method") == "notifications/progress"]
    assert told
    assert {note["progressToken"] for note in told} == {"t"}
    assert {answer["id"] for answer in answers(response)} == {1, 2}


def test_a_request_of_a_batch_can_be_cancelled(world: World) -> None:
    old = session(world.gateway)  # its process is busy from then on
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
    for headers in (old, old | ONLY_JSON):
        response = world.gateway.post([call(1, "old_hang"), request(2), cancel], headers=headers)
        assert [answer["id"] for answer in answers(response)] == [2]


def test_what_may_not_be_in_a_batch_fails_by_itself(world: World, old: dict[str, str]) -> None:
    body = [request(1, "initialize", protocolVersion="2025-03-26", capabilities={}), [request(2)], 7, request(3)]
    first, second, third, fourth = answers(world.gateway.post(body, headers=old | ONLY_JSON))
    assert (first["id"], first["error"]["code"]) == (1, -32600)
    assert "initialize must not be part of a batch" in first["error"]["message"]
    assert (second["id"], second["error"]["code"], third["id"], third["error"]["code"]) == (None, -32600, None, -32600)
    assert fourth == {"jsonrpc": "2.0", "id": 3, "result": {}}


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b"[]", -32600, "the batch is empty"),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}', -32700, "not valid JSON"),
        (json.dumps([request(id) for id in range(MAX_BATCH + 1)]).encode(), -32600, f"at most {MAX_BATCH} messages"),
        (b"[" + b"1," * 1_000_000 + b"1]", -32600, f"at most {MAX_BATCH} messages"),
    ],
    ids=["empty", "cut", "too many", "a million"],
)
def test_a_batch_that_cannot_be_read_is_refused_whole(
    world: World, old: dict[str, str], body: bytes, code: int, message: str
) -> None:
    response = world.gateway.post(body, headers=old)
    error = response.json()["error"]
    assert (response.status_code, response.json()["id"], error["code"]) == (400, None, code)
    assert message in error["message"]


def test_a_batch_of_the_most_messages_is_served(world: World, old: dict[str, str]) -> None:
    for headers in (old, old | ONLY_JSON):
        response = world.gateway.post([request(id) for id in range(MAX_BATCH)], headers=headers)
        assert sorted(answer["id"] for answer in answers(response)) == list(range(MAX_BATCH))


def test_answers_beyond_the_bound_of_a_batch_fail_by_name(world: World, old: dict[str, str]) -> None:
    body = [call(id, "new_big", size=6 << 20) for id in range(4)]
    found = answers(world.gateway.post(body, headers=old | ONLY_JSON))
    assert sorted(answer["id"] for answer in found) == [0, 1, 2, 3]
    failed = [answer["error"] for answer in found if "error" in answer]
    assert [error["code"] for error in failed] == [-32603, -32603]
    assert all("over 16 MiB: send fewer requests in one batch" in error["message"] for error in failed)


@pytest.mark.parametrize("version", ["2025-06-18", "2025-11-25"])
def test_only_a_session_of_that_version_has_batches(world: World, version: str) -> None:
    headers = session(world.gateway, version)
    for sent in (headers, headers | {"MCP-Protocol-Version": version}, headers | {"MCP-Protocol-Version": "2025-03-26"}):
        response = world.gateway.post([request(1)], headers=sent)
        assert response.status_code == 400
        assert response.json()["error"]["message"].startswith("batches are part of version 2025-03-26 only")


def test_a_batch_needs_a_valid_session_and_token(world: World, old: dict[str, str]) -> None:
    assert world.gateway.post([request(1)]).status_code == 400
    assert world.gateway.post([request(1)], headers={"Mcp-Session-Id": "made-up"}).status_code == 404
    assert world.gateway.post([request(1)], headers=old, token=None).status_code == 401
    assert world.gateway.post([request(1)], headers=old | {"MCP-Protocol-Version": "2026-07-28"}).status_code == 400


def test_a_client_that_leaves_its_batch_disturbs_no_one(world: World) -> None:
    old = session(world.gateway)
    sent = old | {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    body = [call(id, "old_slow", seconds=1) for id in range(4)]
    with pytest.raises(httpx2.TimeoutException):
        httpx2.post(world.gateway.url, content=json.dumps(body), headers=sent, timeout=0.2)
    assert [answer["id"] for answer in answers(world.gateway.post([request(7)], headers=old))] == [7]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
GOOD = st.builds(request, st.integers(0, 10**6) | st.text(max_size=5), st.sampled_from(["ping", "tools/list", "no/such"]))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(GOOD | JSON | st.fixed_dictionaries({"jsonrpc": st.just("2.0")}, optional={"id": JSON, "method": JSON}), min_size=1)
)
def test_whatever_is_in_a_batch_every_good_request_is_answered(world: World, old: dict[str, str], body: list[Any]) -> None:
    good = [member["id"] for member in body if is_good(member)]
    for headers in (old, old | ONLY_JSON):
        response = world.gateway.post(body, headers=headers)
        assert response.status_code in (200, 202)
        ids = [answer["id"] for answer in answers(response)]
        for id in good:
            assert id in ids
        assert len(ids) <= len(body)
    assert world.gateway.process.poll() is None


def is_good(member: Any) -> bool:
    return isinstance(member, dict) and member.get("method") in ("ping", "tools/list", "no/such") and "params" in member
