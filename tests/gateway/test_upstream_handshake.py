"""A malformed handshake is a named state of its server, which is tried again; it never ends its supervision."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.support.scripted_bridge import good, result, scripted_bridge
from tests.support.upstreams import Heard, backend, call, eventually
from tests.support.waiting import PATIENCE

ODD: dict[str, Any] = {
    "null": None,
    "list": [],
    "string": "x",
    "number": 1,
    "capabilities null": {"capabilities": None},
    "capabilities list": {"capabilities": []},
    "capability null": {"capabilities": {"tools": None, "prompts": 3, "resources": []}},
    "extensions null": {"capabilities": {"extensions": None}},
    "extensions list": {"capabilities": {"extensions": [1]}},
    "extension without settings": {"capabilities": {"extensions": {"x": None, "y": []}}},
    "instructions": {"capabilities": {}, "instructions": {"a": 1}},
    "version": {"capabilities": {}, "protocolVersion": [None]},
}


@pytest.mark.parametrize("method", ["initialize", "server/discover"])
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_a_malformed_handshake_is_a_named_state_and_is_tried_again(method: str, odd: Any) -> None:
    healed = False

    def answer(message: dict[str, Any]) -> bytes | None:
        return result(message, odd) if message.get("method") == method and not healed else None

    async def body() -> None:
        nonlocal healed
        heard = Heard()
        async with scripted_bridge(answer) as bridge, backend(bridge.address, heard=heard) as upstream:
            await eventually(lambda: upstream.snapshot.state != "Connecting")
            first = upstream.snapshot
            if first.state == "Failed":
                assert first.last_error is not None
                assert first.last_error.reason == "ProtocolError"
            healed = True
            await eventually(lambda: upstream.snapshot.state == "Ready")
            assert heard.internal == []

    asyncio.run(body())


@pytest.mark.parametrize(
    "line", [b"null\n", b"[]\n", b'{"jsonrpc":"2.0","method":"notifications/message","params":{"_meta":null}}\n']
)
@pytest.mark.parametrize("method", ["notifications/progress", "notifications/resources/updated", "notifications/cancelled", "x"])
def test_a_malformed_notification_does_not_end_the_connection(line: bytes, method: str) -> None:
    odd: list[Any] = [None, [], {"_meta": None}, 1]
    notes = [json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode() for params in odd]

    def answer(message: dict[str, Any]) -> bytes | None:
        return line + b"\n".join(notes) + b"\n" + good(message) if message.get("method") == "tools/call" else None

    async def body() -> None:
        heard = Heard()
        async with scripted_bridge(answer) as bridge, backend(bridge.address, heard=heard, isolation="Shared") as upstream:
            await eventually(lambda: upstream.snapshot.state == "Ready")
            assert b"done" in await call(upstream)
            assert b"done" in await call(upstream)
            assert upstream.snapshot.state == "Ready"
            assert bridge.sent("initialize") == 1
            assert heard.internal == []

    asyncio.run(body())


@pytest.mark.parametrize("spoilt", [b'"\xff"', b"NaN", b"{", b'"a":'])
def test_an_answer_that_cannot_be_used_fails_its_call_at_once_with_the_reason(spoilt: bytes) -> None:
    def answer(message: dict[str, Any]) -> bytes | None:
        if message.get("method") != "tools/call":
            return None
        return b'{"jsonrpc":"2.0","id":%d,"result":%b}\n' % (message["id"], spoilt)

    async def body() -> None:
        async with scripted_bridge(answer) as bridge, backend(bridge.address, isolation="Shared") as upstream:
            await eventually(lambda: upstream.snapshot.state == "Ready")
            async with asyncio.timeout(PATIENCE):
                with pytest.raises(Exception, match=r"ProtocolError: its answer cannot be used: "):
                    await call(upstream)
            assert upstream.snapshot.state == "Ready"

    asyncio.run(body())


def test_white_space_and_a_byte_order_mark_before_an_answer_are_skipped() -> None:
    def answer(message: dict[str, Any]) -> bytes | None:
        before = b"\xef\xbb\xbf \t" if message.get("method") == "tools/call" else b" "
        return before + good(message) if "id" in message else None

    async def body() -> None:
        async with scripted_bridge(answer) as bridge, backend(bridge.address) as upstream:
            await eventually(lambda: upstream.snapshot.state == "Ready")
            assert b"done" in await call(upstream)

    asyncio.run(body())
