"""Servers that die, hang, lie, come and go: the caller is told, the others are unharmed, and the next call works."""

from __future__ import annotations

import concurrent.futures
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx2
import pytest

from mcpgateway import config as gateway_config
from tests.gateway.conftest import Lab, server
from tests.support.bridges import ECHO, Bridge, until
from tests.support.gateways import MODERN, TOKEN, Gateway, configuration, gateway
from tests.support.locks import free_port
from tests.support.waiting import PATIENCE


@pytest.mark.parametrize("era", ["modern", "legacy"])
@pytest.mark.parametrize(
    ("tool", "cause", "exit_code"),
    [
        ("die", "exit code 7: about to die", 7),
        ("kill", "killed by SIGKILL", 137),
    ],
)
def test_a_process_that_dies_fails_its_call_by_name_and_the_next_one_works(
    lab: Lab, era: str, tool: str, cause: str, exit_code: int
) -> None:
    running = lab.gateway(server("s", lab.bridge(*ECHO, era)))
    running.await_ready()
    before = running.text("s_pid")
    error = running.call(f"s_{tool}")["error"]
    assert f"server 's': Exited: its process ended, {cause}" in error["message"]
    assert (error["data"]["server"], error["data"]["reason"], error["data"]["exitCode"]) == ("s", "Exited", exit_code)
    assert running.text("s_pid") != before
    status = running.await_ready("s")
    assert status["servers"][0]["restarts"] == 1
    assert status["servers"][0]["lastError"]["reason"] == "Exited"


def test_a_hanging_server_times_out_and_harms_nobody(lab: Lab) -> None:
    running = lab.gateway(server("bad", lab.bridge(), call_timeout=1.0), server("good", lab.bridge()))
    running.await_ready()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        hanging = pool.submit(running.call, "bad_hang")
        assert all(running.text("good_pid") for _ in range(20))
        error = hanging.result()["error"]
    assert error["message"] == "server 'bad': Timeout: no answer within 1 s"
    assert error["data"] == {"server": "bad", "reason": "Timeout"}


@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_a_shared_server_that_hangs_is_not_called_ready_and_is_started_anew(lab: Lab, era: str) -> None:
    running = lab.gateway(server("s", lab.bridge(*ECHO, era), isolation="Shared", hang_timeout=5.0))
    running.await_ready()
    first = int(running.text("s_pid"))

    def state() -> str:
        return str(running.status()["servers"][0]["state"])

    os.kill(first, signal.SIGSTOP)
    until("its silence to be noticed", lambda: state() == "Unresponsive")
    error = running.status()["servers"][0]["lastError"]
    assert (error["reason"], error["message"]) == ("Unresponsive", "no answer for 3 s: it is busy, or hangs")
    assert "result" in running.modern("tools/list").json()
    os.kill(first, signal.SIGCONT)
    until("it to be well again", lambda: state() == "Ready")
    assert int(running.text("s_pid")) == first
    os.kill(first, signal.SIGSTOP)
    until("its silence to be noticed again", lambda: state() == "Unresponsive")
    until("another one", lambda: state() == "Ready")
    assert int(running.text("s_pid")) != first


def test_junk_on_stdout_is_survived(lab: Lab) -> None:
    running = lab.gateway(server("s", lab.bridge()))
    running.await_ready()
    assert running.text("s_junk", x=1) == '{"x": 1}'
    metrics = httpx2.get(f"http://127.0.0.1:{running.internal}/metrics").text
    assert 'mcpgateway_upstream_invalid_messages_total{server="s"} 3.0' in metrics
    assert running.text("s_echo", x=2) == '{"x": 2}'


def test_calls_of_many_clients_are_answered_each_to_its_own(lab: Lab) -> None:
    running = lab.gateway(server("s", lab.bridge()))
    running.await_ready()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: running.call("s_echo", n=n), range(200)))
    assert [json.loads(a["result"]["content"][0]["text"])["n"] for a in answers] == list(range(200))


