"""Streams that a legacy client comes back to, and the transport of 2024-11-05."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from mcp.client import Client
from mcp.client.sse import sse_client

from mcpgateway.streams import replay
from mcpgateway.streams.replay import Replay
from tests.gateway.conftest import World
from tests.gateway.test_server_messages import FORM, Person
from tests.gateway.test_server_messages import Raw as Session
from tests.support.bridges import until
from tests.support.gateways import TOKEN
from tests.support.waiting import PATIENCE

AUTHORIZED = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json, text/event-stream"}
pytestmark = pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")


def events(response: httpx2.Response) -> Iterator[dict[str, str]]:
    """Server-sent events as their fields; comments are left out."""
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        name, colon, value = line.partition(":")
        if not line and fields:
            yield fields
            fields = {}
        elif colon and name:
            fields[name] = value.removeprefix(" ")


@contextmanager
def opened(world: World, session: Session, last: str = "") -> Iterator[Iterator[dict[str, str]]]:
    headers = {**AUTHORIZED, **session.headers} | ({"Last-Event-ID": last} if last else {})
    with httpx2.stream("GET", world.gateway.url, headers=headers, timeout=PATIENCE) as response:
        assert response.status_code == 200
        yield events(response)


@contextmanager
def asked(world: World, session: Session) -> Iterator[Iterator[dict[str, str]]]:
    params = {"name": "old_ask", "arguments": {"method": "elicitation/create", "params": FORM}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    with httpx2.stream(
        "POST", world.gateway.url, json=body, headers={**AUTHORIZED, **session.headers}, timeout=PATIENCE
    ) as response:
        yield events(response)


def test_a_client_that_lost_a_calls_stream_gets_the_rest_by_its_last_event(world: World) -> None:
    session = Session(world)
    with asked(world, session) as stream:
        primed, question = next(stream), next(stream)
    assert primed == {"id": primed["id"], "data": ""}, "some clients refuse streams with a field retry"
    assert session.post(id=json.loads(question["data"])["id"], result={"action": "decline"}).status_code == 202
    for last, count in ((question["id"], 1), (primed["id"], 2)):
        with opened(world, session, last) as stream:
            found = [json.loads(event["data"]) for event in stream]
        assert len(found) == count
        assert json.loads(found[-1]["result"]["content"][0]["text"]) == {"action": "decline"}


def test_another_sessions_events_are_not_replayed(world: World) -> None:
    mine, other = Session(world), Session(world)
    with asked(world, mine) as stream:
        next(stream)
        question = next(stream)
    mine.post(id=json.loads(question["data"])["id"], result={"action": "decline"})
    for last in (question["id"], "s1-0", "nonsense", "s1-" + "9" * 30):
        with opened(world, other, last) as stream:
            other.post(id=1, method="resources/subscribe", params={"uri": "memo://legacy/all"})
            assert json.loads(next(stream)["data"])["method"] == "notifications/resources/updated"


def test_what_a_session_is_told_while_its_stream_is_cut_waits_for_it(world: World) -> None:
    session = Session(world)

    def subscribe() -> None:
        assert "result" in session.post(id=1, method="resources/subscribe", params={"uri": "memo://legacy/all"}).json()

    with opened(world, session) as stream:
        subscribe()
        first = next(stream)
    until("the cut to be noticed", lambda: "result" in session.post(id=2, method="ping").json())
    subscribe()
    with opened(world, session, first["id"]) as stream:
        second = next(stream)
        assert (second["data"], second["id"] != first["id"]) == (first["data"], True)


class TestReplay:
    def test_a_stream_keeps_so_many_events_and_the_largest_session_pays_at_the_bound(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(replay, "MAX_EVENTS", 3)
        monkeypatch.setattr(replay, "MAX_BYTES", 100)
        kept = Replay()
        first, second = kept.open("a"), kept.open("b")
        ids = [first.event_id(0), *(first.add(b"x" * 10) for _ in range(5))]
        assert [number for number, _ in first.after(0)] == [3, 4, 5]
        assert kept.find("a", ids[5]) == (first, 5)
        assert kept.size == 30
        second.add(b"x" * 90)
        assert (kept.size, len(first.after(0)), second.after(0)) == (30, 3, [])
        assert kept.find("b", second.event_id(0)) == (second, 0)
        first.add(b"y" * 1000)
        assert kept.size == 0

    def test_a_session_keeps_so_many_bytes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(replay, "MAX_SESSION_BYTES", 100)
        kept = Replay()
        stream = kept.open("a")
        for _ in range(50):
            stream.add(b"x" * 10)
        assert (kept.size, len(stream.after(0))) == (100, 10)
        stream.add(b"y" * 1000)  # one message always stays, for the client that reads
        assert (kept.size, len(stream.after(0))) == (1000, 1)

    def test_so_many_streams_are_kept_and_none_of_a_session_that_is_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(replay, "MAX_STREAMS", 2)
        kept = Replay()
        streams = [kept.open("a") for _ in range(3)]
        assert [kept.find("a", stream.event_id(0)) is None for stream in streams] == [True, False, False]
        streams[0].add(b"x")
        assert kept.size == 0
        kept.forget("a")
        assert kept.find("a", streams[2].event_id(0)) is None
        streams[2].add(b"x")
        assert kept.size == 0

    @pytest.mark.anyio
    async def test_a_reader_gets_what_is_added_while_it_reads(self) -> None:
        stream = Replay().open("a")
        stream.add(b"1")
        reading = replay.events(stream, 0)
        seen = [await anext(reading)]
        stream.add(b"2")
        seen.append(await anext(reading))
        stream.finish()
        assert [event.split(b"data: ")[1] for event in seen] == [b"1\n\n", b"2\n\n"]
        assert [event async for event in reading] == []

    @pytest.mark.anyio
    async def test_a_reader_that_is_too_slow_loses_its_stream_and_may_resume_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(replay, "MAX_EVENTS", 3)
        stream = Replay().open("a")
        stream.add(b"first")
        reading = replay.events(stream, 0)
        await anext(reading)
        for number in range(10):
            stream.add(b"%d" % number)
        assert [event async for event in reading] == []
        resumed = replay.events(stream, 1)
        assert b"data: 7" in await anext(resumed)


class Steps:
    """A call's progress."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    async def heard(self, progress: float, total: float | None, message: str | None) -> None:
        self.seen.append(progress)


