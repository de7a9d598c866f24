"""A noisy server is read more slowly, and no other server's call waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from mcpgateway.config import Server
from mcpgateway.gateway import Settings, start
from mcpgateway.protocol.jsonrpc import ProtocolError
from mcpgateway.protocol.limits import MAX_NOTIFICATION
from mcpgateway.streams.listen import Listeners
from mcpgateway.streams.log_levels import LogLevels
from mcpgateway.streams.process_users import ProcessUsers
from mcpgateway.streams.questions import OpenQuestions
from mcpgateway.streams.replay import Replay
from mcpgateway.streams.server_messages import MAX_HIDDEN, ServerMessages
from mcpgateway.streams.session_streams import SessionStreams
from mcpgateway.upstream.own_process import RELIST_INTERVAL
from mcpgateway.upstream.pacing import NOTIFICATIONS_BURST, NOTIFICATIONS_RATE, TURN_MESSAGES, NotificationPace
from tests.gateway.test_session_end import Client
from tests.support.gateways import configuration, write_config
from tests.support.scripted_bridge import good, scripted_bridge
from tests.support.upstreams import ALICE, Heard, backend, call, eventually

FLOOD = 4000
NOTE = b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}\n'
INVALID = b"not a message at all\n"
CHANGED = b'{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n'


class Turns:
    """Counts the turns of the event loop while it is entered."""

    def __init__(self) -> None:
        self.now = 0
        self._handle: asyncio.Handle | None = None

    def __enter__(self) -> Turns:
        self._tick()
        return self

    def _tick(self) -> None:
        self.now += 1
        self._handle = asyncio.get_running_loop().call_soon(self._tick)

    def __exit__(self, *_: object) -> None:
        assert self._handle is not None
        self._handle.cancel()


def test_the_pace_allows_a_burst_and_then_its_rate() -> None:
    pace = NotificationPace()
    for _ in range(int(NOTIFICATIONS_BURST) - 1):
        pace.spend(1000.0)
    assert pace.delay(1000.0) == 0
    pace.spend(1000.0)
    assert pace.delay(1000.0) == pytest.approx(1 / NOTIFICATIONS_RATE)
    assert pace.delay(1000.0 + 1 / NOTIFICATIONS_RATE) == pytest.approx(0, abs=1e-6)
    pace.spend(1000.0 + 10 / NOTIFICATIONS_RATE)
    assert pace.delay(1000.0 + 10 / NOTIFICATIONS_RATE) == 0


@pytest.mark.parametrize("line", [NOTE, INVALID], ids=["notifications", "invalid lines"])
@pytest.mark.parametrize("isolation", ["Shared", "Session"])
def test_one_turn_of_the_loop_handles_a_bounded_number_of_a_servers_messages(line: bytes, isolation: str) -> None:
    handled: Counter[int] = Counter()

    def flood(message: dict[str, Any]) -> bytes | None:
        return line * 900 + good(message) if message.get("method") == "tools/call" else None

    async def body() -> None:
        heard = Heard()
        async with scripted_bridge(flood) as bridge, backend(bridge.address, heard=heard, isolation=isolation) as upstream:
            await eventually(lambda: upstream.snapshot.state == "Ready")
            with Turns() as turns:
                before = 0

                def note(_: str = "") -> None:
                    nonlocal before
                    handled[turns.now] += len(heard.notifications) + heard.invalid - before
                    before = len(heard.notifications) + heard.invalid

                heard.on_notification = note
                assert b"done" in await call(upstream)
                note()
            assert len(heard.notifications) + heard.invalid == 900
        if line == NOTE:
            assert max(handled.values()) <= TURN_MESSAGES

    asyncio.run(body())


def test_a_notification_is_bounded_and_a_larger_one_is_dropped_and_counted() -> None:
    start, end = b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"', b'"}}'
    largest = start + b"x" * (MAX_NOTIFICATION - len(start) - len(end)) + end

    def answer(message: dict[str, Any]) -> bytes | None:
        told = largest + b"\n" + largest.replace(b"x", b"xx", 1) + b"\n"
        return told + good(message) if message.get("method") == "tools/call" else None

    async def body() -> None:
        heard = Heard()
        async with scripted_bridge(answer) as bridge, backend(bridge.address, heard=heard) as upstream:
            await eventually(lambda: upstream.snapshot.state == "Ready")
            assert b"done" in await call(upstream)
            assert heard.notifications == ["notifications/message"]
            assert heard.invalid == 1

    asyncio.run(body())


def test_a_log_message_has_so_many_hidden_characters() -> None:
    messages = ServerMessages(
        streams=SessionStreams(Replay()),
        listeners=Listeners(),
        questions=OpenQuestions(),
        levels=LogLevels(),
        users=ProcessUsers(),
        on_list_changed=lambda connection, kind: None,
    )

    async def body() -> None:
        async with scripted_bridge() as bridge, backend(bridge.address) as upstream:
            await eventually(lambda: upstream.snapshot.state == "Ready")
            connection = await upstream.connection(ALICE)
            for count in (MAX_HIDDEN, MAX_HIDDEN + 1):
                params = Raw(b'{"level":"info","data":"' + b"\\u202e" * count + b'"}')
                if count > MAX_HIDDEN:
                    with pytest.raises(ProtocolError, match="over 1000 control or invisible characters"):
                        messages.says(connection, "notifications/message", params)
                else:
                    messages.says(connection, "notifications/message", params)

    asyncio.run(body())


def test_calls_of_an_honest_server_do_not_wait_for_a_noisy_one() -> None:
    def flood(message: dict[str, Any]) -> bytes | None:
        return NOTE * FLOOD + good(message) if message.get("method") == "tools/call" else None

    async def body() -> None:
        heard = Heard()
        async with (
            scripted_bridge(flood) as noisy,
            scripted_bridge() as honest,
            backend(noisy.address, heard=heard) as first,
            backend(honest.address) as second,
        ):
            await eventually(lambda: first.snapshot.state == second.snapshot.state == "Ready")
            noise = asyncio.create_task(call(first))
            await eventually(lambda: heard.notifications)
            for _ in range(20):
                assert b"done" in await call(second)
            assert len(heard.notifications) < FLOOD  # twenty calls were answered in the middle of the noise
            assert not noise.done()
            assert b"done" in await noise  # nothing of the noise was lost, and its own call is answered after it
            assert len(heard.notifications) == FLOOD

    asyncio.run(body())


@pytest.mark.parametrize("isolation", ["Shared", "Session"])
def test_a_storm_of_list_changed_reads_the_lists_at_most_once_an_interval(isolation: str) -> None:
    storms = 3

    def storm(message: dict[str, Any]) -> bytes | None:
        return CHANGED * 300 + good(message) if message.get("method") == "tools/call" else None

    async def body() -> None:
        loop = asyncio.get_running_loop()
        async with scripted_bridge(storm) as bridge, backend(bridge.address, isolation=isolation) as upstream:
            await eventually(lambda: upstream.snapshot.state == "Ready")
            before, began = bridge.sent("tools/list"), loop.time()
            for _ in range(storms):
                assert b"done" in await call(upstream)
            await eventually(lambda: bridge.sent("tools/list") > before)
            allowed = 1 + (loop.time() - began) / RELIST_INTERVAL
            assert bridge.sent("tools/list") - before <= allowed
            await eventually(lambda: bridge.sent("tools/list") - before > 1)  # the last change is read, too
            assert b"done" in await call(upstream)

    asyncio.run(body())


@contextlib.asynccontextmanager
async def remote(compressed: bytes) -> AsyncIterator[str]:
    """A modern remote server whose answer to a call is a gzip'd event stream."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.CancelledError, ConnectionError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
                lengths = [int(value) for name, value in fields.items() if name.lower() == b"content-length"]
                raw = await reader.readexactly(lengths[0]) if lengths else b""
                message = json.loads(raw) if raw else {}
                kind, coding, body = b"application/json", b"identity", b"{}"
                if message.get("method") == "server/discover":
                    discovered = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
                    body = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": discovered}).encode()
                elif message.get("method") == "tools/list":
                    body = good(message)
                elif message.get("method") == "tools/call":
                    kind, coding, body = b"text/event-stream", b"gzip", compressed
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Encoding: %b\r\n" % (kind, coding))
                writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/mcp"
    finally:
        listening.close()