def test_it_starts_with_no_server_reachable_and_heals(lab: Lab) -> None:
    port = free_port()
    running = lab.gateway(gateway_config.Server(name="late", addresses=(f"127.0.0.1:{port}",)))
    failed = running.await_status("a failure", lambda status: status["servers"][0]["state"] == "Failed")
    assert failed["servers"][0]["lastError"]["reason"] == "Unreachable"
    assert running.modern("tools/list").json()["result"]["tools"] == []
    lab.bridge(port=port)
    assert running.await_ready("late")["toolCount"] == 16
    assert "lastError" not in running.server("late")


def test_an_address_that_is_out_of_date_does_not_keep_a_server_away_that_has_a_name(lab: Lab) -> None:
    fallback = f"localhost:{lab.bridge().port}"
    stale = gateway_config.Server(name="moved", addresses=(f"127.0.0.1:{free_port()}",), fallback=fallback)
    running = lab.gateway(stale)
    running.await_ready("moved")
    assert running.text("moved_echo") == "{}"


def test_a_server_that_goes_takes_its_tools_along_and_a_call_says_why(lab: Lab) -> None:
    port = free_port()
    gone = lab.bridge(port=port)
    running = lab.gateway(server("s", gone), server("stays", lab.bridge()))
    running.await_ready()
    gone.stop()
    running.await_status("its tools to go", lambda status: status["toolCount"] == 16)
    error = running.call("s_echo")["error"]
    assert (error["data"]["server"], error["data"]["reason"] in ("Unreachable", "Draining")) == ("s", True)
    assert running.text("stays_echo") == "{}"
    lab.bridge(port=port)
    assert running.await_ready("s")["toolCount"] == 32


def test_a_command_that_does_not_start_is_named(lab: Lab) -> None:
    running = lab.gateway(server("s", lab.bridge("no-such-command")))
    found = running.await_status("the reason", lambda status: status["servers"][0].get("lastError"))
    error = found["servers"][0]["lastError"]
    assert error["reason"] == "StartFailed"
    assert 'ENOENT: command "no-such-command" is not on PATH' in error["message"]


def test_a_missing_reference_is_named_and_heals_and_a_rotated_one_is_taken(lab: Lab) -> None:
    refs = lab.folder / "refs"
    secret = refs / "secrets" / "s" / "key"
    running = lab.gateway(server("s", lab.bridge(flags=(f"--refs={refs}", "--env=KEY=@secrets/s/key"))))
    found = running.await_status("the reason", lambda status: status["servers"][0].get("lastError"))
    assert found["servers"][0]["lastError"] == {"reason": "MissingReference", "message": "not there: secrets/s/key"}
    secret.parent.mkdir(parents=True)
    secret.write_text("first")
    running.await_ready("s")
    assert running.text("s_environ", name="KEY") == "first"
    secret.write_text("second")
    until(
        "the new value",
        lambda: running.call("s_environ", name="KEY").get("result", {}).get("content", [{}])[0].get("text") == "second",
    )


def called(running: Gateway, session: dict[str, str], tool: str, **arguments: Any) -> str:
    """A tool call in a legacy session: its text."""
    params = {"name": tool, "arguments": arguments}
    answer = running.post(
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, headers=session, timeout=PATIENCE
    ).json()
    assert "result" in answer, answer
    return str(answer["result"]["content"][0]["text"])


@pytest.mark.parametrize("change", ["address", "secret"])
def test_a_session_leaves_a_process_that_is_replaced_when_its_call_is_answered(lab: Lab, change: str) -> None:
    secret = lab.folder / "refs" / "secrets" / "s" / "key"
    secret.parent.mkdir(parents=True)
    secret.write_text("first")
    flags = (f"--refs={lab.folder / 'refs'}", "--env=KEY=@secrets/s/key")
    first, second = lab.bridge(*ECHO, "legacy", flags=flags), lab.bridge(*ECHO, "legacy", flags=flags)
    running = lab.gateway(server("s", first, stateless=True))
    running.await_ready("s")
    session = running.session()
    pid = called(running, session, "s_pid")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        slow = pool.submit(called, running, session, "s_slow", seconds=5)
        metrics = f"http://127.0.0.1:{running.internal}/metrics"
        until("the slow call to run", lambda: "mcpgateway_calls_in_flight 1.0" in httpx2.get(metrics).text)
        if change == "address":
            running.configure(configuration(server("s", second, stateless=True), folder=lab.folder))
        else:
            secret.write_text("second")
        until("another process", lambda: called(running, session, "s_pid") != pid)
        assert slow.result(timeout=PATIENCE)
    if change == "address":
        until("the first bridge's processes to end", lambda: first.children() == [])
    else:
        assert called(running, session, "s_environ", name="KEY") == "second"


