"""The gateway beside the same server by plain TCP and beside a minimal relay: every answer checked, rounds interleaved."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from mcpgateway import config as gateway_config
from tests.support import pypi, tools
from tests.support.bridges import bridge
from tests.support.gateways import TOKEN, configuration, gateway
from tests.support.locks import free_port
from tests.support.paths import ROOT
from tests.support.remotes import serving

from . import peers

ROUNDS = 5
SECONDS = 1.5
SMALL, LARGE = 1 << 10, 1 << 20
META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
SERVER = Path(__file__).with_name("server.go")
RELAY = Path(__file__).with_name("relay.py")
DIRECT, MINIMAL, OURS, LEGACY = "plain TCP to the server", "minimal relay", "gateway", "gateway, legacy client"
SESSIONS = 500


@dataclass(frozen=True)
class Way:
    """One way to the server."""

    name: str
    port: int
    call: Callable[[int, float, int, int], Awaitable[list[float]]]  # port, end, number, size → latencies
    pid: int = 0


def measure() -> dict[str, list[dict[str, Any]]]:
    """Calls a second, latency, CPU a call; throughput; sessions; start and memory."""
    uvloop.install()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        tools.run_go(["build", "-o", str(folder / "server"), str(SERVER)], folder)
        running = stack.enter_context(bridge(tools.bridge(), folder, str(folder / "server")))
        server = gateway_config.Server(name="s", addresses=(f"127.0.0.1:{running.port}",))
        config = configuration(server, folder=folder, audit="Metadata")
        shipped = pypi.python("gateway", ROOT / "requirements" / "gateway.txt")  # as in the image, and nothing else
        healthy = statistics.median(_start(folder, config, shipped) for _ in range(ROUNDS))
        sessions = _fresh_sessions(folder, config, shipped)
        ours = stack.enter_context(gateway(folder, config, python=shipped))
        ours.await_ready()
        others = [
            Way(name, port, _peer, pid)
            for name in peers.PEERS
            for port, pid in [stack.enter_context(peers.peer(name, folder / "server"))]
        ]
        # last, because a bridge does not wait long for the first byte of a connection
        relay, relay_pid = stack.enter_context(_relay(running.port))
        ways = [
            Way(DIRECT, running.port, _line),
            Way(MINIMAL, relay, _plain, relay_pid),
            Way(OURS, ours.port, _modern, ours.process.pid),
            Way(LEGACY, ours.port, _legacy, ours.process.pid),
        ]
        return {
            "1 KiB tool calls": _rounds(ways, SMALL, (1, 16, 64)),
            "1 KiB tool calls, beside peers": _rounds([ways[1], ways[3], *others], SMALL, (1, 16)),
            "1 MiB tool calls": _rounds(ways, LARGE, (1,)),
            "start and sessions": [{"healthy ms": healthy, **sessions}],
        }


def _start(folder: Path, config: gateway_config.Config, python: Path) -> float:
    """Milliseconds from a gateway's start until it says that it is ready."""
    with gateway(folder, config, python=python) as running:
        return running.started_in * 1e3


@contextmanager
def _relay(bridge_port: int) -> Iterator[tuple[int, int]]:
    port = free_port()
    with serving([sys.executable, str(RELAY), str(port), str(bridge_port)], port, dict(os.environ)) as process:
        yield port, process.pid


def _rounds(ways: list[Way], size: int, callers: tuple[int, ...]) -> list[dict[str, Any]]:
    samples: dict[tuple[int, str], list[dict[str, float]]] = {}
    for _ in range(ROUNDS):
        for count in callers:
            for way in ways:
                samples.setdefault((count, way.name), []).append(_sample(way, size, count))
    rows = []
    for (count, name), measured in samples.items():
        median = {key: statistics.median(sample[key] for sample in measured) for key in measured[0]}
        relays = [sample["calls/s"] for sample in samples[count, MINIMAL]]
        ratio = statistics.median(mine["calls/s"] / theirs for mine, theirs in zip(measured, relays, strict=True))
        rows.append({"callers": count, "way": name, **median, "of the relay": ratio})
    return rows


