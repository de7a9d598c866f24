"""Tool calls through the gateway, beside the same server by plain TCP: every answer checked."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from mcpgateway import config as gateway_config
from tests.support import tools
from tests.support.bridges import bridge
from tests.support.gateways import TOKEN, configuration, gateway

ROUNDS = 3
SECONDS = 1.5
TEXT = "x" * 1024
META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
SERVER = Path(__file__).with_name("server.go")


def measure() -> dict[str, list[dict[str, Any]]]:
    """Calls a second, latency and the gateway's CPU a call at 1, 16 and 64 callers."""
    uvloop.install()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tools.run_go(["build", "-o", str(folder / "server"), str(SERVER)], folder)
        with bridge(tools.bridge(), folder, str(folder / "server")) as running:
            server = gateway_config.Server(name="s", addresses=(f"127.0.0.1:{running.port}",))
            with gateway(folder, configuration(server, folder=folder)) as ours:
                ours.await_ready()
                return {"1 KiB tool calls": _rounds(running.port, ours.port, ours.process.pid)}


def _rounds(plain: int, port: int, pid: int) -> list[dict[str, Any]]:
    samples: dict[tuple[str, int], list[tuple[float, float, float, float]]] = {}
    for _ in range(ROUNDS):
        for callers in (1, 16, 64):
            for way, target in (("plain TCP to the server", plain), ("through the gateway", port)):
                before = _cpu(pid)
                latencies = asyncio.run(_load(way, target, callers))
                cpu = (_cpu(pid) - before) / len(latencies) * 1e6
                latencies.sort()
                row = (len(latencies) / SECONDS, latencies[len(latencies) // 2], latencies[int(len(latencies) * 0.99)], cpu)
                samples.setdefault((way, callers), []).append(row)
    rows = []
    for (way, callers), found in sorted(samples.items(), key=lambda item: (item[0][1], item[0][0])):
        rate, p50, p99, cpu = (statistics.median(values) for values in zip(*found, strict=True))
        rows.append(
            {
                "callers": callers,
                "way": way,
                "calls/s": rate,
                "p50 ms": p50 * 1e3,
                "p99 ms": p99 * 1e3,
                "gateway CPU µs/call": cpu if "gateway" in way else 0.0,
            }
        )
    return rows


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _load(way: str, port: int, callers: int) -> list[float]:
    end = time.perf_counter() + SECONDS
    one = _http if "gateway" in way else _line
    found = await asyncio.gather(*(one(port, end, number) for number in range(callers)))
    return [latency for latencies in found for latency in latencies]


def _body(id: str, tool: str) -> bytes:
    params = {"name": tool, "arguments": {"text": TEXT}, "_meta": META}
    return json.dumps({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}).encode()


def _check(answer: bytes, id: str) -> None:
    if id.encode() not in answer or TEXT.encode() not in answer:
        raise AssertionError(f"a wrong answer: {answer[:200]!r}")


async def _http(port: int, end: float, number: int) -> list[float]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    latencies: list[float] = []
    while (began := time.perf_counter()) < end:
        id = f"{number}-{len(latencies)}"
        body = _body(id, "s_echo")
        head = (
            f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
            "Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\n"
            f"Mcp-Name: s_echo\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        answered = await reader.readuntil(b"\r\n\r\n")
        length = int(answered.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        _check(await reader.readexactly(length), id)
        latencies.append(time.perf_counter() - began)
    writer.close()
    return latencies


async def _line(port: int, end: float, number: int) -> list[float]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    latencies: list[float] = []
    while (began := time.perf_counter()) < end:
        id = f"{number}-{len(latencies)}"
        writer.write(_body(id, "echo") + b"\n")
        _check(await reader.readline(), id)
        latencies.append(time.perf_counter() - began)
    writer.close()
    return latencies