def test_a_server_that_is_no_mcp_server_is_named(lab: Lab) -> None:
    running = lab.gateway(server("s", lab.bridge("sh", "-c", "exit 3")))
    found = running.await_status("the reason", lambda status: status["servers"][0].get("lastError"))
    assert "exit code 3" in found["servers"][0]["lastError"]["message"]


def test_a_server_that_crashes_at_start_is_named_and_its_status_comes_to_rest(lab: Lab) -> None:
    running = lab.gateway(server("s", lab.bridge("sh", "-c", "echo no licence >&2; exit 3")))

    def backing_off(status: dict[str, Any]) -> bool:
        return bool(status["servers"][0].get("lastError", {}).get("reason") == "CrashLoopBackOff")

    found = running.await_status("the reason", backing_off)
    assert found["servers"][0]["lastError"]["message"].endswith("the last with exit code 3: no licence")


def test_configuration_is_followed_without_a_restart_and_open_sessions_live_on(lab: Lab) -> None:
    first, second = lab.bridge(*ECHO, "legacy"), lab.bridge()
    running = lab.gateway(server("a", first))
    running.await_ready()
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    opened = httpx2.post(running.url, headers=headers, json={"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})
    headers |= {"Mcp-Session-Id": opened.headers["mcp-session-id"], "Accept": "text/event-stream, application/json"}

    def count() -> str:
        body = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "a_count", "arguments": {}}}
        return str(running.post(body, headers=headers).json()["result"]["content"][0]["text"])

    assert count() == "1"
    listening, told = threading.Event(), threading.Event()

    def listen() -> None:
        with httpx2.stream("GET", running.url, headers=headers, timeout=PATIENCE) as stream:
            for line in stream.iter_lines():
                listening.set()
                if "notifications/tools/list_changed" in line:
                    told.set()
                    return

    listener = threading.Thread(target=listen)
    listener.start()
    assert listening.wait(60)
    running.configure(configuration(server("a", first), server("b", second), folder=lab.folder))
    running.await_ready("a", "b")
    assert told.wait(60)
    listener.join()
    assert count() == "2"
    running.configure(configuration(server("b", second), folder=lab.folder))
    running.await_status("a to be gone", lambda status: [row["name"] for row in status["servers"]] == ["b"])
    until("its processes to end", lambda: first.children() == [])


