"""Discovery does not end a server: one that exits on a first message it does not know is greeted by `initialize`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.support.bridges import bridge
from tests.support.upstreams import backend, call, eventually

STRICT = """
import json, sys
first = True
for line in sys.stdin:
    message = json.loads(line)
    if first and message["method"] != "initialize":
        sys.exit("ExpectedInitializeRequest")
    first = False
    with open(sys.argv[1], "a") as log:
        log.write(message["method"] + "\\n")
    results = {
        "initialize": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "s"}},
        "tools/list": {"tools": [{"name": "t", "inputSchema": {"type": "object"}}]},
        "tools/call": {"content": [{"type": "text", "text": "done"}]},
        "ping": {},
    }
    if "id" in message:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": results[message["method"]]}), flush=True)
"""


@pytest.mark.parametrize("isolation", ["Auto", "Shared"])
def test_a_server_that_ends_on_an_unknown_first_message_is_ready_without_a_crash(
    bridge_program: Path, tmp_path: Path, isolation: str
) -> None:
    log = tmp_path / "log"
    command = (sys.executable, "-c", STRICT, str(log))

    async def body(port: int) -> None:
        async with backend(f"127.0.0.1:{port}", isolation=isolation) as upstream:
            await eventually(lambda: upstream.snapshot.state == "Ready")
            assert upstream.era == "legacy"
            assert upstream.snapshot.restarts == 0
            assert upstream.snapshot.last_error is None
            assert b"done" in await call(upstream)

    with bridge(bridge_program, tmp_path, *command) as running:
        asyncio.run(body(running.port))
    assert log.read_text().startswith("initialize\n")


def test_a_server_that_ends_on_every_first_message_is_named(bridge_program: Path, tmp_path: Path) -> None:
    async def body(port: int) -> None:
        async with backend(f"127.0.0.1:{port}") as upstream:
            await eventually(lambda: upstream.snapshot.state == "Failed")
            assert upstream.snapshot.last_error is not None
            assert upstream.snapshot.last_error.reason == "Exited"
            assert upstream.snapshot.restarts == 1

    with bridge(bridge_program, tmp_path, sys.executable, "-c", "import sys; sys.stdin.readline(); sys.exit(3)") as running:
        asyncio.run(body(running.port))
