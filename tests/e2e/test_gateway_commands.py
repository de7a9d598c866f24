"""The commands about a running gateway on a node: through the API server to the pods, with a user's kubeconfig."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from mcp import MCPError, StdioServerParameters
from mcp.client import Client

from tests.api.conftest import Space
from tests.e2e.conftest import await_ready, await_server
from tests.e2e.test_product import TIME, gateway_pod, resource
from tests.support.commands import PROGRAM, Command


@pytest.fixture
def mcpgw(space: Space, tmp_path: Path) -> Command:
    return Command(KUBECONFIG=str(space.kubectl.kubeconfig), XDG_STATE_HOME=str(tmp_path))


def test_the_commands_reach_a_gateway_without_kubectl(space: Space, mcpgw: Command) -> None:
    """Two modes; one of the servers is broken, and the doctor says how. A stdio client survives its gateway's pod."""
    broken = {**TIME, "name": "broken", "command": ["/no/such/program"], "optional": True}
    space.apply(resource("cli", TIME, broken))
    await_ready(space, "cli")
    await_server(space, "cli", "broken", "StartFailed")
    where = ("-g", "cli", "-n", space.name)
    assert "1/2 servers ready" in mcpgw("status", *where).out
    assert "time_get_current_time" in mcpgw("tools", *where).out
    answer = mcpgw("call", *where, "time_get_current_time", "--timezone", "UTC").out
    assert json.loads(answer)["timezone"] == "UTC"
    assert "time" in mcpgw("top", *where, "--count", "1").out
    assert "mcp-bridge" in mcpgw("logs", *where, "time").out or mcpgw("logs", *where, "gateway").out
    diagnosis = mcpgw("doctor", *where, code=5).out.splitlines()
    assert diagnosis[-2].startswith("Server 'broken' is Failed (StartFailed): ENOENT: /no/such/program does not exist")
    assert diagnosis[-1] == f"  kubectl -n {space.name} edit mcpgateway cli"
    shown = mcpgw("client-config", *where, "claude-code")
    assert json.loads(shown.out)["mcpServers"]["cli"]["args"] == ["connect", *where]  # its URL exists in the cluster alone
    asyncio.run(_survive(space, where, str(space.kubectl.kubeconfig)))
    space.delete("mcpgateway", "cli")


async def _survive(space: Space, where: tuple[str, ...], kubeconfig: str) -> None:
    environment = {**os.environ, "KUBECONFIG": kubeconfig}
    server = StdioServerParameters(command=PROGRAM, args=["connect", *where], env=environment)
    async with Client(server, mode="legacy") as client:
        assert await _time(client) == "UTC"
        await asyncio.to_thread(space.kubectl, "-n", space.name, "delete", "pod", gateway_pod(space, "cli")["metadata"]["name"])
        assert await _time(client) == "UTC"


async def _time(client: Client) -> Any:
    """A call; one whose connection was lost is repeated, as a client is told to."""
    while True:
        try:
            result: Any = await client.call_tool("time_get_current_time", {"timezone": "UTC"})
            return json.loads(result.content[0].text)["timezone"]
        except MCPError as error:
            if "connection to the gateway was lost" not in str(error):
                raise
