"""Two replicas of a gateway behind a real proxy that goes past the Service, as Ingress controllers do."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from mcpgateway_operator.render.services import INGRESS_AFFINITY
from tests.gateway.conftest import server
from tests.support.bridges import ECHO, bridge, until
from tests.support.gateways import TOKEN, Gateway, configuration, gateway
from tests.support.proxies import nginx
from tests.support.waiting import PATIENCE

SERVER = """
    proxy_read_timeout 1h;
    location / { proxy_pass http://gateway; proxy_http_version 1.1; proxy_buffering off; proxy_set_header Host $http_host; }
"""
(HASH,) = INGRESS_AFFINITY.values()  # ingress-nginx hashes by it, as nginx does
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json, text/event-stream"}
META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}


@pytest.fixture(scope="module")
def replicas(bridge_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Gateway]]:
    """With the same keys and the same bridge, as the pods of one gateway."""
    folder = tmp_path_factory.mktemp("replicas")
    with ExitStack() as stack:
        old = stack.enter_context(bridge(bridge_program, folder, *ECHO, "legacy"))
        both = []
        for name in ("one", "other"):
            (folder / name).mkdir()
            config = configuration(server("old", old, call_timeout=PATIENCE), folder=folder / name)
            both.append(stack.enter_context(gateway(folder / name, config)))
        for each in both:
            each.await_ready()
        yield both[0], both[1]


def post(port: int, body: dict[str, Any], headers: dict[str, str]) -> httpx2.Response:
    body = {"jsonrpc": "2.0", "id": 1, **body}
    return httpx2.post(f"http://127.0.0.1:{port}/mcp", json=body, headers=HEADERS | headers, timeout=PATIENCE)


def session(port: int) -> dict[str, str]:
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    opened = post(port, {"method": "initialize", "params": params}, {})
    return {"Mcp-Session-Id": opened.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-11-25"}


def at_once(port: int, headers: dict[str, str], count: int, params: dict[str, Any]) -> list[str]:
    """The texts of that many concurrent calls of one client."""
    body = {"method": "tools/call", "params": {"name": "old_slow", "arguments": {"seconds": 0.2}, **params}}
    with ThreadPoolExecutor(count) as pool:
        return [answer.text for answer in pool.map(lambda _: post(port, body, headers), range(count))]


def test_without_an_affinity_concurrent_calls_of_a_session_take_its_process_from_each_other(
    replicas: tuple[Gateway, Gateway], tmp_path: Path
) -> None:
    one, other = replicas
    with nginx(tmp_path, SERVER, gateway=one.port, others=[other.port]) as port:
        headers = session(port)
        until("two replicas to use one process", lambda: any("TakenOver" in text for text in at_once(port, headers, 4, {})))


def test_with_the_annotation_of_the_ingress_each_session_stays_on_one_replica(
    replicas: tuple[Gateway, Gateway], tmp_path: Path
) -> None:
    one, other = replicas
    with nginx(tmp_path, SERVER, gateway=one.port, others=[other.port], balance=f'hash "{HASH}" consistent;') as port:
        for _ in range(8):
            texts = at_once(port, session(port), 4, {})
            assert all('"result"' in text and "TakenOver" not in text for text in texts), texts
    assert all(each.status()["servers"][0]["processes"] > 0 for each in replicas), "sessions are spread over both"


def test_with_the_annotation_an_identity_without_sessions_stays_on_one_replica(
    replicas: tuple[Gateway, Gateway], tmp_path: Path
) -> None:
    one, other = replicas
    headers = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "old_slow"}
    with nginx(tmp_path, SERVER, gateway=one.port, others=[other.port], balance=f'hash "{HASH}" consistent;') as port:
        texts = at_once(port, headers, 6, {"_meta": META})
        assert all('"result"' in text and "TakenOver" not in text for text in texts), texts
