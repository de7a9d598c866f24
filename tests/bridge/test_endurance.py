"""Many connections and sessions: nothing grows, no session receives another's lines."""

from __future__ import annotations

import itertools
import json
import random
import select
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from tests.bridge.conftest import ATTACH, CAT, DIRECT, WATCH, Start
from tests.conftest import Scale
from tests.support.bridges import Bridge, Connection, until

ROOM = ("--max-processes=2000", "--max-start-rate=5000")


def descriptors(running: Bridge) -> int:
    return len(list(Path(f"/proc/{running.process.pid}/fd").iterdir()))


def memory(running: Bridge, name: str = "VmRSS") -> int:
    """A line of the process's status, in bytes."""
    lines = Path(f"/proc/{running.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name + ":")).split()[1]) * 1024


def storm(running: Bridge, count: int, seed: int) -> None:
    """Connections that come and go in every way that there is."""
    chance = random.Random(seed)
    for _ in range(count):
        way = chance.choice([None, None, b"raw", DIRECT, WATCH, ATTACH, b"MCP-BRIDGE/1 junk", b"MCP-BRI"])
        client = running.connect(way)
        if chance.random() < 0.3:
            client.reset()
        elif chance.random() < 0.3:
            client.socket.shutdown(socket.SHUT_WR)
            client.close()
        else:
            client.close()


def test_descriptors_and_memory_stay_flat_over_connections_of_all_kinds(started: Start, scale: Scale) -> None:
    running = started("true", flags=("--max-start-rate=100000", "--linger=1s"))
    count = scale(10_000, 100_000)

    def storms(first: int, count: int) -> None:
        """Four at once, until everything that belongs to them is over."""
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda seed: storm(running, count // 4, seed), range(first, first + 4)))
        until("quiet", lambda: running.children() == [] and descriptors(running) < 20)

    storms(0, count // 2)  # all that is kept for reuse is there
    before = descriptors(running), memory(running)
    storms(4, count // 2)
    seeds = itertools.count(8, 4)

    def returned() -> bool:
        """Small storms make it collect its garbage, which it would not do when idle: what is leaked stays."""
        if descriptors(running) <= before[0] + 4 and memory(running) < before[1] + (4 << 20):
            return True
        storms(next(seeds), 100)
        return False

    until("descriptors and memory to return", returned)
    with running.connect(ATTACH) as client:
        assert client.control()["instance"]


def test_a_thousand_sessions_are_answered_and_reaped(started: Start) -> None:
    running = started(*CAT, flags=(*ROOM, "--linger=1s"))
    count = 1000
    with ExitStack() as stack:
        clients = [stack.enter_context(running.connect({"mode": "attach", "session": str(n)})) for n in range(count)]
        for number, client in enumerate(clients):
            client.control()
            client.send(json.dumps({"caller": number}).encode())
        for number, client in enumerate(clients):
            assert json.loads(client.line()) == {"caller": number}
        assert len(running.children()) == count
        for client in clients:
            client.ack(1)
    until("all to be reaped", lambda: running.children() == [])
    until("descriptors to return", lambda: descriptors(running) < 30)


def test_an_idle_bridge_is_small_and_so_is_a_session(started: Start) -> None:
    running = started(*CAT, flags=ROOM)
    until("it to be there", lambda: running.get("/readyz")[0] == 200)
    assert memory(running) <= 8 << 20
    assert memory(running, "RssAnon") <= 3 << 20
    with ExitStack() as stack:
        clients: list[Connection] = []

        def attach(count: int) -> int:
            for _ in range(count):
                clients.append(stack.enter_context(running.connect({"mode": "attach", "session": str(len(clients))})))
                clients[-1].control()
                clients[-1].send(b"{" + b"x" * 1000)
                clients[-1].line()
                clients[-1].ack(1)
            return memory(running)

        attach(50)
        before = attach(0)
        assert (attach(250) - before) / 250 <= 64 << 10


def test_unread_floods_take_no_memory(started: Start) -> None:
    flood = 'i=0; while :; do echo \'{"flood":"' + "x" * 500 + "\"}'; echo noise >&2; echo junk; done"
    running = started("sh", "-c", f"read x; {flood}")
    with ExitStack() as stack:
        for greeting in (ATTACH, {"mode": "attach", "session": "detached"}, DIRECT):
            client = stack.enter_context(running.connect(greeting))
            client.control()
            client.send(b"{}")
            if "session" in greeting and greeting is not ATTACH:
                client.close()

        def waits() -> bool:
            return "junk_lines_total 0" not in running.get("/metrics")[1]

        until("the flood", waits)
        seen = [written(running)]

        def stopped() -> bool:
            seen.append(written(running))
            return len(seen) > 30 and seen[-30] == seen[-1]

        until("back-pressure", stopped)
        assert memory(running, "RssAnon") < 8 << 20
        assert running.log.stat().st_size < 2 << 20


def test_a_process_that_does_not_read_stops_its_client_and_not_the_bridge(started: Start) -> None:
    running = started("sleep", "1000")
    with running.connect(ATTACH) as client, running.connect({"mode": "attach", "session": "other"}) as other:
        client.control(), other.control()
        client.socket.setblocking(False)
        sent = 0

        def blocked() -> bool:
            nonlocal sent
            try:
                sent += client.socket.send((b"{" + b"x" * 1022 + b"\n") * 1024)
            except BlockingIOError:
                return select.select([], [client.socket], [], 0.5)[1] == []
            return False

        until("back-pressure", blocked)
        assert sent < 64 << 20
        assert memory(running, "RssAnon") < 8 << 20
        other.send(b'MCP-BRIDGE/1 {"end":true}')
        assert other.control()["exit"]["ended"] == "released"


def written(running: Bridge) -> int:
    line = next(line for line in running.get("/metrics")[1].splitlines() if line.startswith("mcp_bridge_lines_sent_total"))
    return int(line.split()[1])


def test_sessions_that_break_anywhere_lose_nothing_and_mix_nothing(start: Start, scale: Scale) -> None:
    """At least once, in order, never another's: clients that are cut off at random and count as the protocol says."""
    running = start("cat", flags=ROOM)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda seed: _broken_session(running, seed, scale(1000, 50_000)), range(4)))


def _broken_session(running: Bridge, seed: int, count: int) -> None:
    chance = random.Random(seed)
    greeting = {"mode": "attach", "session": f"broken-{seed}"}
    sent: list[bytes] = []
    seen = 0
    epoch = None
    while seen < count:
        with running.connect(greeting) as client:
            accepted = client.control()
            epoch = epoch or accepted["epoch"]
            assert accepted["epoch"] == epoch
            del sent[accepted["received"] :]  # what was in flight when the connection broke
            number = accepted["acked"]
            for _ in range(chance.randrange(1, 20)):
                sent.append(json.dumps({"seed": seed, "n": len(sent), "pad": "x" * chance.choice([0, 10, 30_000])}).encode())
                client.send(sent[-1])
            for _ in range(chance.randrange(len(sent) - number + 1)):
                assert client.line() == sent[number]
                number += 1
                seen = max(seen, number)
                if chance.random() < 0.3:
                    client.ack(number)
            chance.choice([client.close, client.reset])()
