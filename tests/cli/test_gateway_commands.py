"""The commands about a running gateway, on a run of `mcpgw up`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from mcpgateway_operator.cli import app
from mcpgateway_operator.cli.target import local_target, runs
from tests.support.commands import Command
from tests.support.local_runs import resource, up
from tests.support.locks import free_port

# with what they need beside the gateway
COMMANDS = ("status", "top", "tools", "call", "connect", "doctor", "logs", "client-config")
NEEDS = {"call": ["tool"], "logs": ["a"], "client-config": ["cursor"]}


@pytest.fixture(scope="module")
def mcpgw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """The command beside a run with a server that works and an optional one that does not."""
    folder = tmp_path_factory.mktemp("run")
    wanted = resource("good", "bad")
    wanted["spec"]["servers"][1] |= {"command": ["/no/such/program"], "optional": True}
    (folder / "gateway.yaml").write_text(yaml.safe_dump(wanted))
    with up(str(folder / "gateway.yaml"), f"--port={free_port()}", state=folder) as running:
        running.connected()
        yield Command(XDG_STATE_HOME=str(folder), KUBECONFIG=str(folder / "none"))


def in_process(command: Command, monkeypatch: pytest.MonkeyPatch, *args: str) -> Result:
    """The command in this process. An exception that would be a traceback to the user fails the test."""
    state = Path(command.environment["XDG_STATE_HOME"]) / "mcpgateway"
    monkeypatch.setattr(runs, "STATE", state)
    monkeypatch.setattr(local_target, "STATE", state)
    done = CliRunner().invoke(app, args, env={"KUBECONFIG": command.environment["KUBECONFIG"]})
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


@pytest.fixture
def nowhere(tmp_path: Path) -> Command:
    """The command where nothing runs."""
    return Command(XDG_STATE_HOME=str(tmp_path), KUBECONFIG=str(tmp_path / "none"))


def test_status(mcpgw: Command) -> None:
    shown = mcpgw("status").out
    assert "1/2 servers ready, 16 tools" in shown
    assert re.search(r"^bad +Failed +0 +0 +0 +- +StartFailed: ENOENT: /no/such/program does not exist$", shown, re.MULTILINE)
    document = mcpgw("status", "-o", "json").document
    assert document["status"]["conditions"][0]["reason"] == "ServersReady"
    assert yaml.safe_load(mcpgw("status", "-o", "yaml").out) == document


def test_status_of_a_gateway_that_is_not_ready_has_an_exit_code_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    wanted = resource("a", "b")
    wanted["spec"]["servers"][1]["command"] = ["/no/such/program"]
    file.write_text(yaml.safe_dump(wanted))
    with up(str(file), f"--port={free_port()}", state=tmp_path) as running:
        running.connected()
        shown = Command(XDG_STATE_HOME=str(tmp_path))("status", code=5)
    assert "not ready: b" in shown.out
    assert shown.err == ""


def test_tools(mcpgw: Command) -> None:
    assert "good_echo" in mcpgw("tools", "--local").out
    tools = mcpgw("tools", "-o", "json").document["tools"]
    assert len(tools) == 16
    assert "inputSchema" in tools[0]


def test_call(mcpgw: Command) -> None:
    assert json.loads(mcpgw("call", "good_echo", "--n", "3", "--text=a b", "--deep", '{"x": [1]}').out) == {
        "n": 3,
        "text": "a b",
        "deep": {"x": [1]},
    }
    assert json.loads(mcpgw("call", "--json", "-", "good_echo", stdin='{"a": 12345678901234567890}').out) == {
        "a": 12345678901234567890
    }
    result = mcpgw("call", "-o", "json", "-g", "local", "good_echo").document
    assert result["content"][0] == {"type": "text", "text": "{}"}


def test_a_call_that_fails_has_an_exit_code_of_its_own(mcpgw: Command) -> None:
    failed = mcpgw("call", "good_die", code=4)
    assert "good" in failed.error
    assert failed.out == ""


WRONG = [
    (["call", "good_ech"], 1, "the gateway has no tool 'good_ech': did you mean 'good_echo'?"),
    (["call", "--json", "[1]", "x"], 1, "--json is a list: want an object with the tool's arguments, for example {}"),
    (["call", "--json", "{}", "x", "--n", "1"], 1, "--json and '--n' are both given: use one of them"),
    (["call", "--json", "@/no/file", "x"], 1, "--json @/no/file: the file cannot be read"),
    (["call", "good_echo", "n"], 1, "good_echo: 'n' is not a flag: arguments are given as --json"),
    (["status", "-g", "locl"], 1, "no kubeconfig at "),  # a name that no local run has is looked for in the cluster
    (["status", "--local", "-g", "locl"], 1, "no local gateway 'locl' runs: did you mean 'local'?"),
    (["tools", "--local", "-n", "x"], 1, "--local is about this machine: leave out --namespace, --context and"),
    (["status", "--kubeconfig", "/no/file"], 1, "kubeconfig /no/file cannot be read: No such file or directory"),
    (["logs", "god"], 1, "'god' is no server: did you mean 'good'?"),
    (["client-config", "curser"], 1, "no client 'curser' is known: did you mean 'cursor'?"),
    (["token", "show", "prod"], 1, "there is no token 'prod': there is 'dev'"),
    (["token", "create", "ci"], 1, "local (mcpgw up, "),
    (["statsu"], 2, "no such command 'statsu'. Did you mean 'status'?: see `mcpgw --help`"),
    (["status", "--namspace", "x"], 2, "no such option: --namspace (Possible options: --namespace): see `mcpgw status"),
    (["status", "-o", "xml"], 2, "invalid value for '--output' / '-o': "),
    (["call"], 2, "missing argument 'tool'"),
]


@pytest.mark.parametrize(("args", "code", "message"), WRONG)
def test_bad_input_is_one_line_with_the_nearest_right_thing(
    mcpgw: Command, monkeypatch: pytest.MonkeyPatch, args: list[str], code: int, message: str
) -> None:
    """In this process: a start of its own for each of them would take most of the time."""
    done = in_process(mcpgw, monkeypatch, *args)
    (line,) = done.stderr.splitlines()
    assert (done.exit_code, line[: len(message) + 7]) == (code, f"mcpgw: {message}"), line
    assert done.stdout == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_run_and_without_a_cluster(nowhere: Command, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    args = NEEDS.get(command, [])
    done = in_process(nowhere, monkeypatch, command, "--local", *args)
    assert (done.exit_code, done.stderr) == (1, "mcpgw: no local gateway runs: start one with `mcpgw up FILE`\n")
    done = in_process(nowhere, monkeypatch, command, *args)
    assert (done.exit_code, "set KUBECONFIG, or use --kubeconfig FILE" in done.stderr) == (1, True)


def test_a_run_that_was_killed_is_not_found(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(yaml.safe_dump(resource("a")))
    mcpgw = Command(XDG_STATE_HOME=str(tmp_path))
    with up(str(file), f"--port={free_port()}", state=tmp_path) as running:
        running.connected()
        assert mcpgw("status").code == 0
        running.process.kill()
        running.process.wait()
    assert "no local gateway runs" in mcpgw("status", "--local", code=1).error


def test_doctor(mcpgw: Command) -> None:
    """The gateway is healthy; of the optional server that is not, the cause and the command are said."""
    shown = mcpgw("doctor", code=5).out
    assert shown.splitlines()[-2].startswith("Server 'bad' is Failed (StartFailed): ENOENT: /no/such/program does not exist")
    assert shown.splitlines()[-1].startswith("  ${EDITOR:-vi} /")
    report = mcpgw("doctor", "-o", "json", code=5).document
    assert {"subject": "a client's tools/list", "state": "good", "words": "16 tools"} in report["steps"]


def test_top(mcpgw: Command) -> None:
    mcpgw("call", "good_echo")
    shown = mcpgw("top", "--count", "1").out
    row = next(line.split() for line in shown.splitlines() if line.startswith("good"))
    assert row[:2] == ["good", "Ready"]
    assert int(row[2]) >= 1
    two = [json.loads(line) for line in mcpgw("top", "--count", "2", "--interval", "0.1", "-o", "json").out.splitlines()]
    assert [set(document["servers"][0]) >= {"calls", "state"} for document in two] == [True, True]


def test_logs(mcpgw: Command) -> None:
    assert "/no/such/program" in mcpgw("logs", "bad").out
    assert len(mcpgw("logs", "gateway", "--tail", "1").out.splitlines()) == 1


def test_the_token_and_the_configuration_of_a_client(mcpgw: Command, tmp_path: Path) -> None:
    token = mcpgw("token", "show").out.strip()
    assert mcpgw("token", "list", "-o", "json").document["tokens"][0]["name"] == "dev"
    shown = mcpgw("client-config", "cursor")
    assert json.loads(shown.out)["mcpServers"]["local"]["headers"] == {"Authorization": "Bearer ${env:MCPGW_TOKEN_LOCAL}"}
    assert token not in shown.out + shown.err
    file = tmp_path / "zed.json"
    mcpgw("client-config", "zed", "--install", "--file", str(file))
    assert json.loads(file.read_text())["context_servers"]["local"]["headers"] == {"Authorization": f"Bearer {token}"}
    assert file.stat().st_mode & 0o777 == 0o600
    command = json.loads(mcpgw("client-config", "claude-desktop").out)["mcpServers"]["local"]
    assert command["args"] == ["connect", "--local", "-g", "local"]


def test_completion() -> None:
    command = Command(COMP_WORDS="mcpgw sta", COMP_CWORD="1", _MCPGW_COMPLETE="complete_bash")
    assert command().out.split() == ["status"]
    script = Command()("completion", "bash").out
    assert "complete -o default -F _mcpgw_completion mcpgw" in script
