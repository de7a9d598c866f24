"""Which process serves a call."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from msgspec import structs

from mcpgateway import config as gateway_config
from tests.gateway.conftest import server
from tests.gateway.test_input_required import headers, message
from tests.support.bridges import ECHO, bridge, until
from tests.support.gateways import Gateway, configuration, gateway
from tests.support.waiting import PATIENCE


@contextlib.contextmanager
def world(program: Path, folder: Path, era: str, **more: Any) -> Iterator[Gateway]:
    """A gateway with two principals in front of one server."""
    for name in ("alice", "bob"):
        (folder / name).write_text(f"{name}-token")
    auth = gateway_config.Auth(tokens=tuple(gateway_config.Token(name=n, file=str(folder / n)) for n in ("alice", "bob")))
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(bridge(program, folder, *ECHO, era))
        ours = stack.enter_context(gateway(folder, configuration(server("s", running, **more), folder=folder, auth=auth)))
        ours.await_ready()
        yield ours


class Client:
    """One client of an era: a session of its own, or none."""

    def __init__(self, ours: Gateway, who: str, era: str) -> None:
        self.ours, self.token, self.era = ours, f"{who}-token", era
        self.session: dict[str, str] = {}
        if era == "legacy":
            body = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}}
            self.session = {"Mcp-Session-Id": ours.post(body, token=self.token).headers["mcp-session-id"]}

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        body = message("tools/call", name=f"s_{tool}", arguments=arguments)
        sent = headers(body)
        if self.era == "legacy":
            body["params"].pop("_meta")
            sent = self.session
        sent.pop("Authorization", None)
        answer: dict[str, Any] = self.ours.post(body, token=self.token, headers=sent).json()
        return answer

    def text(self, tool: str, **arguments: Any) -> str:
        return str(self.call(tool, **arguments)["result"]["content"][0]["text"])

    def leave(self) -> None:
        httpx2.delete(self.ours.url, headers={**self.session, "Authorization": f"Bearer {self.token}"})


EXPECTED = {
    # per isolation: what `count` says to alice twice in one session, to alice in another, and to bob
    "Shared": ["1", "2", "3", "4"],
    "Session": ["1", "2", "1", "1"],
    "Principal": ["1", "2", "3", "1"],
    "Call": ["1", "1", "1", "1"],
}


@pytest.mark.parametrize("isolation", list(EXPECTED))
@pytest.mark.parametrize("spoken", ["legacy", "modern"])
def test_state_is_shared_as_far_as_the_isolation_says(bridge_program: Path, tmp_path: Path, isolation: str, spoken: str) -> None:
    with world(bridge_program, tmp_path, spoken, isolation=isolation) as ours:
        assert ours.server("s")["isolation"] == isolation
        first, second, bob = (Client(ours, who, "legacy") for who in ("alice", "alice", "bob"))
        assert [first.text("count"), first.text("count"), second.text("count"), bob.text("count")] == EXPECTED[isolation]


@pytest.mark.parametrize("isolation", ["Session", "Principal"])
def test_a_modern_clients_processes_are_its_identitys(bridge_program: Path, tmp_path: Path, isolation: str) -> None:
    with world(bridge_program, tmp_path, "legacy", isolation=isolation) as ours:
        clients = [Client(ours, who, "modern") for who in ("alice", "alice", "bob")]
        assert [client.text("count") for client in clients] == ["1", "2", "1"]


def test_auto_shares_what_is_stateless_and_nothing_else(bridge_program: Path, tmp_path: Path) -> None:
    for era, wanted in (("legacy", "Session"), ("modern", "Shared")):
        folder = tmp_path / era
        folder.mkdir()
        with world(bridge_program, folder, era) as ours:
            assert ours.server("s")["isolation"] == wanted


async def _at_once(ours: Gateway, count: int, tool: str, **arguments: Any) -> list[dict[str, Any]]:
    body = message("tools/call", name=f"s_{tool}", arguments=arguments)
    sent = {**headers(body), "Authorization": "Bearer alice-token"}
    async with httpx2.AsyncClient(timeout=PATIENCE, limits=httpx2.Limits(max_connections=None)) as http:
        answers = await asyncio.gather(*(http.post(ours.url, json=body, headers=sent) for _ in range(count)))
    return [answer.json() for answer in answers]


def test_a_pool_spreads_the_calls_of_a_shared_server(bridge_program: Path, tmp_path: Path) -> None:
    with world(bridge_program, tmp_path, "legacy", isolation="Shared", pool=3) as ours:
        until("the pool", lambda: ours.server("s")["processes"] == 3)
        assert (
            len({answer["result"]["content"][0]["text"] for answer in asyncio.run(_at_once(ours, 30, "pid", seconds=0.05))}) == 3
        )
        pid = Client(ours, "alice", "modern").text("pid")
        Client(ours, "alice", "modern").call("die")
        until("its replacement", lambda: ours.server("s")["processes"] == 3 and ours.server("s")["state"] == "Ready")
        assert pid not in {
            answer["result"]["content"][0]["text"] for answer in asyncio.run(_at_once(ours, 30, "pid", seconds=0.05))
        }


def test_a_server_with_several_pods_is_spread_over_them_as_they_come_and_go(bridge_program: Path, tmp_path: Path) -> None:
    with world(bridge_program, tmp_path, "legacy", isolation="Shared") as ours:

        def pids() -> set[str]:
            answers = asyncio.run(_at_once(ours, 20, "pid", seconds=0.05))
            return {answer["result"]["content"][0]["text"] for answer in answers if "result" in answer}

        config = gateway_config.read_config(ours.folder / "config.json").config
        assert len(pids()) == 1
        with bridge(bridge_program, tmp_path, *ECHO, "legacy") as second:
            places = (*config.servers[0].addresses, *server("s", second).addresses)
            both = structs.replace(config.servers[0], addresses=places)
            ours.configure(structs.replace(config, servers=(both,)))
            until("both to be used", lambda: len(pids()) == 2)
            metrics = httpx2.get(f"http://127.0.0.1:{ours.internal}/metrics").text
            assert "mcpgateway_calls_in_flight 0.0" in metrics
        ours.configure(config)
        until("the other one to be enough", lambda: len(pids()) == 1)


def test_who_comes_when_a_client_has_left_takes_its_place(bridge_program: Path, tmp_path: Path) -> None:
    with world(bridge_program, tmp_path, "legacy", max_processes=2, call_timeout=20.0) as ours:
        clients = [Client(ours, "alice", "legacy") for _ in range(2)]
        assert [client.text("count") for client in clients] == ["1", "1"]
        clients[0].leave()
        assert Client(ours, "bob", "legacy").text("count") == "1"
        assert clients[1].text("count") == "2"


def test_the_queue_for_processes_is_bounded(bridge_program: Path, tmp_path: Path) -> None:
    with world(bridge_program, tmp_path, "legacy", isolation="Call", max_processes=1, call_timeout=4.0) as ours:
        answers = asyncio.run(_at_once(ours, 110, "slow", seconds=1))
        reasons = [answer["error"]["data"]["reason"] for answer in answers if "error" in answer]
        assert reasons.count("Overloaded") == 9
        assert set(reasons) == {"Overloaded", "Timeout"}


def test_an_idle_process_is_given_up(bridge_program: Path, tmp_path: Path) -> None:
    with world(bridge_program, tmp_path, "legacy", max_processes=1, idle_timeout=0.2, call_timeout=20.0) as ours:
        assert Client(ours, "alice", "legacy").text("count") == "1"
        bob = Client(ours, "bob", "legacy")
        until("its turn", lambda: bob.call("count").get("result"))


@pytest.mark.parametrize("isolation", ["Shared", "Session"])
def test_only_what_reads_is_tried_again(bridge_program: Path, tmp_path: Path, isolation: str) -> None:
    with world(bridge_program, tmp_path, "legacy", isolation=isolation) as ours:
        client = Client(ours, "alice", "legacy")
        assert "result" in client.call("flaky", file=str(tmp_path / "read"))
        assert client.call("flaky_write", file=str(tmp_path / "written"))["error"]["data"]["exitCode"] == 7
        assert "result" in client.call("flaky_write", file=str(tmp_path / "written"))
