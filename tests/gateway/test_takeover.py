"""A new version takes over from one that serves once it has answered, and loses no call: bridges, gateways, hot edits."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from mcpgateway.config import Header, Server
from tests.gateway.conftest import Lab, server
from tests.support import remotes
from tests.support.bridges import ECHO, Bridge, until
from tests.support.gateways import Gateway, configuration, gateway

AWAITING = ("--await-answer",)


def ready(bridge: Bridge) -> bool:
    return bridge.get("/readyz")[0] == 200


def arrives(running: Gateway, *reasons: str) -> Callable[[], bool]:
    return lambda: running.server("s").get("arrival", {}).get("reason") in reasons


def place(bridge: Bridge) -> str:
    return f"127.0.0.1:{bridge.port}"


@contextmanager
def calling(running: Gateway, tool: str = "s_echo", callers: int = 4) -> Iterator[list[dict[str, Any]]]:
    """Calls without a pause, meanwhile: their answers."""
    ended, answers = threading.Event(), list[dict[str, Any]]()

    def calls() -> None:
        while not ended.is_set():
            answers.append(running.call(tool, text="x"))

    threads = [threading.Thread(target=calls) for _ in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def failed(answers: list[dict[str, Any]]) -> Counter[str]:
    return Counter(str(answer.get("error")) for answer in answers if "result" not in answer)


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_a_bridge_is_ready_once_its_server_has_answered_a_gateway(lab: Lab, era: str) -> None:
    first, second = (lab.bridge(*ECHO, era, flags=AWAITING) for _ in range(2))
    assert first.get("/readyz") == (503, "the server has not answered a gateway yet\n")
    running = lab.gateway(server("s", first, arriving=(place(second),)))
    running.await_ready("s")
    until("both bridges to be ready", lambda: ready(first) and ready(second))
    until("no arrival", lambda: "arrival" not in running.server("s"))


@pytest.mark.parametrize(
    ("command", "reason"),
    [(["no-such-program"], "StartFailed"), (["sh", "-c", "echo no licence >&2; exit 3"], "CrashLoopBackOff")],
)
def test_a_version_that_does_not_start_is_named_and_never_ready(lab: Lab, command: list[str], reason: str) -> None:
    serving, broken = lab.bridge(), lab.bridge(*command, flags=AWAITING)
    running = lab.gateway(server("s", serving, arriving=(place(broken),)))
    running.await_ready("s")
    until("the reason", arrives(running, reason))
    assert not ready(broken)
    assert "still here" in running.text("s_echo", text="still here")
    assert running.server("s")["state"] == "Ready"
    running.configure(configuration(server("s", serving), folder=lab.folder))
    until("it to be forgotten", lambda: "arrival" not in running.server("s"))


def test_a_gateway_is_not_ready_before_the_awaited_servers_and_stays_ready_after_that(lab: Lab) -> None:
    awaited = server("s", lab.bridge()), server("late", lab.bridge("no-such-program"))
    config = configuration(*awaited, folder=lab.folder, awaited=("s", "late"))
    with gateway(lab.folder, config, probe="/healthz") as running:
        until("its failure", lambda: running.server("late").get("lastError", {}).get("reason") == "StartFailed")
        assert running.probe() == 503
        running.configure(configuration(*awaited, folder=lab.folder, awaited=("s",)))
        until("it to be ready without it", lambda: running.probe() == 200)
        running.configure(config)
        running.await_status("the configuration", lambda status: running.server("late"))
        assert running.probe() == 200


def test_an_edit_of_the_isolation_loses_no_call(lab: Lab) -> None:
    serving = lab.bridge(*ECHO, "modern")
    running = lab.gateway(server("s", serving, isolation="Shared"))
    running.await_ready("s")
    with calling(running) as answers:
        for isolation in ("Principal", "Shared", "Call", "Shared"):
            running.configure(configuration(server("s", serving, isolation=isolation, stateless=True), folder=lab.folder))
            until(f"{isolation}", lambda isolation=isolation: running.server("s").get("isolation") == isolation)
            seen = len(answers)
            until("more calls", lambda seen=seen: len(answers) > seen + 20)
    assert failed(answers) == {}


def test_state_that_an_edit_of_the_isolation_ends_is_said_once(lab: Lab) -> None:
    serving = lab.bridge(*ECHO, "legacy")
    running = lab.gateway(server("s", serving, isolation="Principal"))
    running.await_ready("s")
    assert running.text("s_count") == "1"
    running.configure(configuration(server("s", serving, isolation="Shared"), folder=lab.folder))
    until("the other isolation", lambda: running.server("s").get("isolation") == "Shared")
    assert running.call("s_echo", text="x")["error"]["data"]["reason"] == "StateLost"
    assert failed([running.call("s_echo", text="x") for _ in range(3)]) == {}


def test_an_edit_of_a_url_loses_no_call_and_a_wrong_one_takes_nothing_away(lab: Lab) -> None:
    with remotes.fixture() as first, remotes.fixture() as second:
        running = lab.gateway(Server(name="s", url=first))
        running.await_ready("s")
        with calling(running, "s_test_simple_text", callers=2) as answers:
            running.configure(configuration(Server(name="s", url="http://127.0.0.1:9/mcp"), folder=lab.folder))
            until("the reason", arrives(running, "Unreachable"))
            running.configure(configuration(Server(name="s", url=second), folder=lab.folder))
            until("the new place", lambda: "arrival" not in running.server("s"))
            running.configure(
                configuration(Server(name="s", url=second, headers=(Header(name="X-Test", value="1"),)), folder=lab.folder)
            )
            until("the new header", lambda: "arrival" not in running.server("s"))
            seen = len(answers)
            until("more calls", lambda: len(answers) > seen + 10)
        assert failed(answers) == {}
        assert running.server("s")["state"] == "Ready"
