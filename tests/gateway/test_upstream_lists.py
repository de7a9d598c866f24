"""A list that cannot be read is missing and named; lists that come late, or change, are read again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from mcpgateway.upstream import list_keeper, lists
from tests.support.scripted_bridge import result, scripted_bridge
from tests.support.upstreams import backend, eventually

CHANGED = b'{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n'
TOOL = {"name": "t", "inputSchema": {"type": "object"}}
Script = Callable[[dict[str, Any]], "bytes | None"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "NEXT_LIST_TIMEOUT", 0.5)
    monkeypatch.setattr(lists, "UNDECLARED_TIMEOUT", 0.5)
    monkeypatch.setattr(list_keeper, "_RETRY", (0.05, 0.1))


def with_capabilities(capabilities: Any, answers: dict[str, Any]) -> Script:
    """A legacy server: `answers` by method are results, bytes with %d for the id, or None for silence."""

    def answer(message: dict[str, Any]) -> bytes | None:
        method = message.get("method", "")
        if method == "initialize":
            return result(message, {"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": {}})
        if method not in answers:
            return None
        found = answers[method]
        if found is None:
            return b""
        return found % message["id"] if isinstance(found, bytes) else result(message, found)

    return answer


def error(code: int, words: str) -> bytes:
    return b'{"jsonrpc":"2.0","id":%%d,"error":{"code":%d,"message":"%s"}}\n' % (code, words.encode())


FAILURES: dict[str, tuple[Any, str]] = {
    "unknown": (error(-32601, "Method not found"), "prompts/list failed: Method not found"),
    "down": (error(-32603, "database is down"), "prompts/list failed: database is down"),
    "hangs": (None, "no answer to prompts/list within 0.5 s"),
    "null": ({"prompts": None}, "prompts/list failed: not an array"),
    "no list": ({}, "prompts/list failed: prompts/list answered without a list of prompts"),
    "no object": ([], "prompts/list failed: "),
    "not JSON": (b'{"jsonrpc":"2.0","id":%d,"result":{"prompts":NaN}}\n', "its answer cannot be used"),
}


@pytest.mark.parametrize("isolation", ["Shared", "Session"])
@pytest.mark.parametrize(("answer", "words"), FAILURES.values(), ids=FAILURES)
def test_a_list_that_fails_takes_away_that_list_only_and_is_named(answer: Any, words: str, isolation: str) -> None:
    script = with_capabilities({"tools": {}, "prompts": {}}, {"prompts/list": answer})

    async def body() -> None:
        async with scripted_bridge(script) as bridge, backend(bridge.address, isolation=isolation) as upstream:
            await eventually(lambda: upstream.snapshot.state == "Ready")
            assert [item.name for item in upstream.snapshot.offer.items] == ["t"]
            assert words in upstream.snapshot.offer.missing_lists
            assert upstream.snapshot.last_error is None

    asyncio.run(body())


@pytest.mark.parametrize("isolation", ["Shared", "Session"])
def test_a_list_that_failed_is_asked_for_again(isolation: str) -> None:
    answers: dict[str, Any] = {"prompts/list": error(-32603, "database is down")}
    script = with_capabilities({"tools": {}, "prompts": {}}, answers)

    async def body() -> None:
        async with scripted_bridge(script) as bridge, backend(bridge.address, isolation=isolation) as upstream:
            await eventually(lambda: upstream.snapshot.offer.failed)
            answers["prompts/list"] = {"prompts": [{"name": "p"}]}
            await eventually(lambda: upstream.snapshot.offer.of_kind("prompts"))
            assert upstream.snapshot.offer.failed == ()

    asyncio.run(body())


def test_a_server_none_of_whose_lists_can_be_read_is_not_ready() -> None:
    script = with_capabilities({"tools": {}}, {"tools/list": error(-32603, "database is down")})

    async def body() -> None:
        async with scripted_bridge(script) as bridge, backend(bridge.address) as upstream:
            await eventually(lambda: upstream.snapshot.state == "Failed")
            assert upstream.snapshot.last_error is not None
            assert upstream.snapshot.last_error.message == "tools/list failed: database is down"

    asyncio.run(body())


@pytest.mark.parametrize("capabilities", [None, {}, {"logging": {}}, {"tools": None}, {"tools": {}, "prompts": None}])
def test_tools_are_listed_whatever_is_said_or_not_said_of_capabilities(capabilities: Any) -> None:
    async def body() -> None:
        async with scripted_bridge(with_capabilities(capabilities, {})) as bridge, backend(bridge.address) as upstream:
            await eventually(lambda: upstream.snapshot.state == "Ready")
            assert [item.name for item in upstream.snapshot.offer.items] == ["t"]
            assert upstream.snapshot.offer.failed == ()

    asyncio.run(body())


@pytest.mark.parametrize("isolation", ["Shared", "Session", "Principal", "Call"])
@pytest.mark.parametrize("moment", ["with the first list", "later"])
def test_tools_that_are_registered_after_the_start_appear(isolation: str, moment: str) -> None:
    listings = 0

    def answer(message: dict[str, Any]) -> bytes | None:
        nonlocal listings
        if message.get("method") == "initialize":
            caps = {"tools": {"listChanged": True}}
            return result(message, {"protocolVersion": "2025-11-25", "capabilities": caps, "serverInfo": {}})
        if message.get("method") != "tools/list":
            return None
        listings += 1
        if listings > 1:
            return result(message, {"tools": [TOOL]})
        # The change comes before the answer to the first list arrives, and after it was made.
        return CHANGED + result(message, {"tools": []}) if moment == "with the first list" else result(message, {"tools": []})

    async def body() -> None:
        async with scripted_bridge(answer) as bridge, backend(bridge.address, isolation=isolation) as upstream:
            await eventually(lambda: upstream.snapshot.state == "Ready")
            if moment == "later":
                assert upstream.snapshot.offer.items == ()
                bridge.writers[0].write(CHANGED)
            await eventually(lambda: [item.name for item in upstream.snapshot.offer.items] == ["t"])

    asyncio.run(body())


def test_the_process_of_discovery_ends_when_nothing_changes_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_keeper, "LINGER", 0.2)

    async def body() -> None:
        async with scripted_bridge() as bridge, backend(bridge.address) as upstream:
            await eventually(lambda: upstream.snapshot.state == "Ready" and not bridge.writers)
            assert upstream.snapshot.state == "Ready"

    asyncio.run(body())


@pytest.mark.parametrize("cursor", ["", None])
def test_an_empty_cursor_ends_a_list(cursor: Any) -> None:
    script = with_capabilities({"tools": {}}, {"tools/list": {"tools": [TOOL], "nextCursor": cursor}})

    async def body() -> None:
        async with scripted_bridge(script) as bridge, backend(bridge.address) as upstream:
            await eventually(lambda: upstream.snapshot.state == "Ready")
            assert bridge.sent("tools/list") == 1
            assert upstream.snapshot.offer.hidden == ()
            assert json.loads(bytes(upstream.snapshot.offer.items[0].raw)) == TOOL

    asyncio.run(body())