def _sample(way: Way, size: int, callers: int) -> dict[str, float]:
    before = _cpu(way.pid)
    latencies = sorted(asyncio.run(_load(way, size, callers)))
    count = len(latencies)
    return {
        "calls/s": count / SECONDS,
        "MB/s": count * size / SECONDS / 1e6,
        "p50 ms": latencies[count // 2] * 1e3,
        "p99 ms": latencies[int(count * 0.99)] * 1e3,
        "CPU µs/call": (_cpu(way.pid) - before) / count * 1e6,
    }


async def _load(way: Way, size: int, callers: int) -> list[float]:
    stop = time.perf_counter() + SECONDS
    measured = await asyncio.gather(*(way.call(way.port, stop, number, size) for number in range(callers)))
    return [latency for latencies in measured for latency in latencies]


def _cpu(pid: int) -> float:
    if not pid:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> int:
    """KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


# --- callers --------------------------------------------------------------------------------------------------------------


def _body(id: str, tool: str, text: str, *, modern: bool = True) -> bytes:
    params = {"name": tool, "arguments": {"text": text}, **({"_meta": META} if modern else {})}
    return json.dumps({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}).encode()


def _check(answer: bytes, id: str, text: str) -> None:
    if id.encode() not in answer or text.encode() not in answer:
        raise AssertionError(f"a wrong answer: {answer[:200]!r}")


async def _modern(port: int, stop: float, number: int, size: int) -> list[float]:
    headers = "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: s_echo\r\n"
    return await _http(port, stop, number, size, headers)


async def _legacy(port: int, stop: float, number: int, size: int) -> list[float]:
    return await _http(port, stop, number, size, await _initialize(port), modern=False)


async def _plain(port: int, stop: float, number: int, size: int) -> list[float]:
    return await _http(port, stop, number, size, "")


async def _http(
    port: int, stop: float, number: int, size: int, headers: str, *, modern: bool = True, tool: str = "s_echo"
) -> list[float]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4 << 20)

    async def ask(body: bytes) -> bytes:
        return (await _post(reader, writer, body, headers))[0]

    latencies = await _timed(ask, stop, number, size, tool=tool, modern=modern)
    writer.close()
    return latencies


async def _timed(
    ask: Callable[[bytes], Awaitable[bytes]], stop: float, number: int, size: int, *, tool: str, modern: bool = True
) -> list[float]:
    """One caller's calls, one after the other, each answer checked."""
    latencies: list[float] = []
    text = "x" * size
    while not latencies or time.perf_counter() < stop:
        id = f"{number}-{len(latencies)}"
        began = time.perf_counter()
        answer = await ask(_body(id, tool, text, modern=modern))
        latencies.append(time.perf_counter() - began)
        _check(answer, id, text)
    return latencies


async def _post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes, headers: str) -> tuple[bytes, bytes]:
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
        f"Accept: application/json, text/event-stream\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    answered = await reader.readuntil(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in answered.lower():
        return await _chunks(reader), answered
    length = answered.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
    return await reader.readexactly(int(length or b"0")), answered


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    measured = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        measured.append((await reader.readexactly(size + 2))[:-2])
    await reader.readuntil(b"\r\n")
    return b"".join(measured)


async def _initialize(port: int) -> str:
    """The headers of a new legacy session."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
    _, head = await _post(
        reader, writer, json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}).encode(), ""
    )
    lines = head.decode().split("\r\n")
    token = next(line.partition(": ")[2] for line in lines if line.lower().startswith("mcp-session-id"))
    headers = f"Mcp-Session-Id: {token}\r\nMCP-Protocol-Version: 2025-11-25\r\n"
    await _post(reader, writer, b'{"jsonrpc":"2.0","method":"notifications/initialized"}', headers)
    writer.close()
    return headers


async def _peer(port: int, stop: float, number: int, size: int) -> list[float]:
    """As the legacy client, for gateways that do not change names."""
    return await _http(port, stop, number, size, await _initialize(port), modern=False, tool="echo")


async def _line(port: int, stop: float, number: int, size: int) -> list[float]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4 << 20)

    async def ask(body: bytes) -> bytes:
        writer.write(body + b"\n")
        return await reader.readline()

    latencies = await _timed(ask, stop, number, size, tool="echo")
    writer.close()
    return latencies


def _fresh_sessions(folder: Path, config: gateway_config.Config, python: Path) -> dict[str, float]:
    """Of a gateway that has done nothing else, and so has no memory to spare."""
    with gateway(folder, config, python=python) as running:
        running.await_ready()
        idle = _memory(running.process.pid) / 1024
        return {"idle MiB": idle, **_sessions(running.port, running.process.pid)}


def _sessions(port: int, pid: int) -> dict[str, float]:
    """From a new connection to its first tools/list, beside a plain call; and what an idle session costs."""
    before = _memory(pid)
    firsts, calls, kept = asyncio.run(_open_sessions(port, pid))
    return {
        "new session to first tools/list, p50 ms": statistics.median(firsts) * 1e3,
        "first tools/list over a call, ms": (statistics.median(firsts) - statistics.median(calls)) * 1e3,
        "KiB a session": (kept - before) / SESSIONS,
    }


async def _open_sessions(port: int, pid: int) -> tuple[list[float], list[float], int]:
    ask = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).encode()
    firsts, calls, writers = [], [], []
    for number in range(SESSIONS):
        headers = await _initialize(port)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        began = time.perf_counter()
        await _post(reader, writer, ask, headers)
        firsts.append(time.perf_counter() - began)
        if number % 10 == 0:
            began = time.perf_counter()
            await _post(reader, writer, _body("1", "s_echo", "x", modern=False), headers)
            calls.append(time.perf_counter() - began)
        writers.append(writer)
    kept = _memory(pid)
    for writer in writers:
        writer.close()
    return firsts, calls, kept
