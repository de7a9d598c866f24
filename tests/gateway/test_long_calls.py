"""Calls that take long, directly and behind a proxy that gives up on a silent response."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from mcpgateway.edge.limits import DEFAULT_LIMITS
from mcpgateway.streams.replay import KEEP_ALIVE
from tests.gateway.conftest import server
from tests.support.bridges import ECHO, bridge
from tests.support.gateways import MODERN, TOKEN, Gateway, configuration, gateway
from tests.support.proxies import envoy, haproxy, nginx
from tests.support.waiting import PATIENCE

STREAMS, ONLY_JSON, ANY = "application/json, text/event-stream", "application/json", "*/*"
META = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
SILENT = 3 * DEFAULT_LIMITS.silence  # seconds of a call for which a stream is opened
IDLE = 30  # seconds after which the proxy gives up
LONG = 40  # seconds of a call that it would not wait for
SERVER = f"""
    proxy_read_timeout {IDLE}s;
    proxy_buffering on;
    proxy_set_header Host $http_host;
    location /eleven/ {{ proxy_pass http://gateway/; proxy_http_version 1.1; }}
    location /ten/ {{ proxy_pass http://gateway/; proxy_http_version 1.0; }}
"""
ROUTE = {"match": {"prefix": "/"}, "route": {"cluster": "gateway", "timeout": "0s"}}  # of Envoy


class Asked(NamedTuple):
    """One call: where, by whom, of which tool."""

    url: str
    accept: str
    tool: str = "new_slow"
    seconds: float = SILENT


@pytest.fixture(scope="module")
def ours(bridge_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("long")
    with (
        bridge(bridge_program, folder, *ECHO, "modern") as new,
        bridge(bridge_program, folder, *ECHO, "legacy") as old,
    ):
        servers = (  # a process for each call, so that none waits for another
            server("new", new, isolation="Call", call_timeout=PATIENCE),
            server("brief", new, isolation="Call", call_timeout=SILENT),
            server("old", old, isolation="Session", call_timeout=PATIENCE),
        )
        with gateway(folder, configuration(*servers, folder=folder)) as running:
            running.await_ready()
            yield running


def ask(asked: Asked) -> httpx2.Response:
    params = {"name": asked.tool, "arguments": {"seconds": asked.seconds}, "_meta": META}
    headers = {
        "Authorization": f"Bearer {TOKEN}",
        "Accept": asked.accept,
        "MCP-Protocol-Version": MODERN,
        "Mcp-Method": "tools/call",
        "Mcp-Name": asked.tool,
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    return httpx2.post(asked.url, json=body, headers=headers, timeout=PATIENCE)


def at_once(calls: Iterable[Asked]) -> dict[Asked, httpx2.Response]:
    calls = list(calls)
    with ThreadPoolExecutor(len(calls)) as pool:
        return dict(zip(calls, pool.map(ask, calls), strict=True))


def message(response: httpx2.Response) -> dict[str, Any]:
    """The only message of a response that was silent for some time."""
    assert response.headers["content-type"] == "text/event-stream"
    assert response.text.startswith(": keep-alive\n\n")
    (data,) = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: ")]
    answer: dict[str, Any] = json.loads(data)
    return answer


def seconds(answer: dict[str, Any]) -> float:
    return float(json.loads(answer["result"]["content"][0]["text"])["seconds"])


def test_a_long_call_of_a_client_that_asks_for_streams_by_name_gets_one(ours: Gateway) -> None:
    found = at_once(Asked(ours.url, accept) for accept in (STREAMS, ONLY_JSON, ANY))
    assert seconds(message(found[Asked(ours.url, STREAMS)])) == SILENT
    for accept in (ONLY_JSON, ANY):
        response = found[Asked(ours.url, accept)]
        assert response.headers["content-type"] == "application/json"
        assert seconds(response.json()) == SILENT


def test_an_error_after_a_long_time_is_in_the_stream(ours: Gateway) -> None:
    answer = message(ask(Asked(ours.url, STREAMS, "brief_hang")))
    assert answer["error"]["code"] == -32603
    assert f"no answer within {SILENT:g} s" in answer["error"]["message"]


def test_a_short_call_is_answered_without_a_stream(ours: Gateway) -> None:
    assert ask(Asked(ours.url, STREAMS, "new_echo")).headers["content-type"] == "application/json"


@pytest.mark.anyio
@pytest.mark.parametrize(("mode", "tool"), [("legacy", "old_slow"), (MODERN, "new_slow")])
async def test_sdk_clients_read_the_answer_of_a_long_call(ours: Gateway, mode: Any, tool: str) -> None:
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=PATIENCE) as http,
        Client(streamable_http_client(ours.url, http_client=http), mode=mode) as client,
    ):
        result = await client.call_tool(tool, {"seconds": SILENT})
        assert json.loads(result.content[0].text) == {"seconds": SILENT}  # type: ignore[union-attr]


def test_proxies_that_give_up_on_silence_pass_a_long_call(ours: Gateway, tmp_path: Path) -> None:
    assert 2 * DEFAULT_LIMITS.silence < IDLE < LONG
    assert KEEP_ALIVE < IDLE
    with (
        nginx(tmp_path / "nginx", SERVER, gateway=ours.port) as port,
        haproxy(tmp_path / "haproxy", backend=f"  timeout server {IDLE}s", gateway=ours.port) as other,
        envoy(tmp_path / "envoy", routes=[ROUTE], idle=IDLE, gateway=ours.port) as third,
    ):
        urls = [f"http://127.0.0.1:{port}/{upstream}/mcp" for upstream in ("eleven", "ten")]
        urls += [f"http://127.0.0.1:{others}/mcp" for others in (other, third)]
        found = at_once(Asked(url, accept, seconds=LONG) for url in urls for accept in (STREAMS, ONLY_JSON))
    for asked, response in found.items():
        if asked.accept == STREAMS:
            assert seconds(message(response)) == LONG
        else:
            assert response.status_code == 504, "a client that takes no streams needs a proxy that waits"
