"""The era of a server depends on what it can, never on how quickly or in which order it answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcpgateway.upstream import discovery, handshake
from tests.support.bridges import MAGIC
from tests.support.scripted_bridge import good, result, scripted_bridge
from tests.support.upstreams import backend, call, eventually

EXIT = MAGIC + b'{"exit":{"code":1}}\n'
DISCOVERED = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
NOT_MODERN: list[Any] = [
    {},
    {"ok": True},
    [],
    None,
    {"supportedVersions": ["2025-11-25"], "capabilities": {}},
    {"supportedVersions": None, "capabilities": {}},
    {"capabilities": {"tools": {}}},
]


def error(message: dict[str, Any], code: int, words: str, **more: Any) -> bytes:
    body = {"jsonrpc": "2.0", "id": message["id"], "error": {"code": code, "message": words, **more}}
    return json.dumps(body).encode() + b"\n"


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(handshake, "HEAD_START", 0.02)
        patch.setattr(discovery, "FIRST_NOTICE", 0.02)
        yield


@dataclass
class Peculiar:
    """A server that answers both opening requests in its own way.

    Args:
        modern, legacy: Whether it answers `server/discover`, and `initialize`, well.
        probe: How it answers a `server/discover` that it does not know: with an error, an object, silence, or its end.
        late: It reads nothing before both have been asked.
        reverse: It answers the later request first.
    """

    modern: bool
    legacy: bool
    probe: Any
    late: bool
    reverse: bool
    held: list[bytes] = field(default_factory=list)

    def __call__(self, message: dict[str, Any]) -> bytes | None:
        if message.get("method") not in ("server/discover", "initialize"):
            return None
        reply = self.discover(message) if message["method"] == "server/discover" else self.initialize(message)
        if self.late and message["method"] == "server/discover" and reply != EXIT:
            self.held.append(reply)
            return b""
        replies, self.held = [*self.held, reply], []
        return b"".join(reversed(replies) if self.reverse else replies)

    def discover(self, message: dict[str, Any]) -> bytes:
        if self.modern:
            return result(message, DISCOVERED)
        match self.probe:
            case "error":
                return error(message, -32601, "unknown")
            case "silence":
                return b""
            case "end":
                return EXIT
        return result(message, self.probe)

    def initialize(self, message: dict[str, Any]) -> bytes:
        return good(message) if self.legacy else error(message, -32022, "no", data={"supported": ["2026-07-28"]})


ABILITIES = st.sampled_from([(True, False), (False, True), (True, True)])
PROBES = st.sampled_from(["error", "silence", "end", *NOT_MODERN])


@settings(max_examples=40, deadline=None)
@given(ABILITIES, PROBES, st.booleans(), st.booleans())
def test_delay_and_order_of_the_answers_and_ends_do_not_change_the_era(
    abilities: tuple[bool, bool], probe: Any, late: bool, reverse: bool
) -> None:
    modern, legacy = abilities
    server = Peculiar(modern, legacy, probe, late, reverse)

    async def body() -> None:
        async with scripted_bridge(server) as bridge, backend(bridge.address) as upstream:
            await eventually(lambda: upstream.snapshot.state == "Ready")
            assert upstream.era == ("modern" if modern else "legacy")
            assert upstream.snapshot.isolation == ("Shared" if modern else "Session")
            assert upstream.snapshot.restarts == 0
            assert upstream.snapshot.last_error is None
            assert [item.name for item in upstream.snapshot.offer.items] == ["t"]

    asyncio.run(body())


def test_what_was_found_is_remembered_for_the_next_start() -> None:
    def silent_about_the_probe(message: dict[str, Any]) -> bytes | None:
        if message.get("method") == "tools/call":
            return EXIT
        return b"" if message.get("method") == "server/discover" else None

    async def body() -> None:
        async with scripted_bridge(silent_about_the_probe) as bridge, backend(bridge.address, isolation="Shared") as upstream:
            await eventually(lambda: upstream.snapshot.state == "Ready")
            with pytest.raises(Exception, match="Exited"):
                await call(upstream)
            await eventually(lambda: bridge.sent("initialize") == 2 and upstream.snapshot.state == "Ready")
            assert bridge.sent("server/discover") == 1

    asyncio.run(body())


def test_a_slow_start_is_waited_for_by_one_process_and_says_so() -> None:
    slow = True

    def answer(message: dict[str, Any]) -> bytes | None:
        return b"Serving on http://127.0.0.1:8000\n" if slow else None

    async def body() -> None:
        nonlocal slow
        async with scripted_bridge(answer) as bridge, backend(bridge.address, start_timeout=300.0) as upstream:
            await eventually(lambda: "server/discover and initialize" in upstream.snapshot.waiting)
            words = upstream.snapshot.absence("s").message
            assert words.startswith("no answer yet to server/discover and initialize after ")
            assert "startTimeout is 300 s; it has written 'Serving on http://127.0.0.1:8000'" in words
            assert upstream.snapshot.state == "Connecting"
            assert len(bridge.writers) == 1
            await eventually(lambda: bridge.sent("server/discover") == bridge.sent("initialize") == 1)
            slow = False
            asked = next(message for message in bridge.received if message["method"] == "initialize")
            bridge.writers[0].write(good(asked))
            await eventually(lambda: upstream.snapshot.state == "Ready")
            assert upstream.snapshot.waiting == ""
            assert upstream.snapshot.restarts == 0

    asyncio.run(body())


def test_a_server_that_a_first_message_silences_is_greeted_by_initialize_at_its_next_start() -> None:
    silenced = False

    def answer(message: dict[str, Any]) -> bytes | None:
        nonlocal silenced
        silenced = silenced or message.get("method") == "server/discover"
        return b"" if silenced else None

    async def body() -> None:
        nonlocal silenced
        async with scripted_bridge(answer) as bridge, backend(bridge.address, start_timeout=0.5) as upstream:
            await eventually(lambda: upstream.snapshot.state == "Failed")
            assert upstream.snapshot.last_error is not None
            assert upstream.snapshot.last_error.message == (
                "no answer to server/discover and initialize within 0.5 s, its startTimeout"
            )
            silenced = False
            await eventually(lambda: upstream.snapshot.state == "Ready")
            assert bridge.sent("server/discover") == 1

    asyncio.run(body())


@pytest.mark.parametrize("code", [-32602, -32000, -32022])
@pytest.mark.parametrize("supported", ["2024-11-05", ["2024-11-05"], ["2023-01-01", "2024-11-05", "2099-01-01"]])
def test_a_refused_version_is_tried_again_with_one_that_both_know(code: int, supported: Any) -> None:
    def answer(message: dict[str, Any]) -> bytes | None:
        if message.get("method") != "initialize":
            return None
        if message["params"]["protocolVersion"] != "2024-11-05":
            return error(message, code, "Unsupported protocol version", data={"supported": supported, "requested": "x"})
        return result(message, {"protocolVersion": "2024-11-05", "capabilities": {"tools": {}}, "serverInfo": {}})

    async def body() -> None:
        async with scripted_bridge(answer) as bridge, backend(bridge.address) as upstream:
            await eventually(lambda: upstream.snapshot.state == "Ready")
            assert upstream.snapshot.profile is not None
            assert upstream.snapshot.profile.version == "2024-11-05"
            assert b"done" in await call(upstream)
            assert bridge.sent("initialize") == 3  # twice at discovery, once by the process of the call

    asyncio.run(body())


def test_a_server_that_refuses_both_is_named_with_its_own_words() -> None:
    def answer(message: dict[str, Any]) -> bytes | None:
        return error(message, -32000, "the licence has expired") if "id" in message else None

    async def body() -> None:
        async with scripted_bridge(answer) as bridge, backend(bridge.address) as upstream:
            await eventually(lambda: upstream.snapshot.state == "Failed")
            assert upstream.snapshot.last_error is not None
            assert "it refused initialize: the licence has expired" in upstream.snapshot.last_error.message

    asyncio.run(body())
