"""`mcpgw connect`: clients that know only stdio, with everything that they can do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest
import yaml
from mcp import MCPError, StdioServerParameters
from mcp.client import Client, ClientRequestContext

from tests.support.bridges import until
from tests.support.commands import PROGRAM, Command
from tests.support.local_runs import Up, descendants, resource, up
from tests.support.locks import free_port

QUESTION = {
    "method": "elicitation/create",
    "params": {"message": "Go on?", "requestedSchema": {"type": "object", "properties": {"answer": {"type": "string"}}}},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Up, Path]]:
    folder = tmp_path_factory.mktemp("run")
    (folder / "gateway.yaml").write_text(yaml.safe_dump(resource("a")))
    with up(str(folder / "gateway.yaml"), f"--port={free_port()}", state=folder) as running:
        running.connected()
        yield running, folder


async def accept(context: ClientRequestContext, params: Any) -> types.ElicitResult:
    return types.ElicitResult(action="accept", content={"answer": "yes"})


@contextlib.asynccontextmanager
async def client(folder: Path, mode: str) -> AsyncIterator[Client]:
    environment = {**os.environ, "XDG_STATE_HOME": str(folder)}
    server = StdioServerParameters(command=PROGRAM, args=["connect"], env=environment)
    async with Client(server, mode=mode, elicitation_callback=accept) as connected:
        yield connected


def text(result: Any) -> str:
    return str(result.content[0].text)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_a_client_on_stdio_does_what_it_can_do_over_http(run: tuple[Up, Path], mode: str) -> None:
    """Calls, progress, a question of the server; and again after the gateway has been killed."""
    running, folder = run

    async def use() -> None:
        steps: list[float] = []

        async def progress(progress: float, total: float | None, message: str | None) -> None:
            steps.append(progress)

        async with client(folder, mode) as connected:
            assert "a_echo" in [tool.name for tool in (await connected.list_tools()).tools]
            big = {"n": 12345678901234567890, "text": "ü" * 70_000}
            assert json.loads(text(await connected.call_tool("a_echo", big))) == big
            await connected.call_tool("a_progress", {}, progress_callback=progress)
            assert steps
            assert "accept" in text(await connected.call_tool("a_ask", QUESTION))
            kill_gateway(running)
            assert json.loads(text(await again(connected, "a_echo", {"after": 1}))) == {"after": 1}

    asyncio.run(use())


async def again(connected: Client, tool: str, arguments: dict[str, Any]) -> Any:
    """As a client repeats a call whose connection was lost, and no other."""
    while True:
        try:
            return await connected.call_tool(tool, arguments)
        except MCPError as error:
            assert "connection to the gateway was lost" in str(error)  # noqa: PT017


def kill_gateway(running: Up) -> None:
    """The gateway's process alone: `mcpgw up` starts another."""
    before = running.log.count("the gateway has ended")
    for pid in descendants(running.process.pid):
        if b"mcpgateway\0--config" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
    until("another gateway", lambda: running.log.count("the gateway has ended") > before)


def test_lines_that_are_no_messages_are_answered_and_the_rest_goes_on(run: tuple[Up, Path]) -> None:
    _, folder = run
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    lines = ["{", "[1]", "", '"x"', json.dumps({"jsonrpc": "2.0", "id": "i", "method": "initialize", "params": hello})]
    done = Command(XDG_STATE_HOME=str(folder))("connect", stdin="".join(f"{line}\n" for line in lines))
    answers = [json.loads(line) for line in done.out.splitlines()]
    assert [answer["error"]["code"] for answer in answers[:3]] == [-32700, -32600, -32600]
    assert answers[3]["id"] == "i"
    assert answers[3]["result"]["serverInfo"]


def test_a_session_that_the_gateway_forgot_is_opened_again(run: tuple[Up, Path]) -> None:
    """As after `sessions.ttl`: another client of the same session ends it."""
    import httpx2

    running, folder = run

    async def use() -> None:
        async with client(folder, "legacy") as connected:
            assert json.loads(text(await connected.call_tool("a_echo", {}))) == {}
            report = json.loads((next((folder / "mcpgateway" / ".runs").glob("*.json"))).read_text())
            token = (folder / "mcpgateway" / "local" / "tokens" / "t" / "token").read_text().strip()
            keys = next((folder / "mcpgateway" / "local" / "keys").iterdir())
            keys.write_bytes(os.urandom(32))  # with other keys no session is valid
            kill_gateway(running)
            headers = {"Authorization": f"Bearer {token}"}
            until("the gateway", lambda: _answers(report["url"], headers))
            assert json.loads(text(await again(connected, "a_echo", {"n": 1}))) == {"n": 1}

    def _answers(url: str, headers: dict[str, str]) -> bool:
        with contextlib.suppress(httpx2.HTTPError):
            return httpx2.get(url.removesuffix("/mcp") + "/health", headers=headers).status_code == 200
        return False

    asyncio.run(use())