class TestSse:
    @staticmethod
    def url(world: World) -> str:
        return world.gateway.url.replace("/mcp", "/sse")

    @pytest.mark.anyio
    async def test_an_sdk_client_lists_calls_and_is_asked(self, world: World) -> None:
        person = Person()
        transport = sse_client(self.url(world), headers={"Authorization": f"Bearer {TOKEN}"})
        async with Client(transport, mode="legacy", elicitation_callback=person.elicit, logging_callback=person.log) as client:
            assert {"new_echo", "old_echo"} <= {tool.name for tool in (await client.list_tools()).tools}
            for server in ("new", "old"):
                result = await client.call_tool(f"{server}_ask", {"method": "elicitation/create", "params": FORM})
                assert json.loads(result.content[0].text)["action"] == "accept"  # type: ignore[union-attr]
                steps = Steps()
                await client.call_tool(f"{server}_progress", {}, progress_callback=steps.heard)
                assert steps.seen == [1, 2]

    def test_the_oldest_version_is_spoken_there_and_the_session_ends_with_its_stream(self, world: World) -> None:
        with httpx2.stream("GET", self.url(world), headers=AUTHORIZED, timeout=PATIENCE) as response:
            told = events(response)
            target = next(told)
            assert target["event"] == "endpoint"
            url = self.url(world).removesuffix("/sse") + target["data"]

            def post(body: Any, token: str = TOKEN) -> httpx2.Response:
                content = body if isinstance(body, bytes) else json.dumps(body)
                headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
                return httpx2.post(url, content=content, headers=headers)

            asked = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2024-11-05"}}
            assert post(asked).status_code == 202
            assert json.loads(next(told)["data"])["result"]["protocolVersion"] == "2024-11-05"
            assert post({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "old_pid"}}).status_code == 202
            assert "result" in json.loads(next(told)["data"])
            assert post(b"{").status_code == 400
            assert post(asked, token="wrong").status_code == 401
            before = len(world.legacy.children())
        until("its process to end", lambda: len(world.legacy.children()) < before)
        assert post(asked).status_code == 404

    def test_whatever_is_wrong_with_a_request_is_answered_on_the_stream(self, world: World) -> None:
        """A POST that fails ends the connection of some clients, which try methods of other versions first."""
        meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
        probe = {"jsonrpc": "2.0", "id": "a", "method": "server/discover", "params": {"_meta": meta}}
        opened = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}}
        with httpx2.stream("GET", self.url(world), headers=AUTHORIZED, timeout=PATIENCE) as response:
            told = events(response)
            url = self.url(world).removesuffix("/sse") + next(told)["data"]

            def answer(body: Any) -> Any:
                headers = {"Content-Type": "application/json", **AUTHORIZED}
                assert httpx2.post(url, json=body, headers=headers, timeout=PATIENCE).status_code == 202
                return json.loads(next(told)["data"])

            for body in (probe, {"jsonrpc": "2.0", "id": "b", "method": "tools/list"}):
                error = answer(body)
                assert (error["id"], error["error"]["code"]) == (body["id"], -32600)
                assert error["error"]["message"] == "this stream has no session yet: send initialize first"
            assert "result" in answer(opened)
            for id, params in (("c", 7), ("d", {"cursor": 7}), ("e", {"_meta": meta})):
                error = answer({"jsonrpc": "2.0", "id": id, "method": "tools/list", "params": params})
                assert (error["id"], error["error"]["code"]) == (id, -32020 if id == "e" else -32602)

    def test_it_is_guarded_like_the_other_transport(self, world: World) -> None:
        assert httpx2.get(self.url(world)).status_code == 401
        assert httpx2.get(self.url(world), headers={**AUTHORIZED, "Origin": "https://evil.com"}).status_code == 403
        assert httpx2.get(self.url(world), headers={**AUTHORIZED, "Host": "evil.com"}).status_code == 421
        messages = self.url(world) + "/messages?id=x"
        assert httpx2.post(messages, content=b"{}", headers={**AUTHORIZED, "Origin": "https://evil.com"}).status_code == 403
        assert httpx2.post(messages, content=b"{}", headers=AUTHORIZED).status_code == 404
