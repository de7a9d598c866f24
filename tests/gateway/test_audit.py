"""`spec.audit`: who asked for what, and what became of it."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from mcpgateway.access import audit
from mcpgateway.access.audit import Audit, Entry
from tests.gateway.conftest import server
from tests.support.bridges import ECHO, bridge, until
from tests.support.gateways import Gateway, configuration, gateway
from tests.support.waiting import PATIENCE


def entries(running: Gateway) -> list[dict[str, Any]]:
    """What has been written; the log of the gateway itself goes to another stream, here to the same file."""
    lines = [json.loads(line) for line in running.log.splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("log") == "audit"]


def written(running: Gateway, **wanted: Any) -> dict[str, Any]:
    """Wait for an entry with these members."""

    def look() -> dict[str, Any] | None:
        return next((one for one in entries(running) if wanted.items() <= one.items()), None)

    found: dict[str, Any] = until(f"an audit entry with {wanted}", look)
    return found


def test_each_request_is_written_down_with_its_outcome_and_without_its_contents(bridge_program: Path, tmp_path: Path) -> None:
    with bridge(bridge_program, tmp_path, *ECHO, "modern") as bridged:
        config = configuration(server("new", bridged, call_timeout=30.0), folder=tmp_path, audit="Metadata")
        with gateway(tmp_path, config) as running:
            running.await_ready()
            began = time.time()
            running.call("new_echo", password="hunter2")
            called = written(running, method="tools/call", name="new_echo")
            assert (called["principal"], called["server"], called["outcome"]) == ("dev", "new", "ok")
            assert 0 < called["ms"] < 30_000
            assert abs(time.mktime(time.strptime(called["time"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone - began) < 60

            running.call("new_nothing")
            assert written(running, name="new_nothing")["code"] == -32602
            running.call("new_die")
            assert written(running, name="new_die", outcome="error")["server"] == "new"
            assert running.post({"jsonrpc": "2.0", "id": 1, "method": "ping"}, token="hunter3").status_code == 401
            denied = written(running, outcome="denied", code=401)
            assert "bearer token" in denied["message"]
            assert "principal" not in denied
            running.await_ready()
            with pytest.raises(httpx2.TimeoutException):
                running.modern("tools/call", name="new_hang", arguments={}, timeout=1)
            assert written(running, name="new_hang")["outcome"] == "cancelled"

            session = running.session()
            assert written(running, method="initialize")["principal"] == "dev"
            running.post({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, headers=session)
            assert len(written(running, method="tools/list")["session"]) == 32
            assert httpx2.get(running.url, headers={"Authorization": "Bearer hunter3"}).status_code == 401
            until("the second refusal", lambda: len([e for e in entries(running) if e["outcome"] == "denied"]) == 2)
            for secret in ("hunter2", "hunter3", session["Mcp-Session-Id"]):
                assert secret not in running.log


def test_it_is_off_unless_it_is_wanted_and_changes_while_the_gateway_runs(bridge_program: Path, tmp_path: Path) -> None:
    with bridge(bridge_program, tmp_path, *ECHO, "modern") as bridged:
        config = configuration(server("new", bridged), folder=tmp_path)
        with gateway(tmp_path, config) as running:
            running.await_ready()
            running.call("new_echo", round="first")
            digest = running.status()["config"]
            running.configure(msgspec.structs.replace(config, audit="Metadata"))
            running.await_status("the new configuration", lambda status: status["config"] != digest)
            running.call("new_echo", round="second")
            running.modern("tools/list")
        calls = [entry for entry in entries(running) if entry["method"] == "tools/call"]
    assert len(calls) == 1, "the first call was not to be written, and the end must not lose the last ones"
    assert entries(running)[-1]["method"] == "tools/list"


def test_a_reader_that_reads_nothing_holds_nobody_up_and_costs_entries_that_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "_INTERVAL", 0.001)
    monkeypatch.setattr(audit, "_CLOSE_TIMEOUT", 0.05)
    reader, writer = os.pipe()
    dropped: list[int] = []

    async def fill() -> int:
        log = Audit(writer, on_dropped=dropped.append)
        number = 0
        async with asyncio.timeout(PATIENCE):
            while not dropped:
                log.add(Entry(time=time.time(), outcome="ok", name="x" * 500, session=str(number)))
                number += 1
                await asyncio.sleep(0)
        log.close()
        return number

    try:
        number = asyncio.run(fill())
        first = os.read(reader, 1 << 20).splitlines()[0]
    finally:
        os.close(reader)  # by which the thread that writes ends its batch with an error
    assert json.loads(first)["session"] == "0"
    assert 0 < sum(dropped) < number


def test_an_output_that_is_gone_costs_entries_that_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "_INTERVAL", 0.001)
    reader, writer = os.pipe()
    os.close(reader)
    dropped: list[int] = []

    async def lose() -> None:
        log = Audit(writer, on_dropped=dropped.append)
        async with asyncio.timeout(PATIENCE):
            while not dropped:
                log.add(Entry(time=time.time(), outcome="ok"))
                await asyncio.sleep(0.01)
        log.close()

    asyncio.run(lose())
    os.close(writer)
    assert dropped[0] > 0
