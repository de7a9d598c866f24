"""Replies as hand-written servers write them: what an ordinary client understands, the gateway does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from mcpgateway.protocol.jsonrpc import ProtocolError
from tests.support.scripted_bridge import good, scripted_bridge
from tests.support.upstreams import backend, call, eventually

Script = Callable[[dict[str, Any]], "bytes | None"]


def line(**members: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **members}).encode() + b"\n"


def only_integer_ids(message: dict[str, Any]) -> bytes | None:
    if "id" in message and not isinstance(message["id"], int):
        return line(id=None, error={"code": -32600, "message": "id must be an integer"})
    return None


def ids_as_text(message: dict[str, Any]) -> bytes | None:
    return line(**json.loads(good(message)) | {"id": str(message["id"])}) if "id" in message else None


def ids_as_doubles(message: dict[str, Any]) -> bytes | None:
    return line(**json.loads(good(message)) | {"id": float(message["id"])}) if "id" in message else None


def a_null_error_beside_each_result(message: dict[str, Any]) -> bytes | None:
    reply = json.loads(good(message) or b"{}")
    return line(**reply, error=None) if "result" in reply else None


def an_error_without_an_id_to_what_is_unknown(message: dict[str, Any]) -> bytes | None:
    reply = json.loads(good(message) or b"{}")
    return line(id=None, error=reply["error"]) if "error" in reply else None


@pytest.mark.parametrize(
    "script",
    [only_integer_ids, ids_as_text, ids_as_doubles, a_null_error_beside_each_result, an_error_without_an_id_to_what_is_unknown],
)
def test_a_server_with_an_odd_way_to_reply_is_used(script: Script) -> None:
    async def body() -> None:
        async with scripted_bridge(script) as bridge, backend(bridge.address) as upstream:
            await eventually(lambda: upstream.snapshot.state == "Ready")
            assert [item.name for item in upstream.snapshot.offer.items] == ["t"]
            assert b"done" in await call(upstream)

    asyncio.run(body())


def test_an_error_with_a_null_result_beside_it_is_the_error() -> None:
    def answer(message: dict[str, Any]) -> bytes | None:
        if message.get("method") != "tools/call":
            return None
        return line(id=message["id"], result=None, error={"code": -32050, "message": "the table is locked"})

    async def body() -> None:
        async with scripted_bridge(answer) as bridge, backend(bridge.address) as upstream:
            await eventually(lambda: upstream.snapshot.state == "Ready")
            with pytest.raises(ProtocolError, match="the table is locked") as caught:
                await call(upstream)
            assert caught.value.code == -32050

    asyncio.run(body())