def test_a_session_with_lists_of_its_own_follows_the_configuration(lab: Lab) -> None:
    """Its process has said that its lists change: from then on they come from that process, and still from nowhere else."""
    first, second = lab.bridge(*ECHO, "legacy"), lab.bridge(*ECHO, "legacy")
    running = lab.gateway(server("a", first), server("b", second))
    running.await_ready()
    opened = running.post({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}})
    session = {"Mcp-Session-Id": opened.headers["mcp-session-id"]}

    def listed() -> set[str]:
        answer = running.post({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, headers=session).json()
        return {tool["name"][0] for tool in answer["result"]["tools"]}

    params = {"name": "b_echo", "arguments": {"tell": "notifications/tools/list_changed"}}
    assert "result" in running.post({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, headers=session).json()
    assert listed() == {"a", "b"}
    running.configure(configuration(server("a", first), folder=lab.folder))
    until("the other server's tools to go", lambda: listed() == {"a"})


def test_a_modern_client_that_listens_is_told_of_changes_and_of_the_end(lab: Lab) -> None:
    first, second = lab.bridge(), lab.bridge()
    running = lab.gateway(server("a", first))
    running.await_ready()
    meta = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
    wanted = {"toolsListChanged": True, "promptsListChanged": False}
    body = {"jsonrpc": "2.0", "id": "L", "method": "subscriptions/listen", "params": {"notifications": wanted, "_meta": meta}}
    headers = {
        "Authorization": f"Bearer {TOKEN}",
        "MCP-Protocol-Version": MODERN,
        "Mcp-Method": "subscriptions/listen",
        "Accept": "application/json, text/event-stream",
    }
    tag = {"io.modelcontextprotocol/subscriptionId": "L"}
    with httpx2.stream("POST", running.url, json=body, headers=headers, timeout=PATIENCE) as response:
        messages = (json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: "))
        acknowledged = next(messages)
        assert acknowledged["method"] == "notifications/subscriptions/acknowledged"
        assert acknowledged["params"] == {"notifications": {"toolsListChanged": True}, "_meta": tag}
        running.configure(configuration(server("a", first), server("b", second), folder=lab.folder))
        assert next(messages) == {"jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": {"_meta": tag}}
        running.process.send_signal(signal.SIGTERM)
        assert next(messages) == {"jsonrpc": "2.0", "id": "L", "result": {"resultType": "complete", "_meta": tag}}
    assert running.process.wait(timeout=PATIENCE) == 0
    alone = lab.gateway(server("a", first))
    refused = alone.post(body, headers={**headers, "Accept": "application/json"})
    assert "Accept must list text/event-stream" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("{", "config.json"),
        ('{"gateway":"test","maxSessions":0}', "$.maxSessions"),
    ],
)
def test_a_broken_configuration_keeps_the_last_good_one(lab: Lab, broken: str, message: str) -> None:
    running = lab.gateway(server("s", lab.bridge()))
    good = running.await_ready()["config"]
    (lab.folder / "config.json").write_text(broken)
    found = running.await_status("the complaint", lambda status: status["configError"])
    assert message in found["configError"]
    assert found["config"] == good
    assert running.text("s_echo") == "{}"


def test_a_rotated_token_replaces_the_old_one(lab: Lab) -> None:
    running = lab.gateway(server("s", lab.bridge()))
    (lab.folder / "token").write_text("next")
    ask = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    until("the old one to be refused", lambda: running.post(ask).status_code == 401)
    assert running.post(ask, token="next").status_code == 400  # let in; a session is missing
    (lab.folder / "token").unlink()
    found = running.await_status("the report", lambda status: status["missingTokens"])
    assert found["missingTokens"] == ["mcp-token/token"]
    assert running.post(ask, token="next").status_code == 401


def test_status_is_a_long_poll(lab: Lab) -> None:
    running = lab.gateway(server("s", lab.bridge()))
    ready = running.await_ready()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(running.status, ready["version"], 30)
        running.call("s_die")
        changed = waiting.result(timeout=PATIENCE)
    assert changed["version"] != ready["version"]
    assert running.status("other", 30)["version"]


def test_a_client_that_goes_cancels_its_call(lab: Lab) -> None:
    running = lab.gateway(server("s", lab.bridge(), call_timeout=30.0))
    running.await_ready()
    with pytest.raises(httpx2.ReadTimeout):
        running.modern("tools/call", name="s_slow", arguments={"seconds": 1}, timeout=0.3)
    assert running.text("s_echo", after=1) == '{"after": 1}'


def test_a_draining_gateway_finishes_its_calls_and_exits_with_0(lab: Lab) -> None:
    running = lab.gateway(server("s", lab.bridge()))
    running.await_ready()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        slow = pool.submit(running.text, "s_slow", seconds=1)
        until("the call to be in flight", lambda: running.process.poll() is None and not slow.done())
        threading.Event().wait(0.3)  # let the request reach the gateway
        running.process.send_signal(signal.SIGTERM)
        assert slow.result(timeout=PATIENCE) == '{"seconds": 1}'
    assert running.process.wait(timeout=PATIENCE) == 0
    assert "Traceback" not in running.log


def test_a_killed_gateway_resumes_a_sessions_process(lab: Lab) -> None:
    """kill -9 in the middle of a session: the bridge holds the process, the token is signed, the memo spares the handshake."""
    legacy, port = lab.bridge(*ECHO, "legacy"), free_port()
    config = configuration(server("s", legacy), folder=lab.folder)

    def ask(running: Gateway, method: str, headers: dict[str, str], **params: Any) -> httpx2.Response:
        return running.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, headers=headers)

    with gateway(lab.folder, config, port=port) as first:
        first.await_ready()
        opened = ask(
            first, "initialize", {}, protocolVersion="2025-11-25", capabilities={}, clientInfo={"name": "t", "version": "1"}
        )
        headers = {"Mcp-Session-Id": opened.headers["mcp-session-id"]}

        def call(running: Gateway, tool: str, **arguments: Any) -> str:
            answer = ask(running, "tools/call", headers, name=f"s_{tool}", arguments=arguments).json()
            return str(answer["result"]["content"][0]["text"])

        assert call(first, "count") == "1"
        pid = call(first, "pid")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            before = lines_received(legacy)
            lost = pool.submit(call, first, "slow", seconds=2)
            until("the call to be in flight", lambda: lines_received(legacy) > before)
            first.process.kill()
            first.process.wait()
            assert isinstance(lost.exception(), httpx2.TransportError)
    with gateway(lab.folder, config, port=port) as second:
        # The process is still at work for the first one, and answers it, before it comes to this.
        assert call(second, "count") == "2"
        assert call(second, "pid") == pid
        assert call(second, "echo", whose="mine") == '{"whose": "mine"}'