@pytest.mark.parametrize(
    "stream",
    [b"data:\n" * 5_000_000, b": comment\n" * 3_000_000, b"data: " + b"x" * (40 << 20), b"event: y\n\n" * 300_000],
    ids=["empty data lines", "comments", "one line", "events of no use"],
)
def test_a_compressed_stream_is_bounded_after_decompression_and_others_are_served_meanwhile(stream: bytes) -> None:
    compressed = gzip.compress(stream, 1)  # before the loop runs, which the servers of this test share

    async def body() -> None:
        heard = Heard()
        async with (
            remote(compressed) as url,
            scripted_bridge() as honest,
            backend(url=url, heard=heard) as first,
            backend(honest.address) as second,
        ):
            await eventually(lambda: first.snapshot.state == second.snapshot.state == "Ready")
            bomb = asyncio.create_task(call(first))
            answered = 0
            while not bomb.done():
                assert b"done" in await call(second)
                answered += 1
            assert "ProtocolError" in str(bomb.exception())
            assert answered
            assert heard.internal == []

    asyncio.run(body())


def test_a_call_that_a_storm_of_notifications_delays_too_long_says_so(tmp_path: Path) -> None:
    def answer(message: dict[str, Any]) -> bytes | None:
        return NOTE * 20_000 if message.get("method") == "tools/call" else None

    async def body() -> None:
        async with scripted_bridge(answer) as bridge:
            server = Server(name="s", addresses=(bridge.address,), isolation="Shared", call_timeout=2.0)
            write_config(tmp_path, configuration(server, folder=tmp_path))
            gateway = await start(Settings(config=tmp_path / "config.json"))
            gateway.configure(gateway.reading)
            await eventually(lambda: gateway.router.startup.over)
            client = Client(gateway)
            await client.open()
            call = client.begin("tools/call", name="s_t", arguments={})
            await eventually(call.answered.is_set)
            error = json.loads(call.answer)["error"]
            assert error["data"]["reason"] == "Timeout"
            assert "it sends more notifications than it may" in error["message"]
            await gateway._close()

    asyncio.run(body())