def lines_received(bridge: Bridge) -> int:
    lines = bridge.get("/metrics")[1].splitlines()
    return int(next(line for line in lines if line.startswith("mcp_bridge_lines_received_total")).split()[1])


def test_a_session_with_more_output_than_a_bridge_keeps_goes_on(lab: Lab) -> None:
    """The bridge stops a process whose output is not acknowledged: over 1 MiB passes only if the gateway does."""
    running = lab.gateway(server("s", lab.bridge(*ECHO, "legacy")))
    running.await_ready()
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    opened = running.post({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})
    headers = {"Mcp-Session-Id": opened.headers["mcp-session-id"]}
    for size in (1, *[400_000] * 8, *[10] * 200):
        ask = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "s_big", "arguments": {"size": size}}}
        answer = running.post(ask, headers=headers).json()
        assert len(answer["result"]["content"][0]["text"]) == size


@pytest.mark.parametrize(
    ("text", "message"), [(None, "cannot be read"), ("nonsense", "config.json"), ('{"a":1}', "unknown field `a`")]
)
def test_without_a_good_configuration_to_begin_with_it_says_so(tmp_path: Path, text: str | None, message: str) -> None:
    file = tmp_path / "config.json"
    if text is not None:
        file.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "mcpgateway", f"--config={file}"], capture_output=True, text=True, check=False, timeout=30
    )
    assert (done.returncode, message in done.stderr, "Traceback" in done.stderr) == (1, True, False)


def test_a_replaced_gateway_hands_its_sessions_over(lab: Lab) -> None:
    """As when a gateway's pod is replaced: another one is there before the first drains; they share nothing but the keys."""
    legacy = lab.bridge(*ECHO, "legacy")
    config = configuration(server("s", legacy), folder=lab.folder)
    with gateway(lab.folder, config) as first, gateway(lab.folder, config) as second:
        first.await_ready()
        second.await_ready()
        headers = first.session()

        def call(running: Gateway, tool: str) -> str:
            params = {"name": f"s_{tool}", "arguments": {}}
            answer = running.post({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, headers=headers).json()
            return str(answer["result"]["content"][0]["text"])

        assert call(first, "count") == "1"
        pid = call(first, "pid")
        assert first.stop() == 0
        assert [call(second, "count"), call(second, "count")] == ["2", "3"]
        assert call(second, "pid") == pid
