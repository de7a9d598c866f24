"""The reference servers, on both SDKs, through real bridges."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.conftest import server
from tests.support import npm, pypi, tools
from tests.support.bridges import bridge
from tests.support.gateways import Gateway, configuration, gateway


@pytest.fixture(scope="module")
def ours(bridge_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway in front of five reference servers."""
    folder = tmp_path_factory.mktemp("real")
    (folder / "shared").mkdir()
    (folder / "shared" / "hello.txt").write_text("grüße\n")
    tools.require("real servers", {"git": "git"})
    git = ["git", "-C", str(folder / "shared"), "-c", "user.name=T", "-c", "user.email=t@example.com"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "Say hello"], check=True)
    commands = {
        "time": [str(pypi.program("servers", "mcp-server-time"))],
        "git": [str(pypi.program("servers", "mcp-server-git")), "--repository", str(folder / "shared")],
        "everything": [*npm.program("@modelcontextprotocol/server-everything"), "stdio"],
        "memory": npm.program("@modelcontextprotocol/server-memory"),
        "filesystem": [*npm.program("@modelcontextprotocol/server-filesystem"), str(folder / "shared")],
    }
    with contextlib.ExitStack() as stack:
        servers = []
        for name, command in commands.items():
            flags = (f"--env=PATH={npm.environment()['PATH']}", f"--env=MEMORY_FILE_PATH={folder}/memory.jsonl")
            servers.append(server(name, stack.enter_context(bridge(bridge_program, folder, *command, flags=flags))))
        running = stack.enter_context(gateway(folder, configuration(*servers, folder=folder)))
        running.await_ready()
        yield running


def structured(answer: dict[str, Any]) -> Any:
    assert "result" in answer, answer
    return answer["result"]["structuredContent"]


def test_all_tools_stand_in_one_list(ours: Gateway) -> None:
    listed = {tool["name"] for tool in ours.modern("tools/list").json()["result"]["tools"]}
    assert {"everything_echo", "memory_create_entities", "filesystem_read_text_file", "git_git_log"} <= listed
    assert {name.partition("_")[0] for name in listed} == {"everything", "memory", "filesystem", "time", "git"}


def test_everything_has_prompts_resources_and_completions(ours: Gateway) -> None:
    prompts = ours.modern("prompts/list").json()["result"]["prompts"]
    name = next(prompt["name"] for prompt in prompts if not prompt.get("arguments"))
    assert ours.modern("prompts/get", name=name).json()["result"]["messages"]
    resources = ours.modern("resources/list").json()["result"]["resources"]
    assert resources
    templates = ours.modern("resources/templates/list").json()["result"]["resourceTemplates"]
    assert templates
    assert ours.text("everything_get-sum", a=20, b=22) == "The sum of 20 and 22 is 42."


def test_memory_remembers(ours: Gateway) -> None:
    entity = {"name": "Zürich", "entityType": "city", "observations": ["has a lake"]}
    assert structured(ours.call("memory_create_entities", entities=[entity]))["entities"] == [entity]
    assert entity["name"] in [found["name"] for found in structured(ours.call("memory_read_graph"))["entities"]]


def test_files_are_read_and_nothing_outside(ours: Gateway) -> None:
    folder = ours.folder / "shared"
    assert ours.text("filesystem_read_text_file", path=str(folder / "hello.txt")) == "grüße\n"
    refused = ours.call("filesystem_read_text_file", path="/etc/hostname")["result"]
    assert refused["isError"]
    assert "outside allowed directories" in refused["content"][0]["text"]


def test_servers_of_the_modern_era_are_shared_and_those_of_the_legacy_one_are_not(ours: Gateway) -> None:
    rows = {row["name"]: (row["era"], row["isolation"]) for row in ours.status()["servers"]}
    assert rows.pop("time") == rows.pop("git") == ("modern", "Shared")
    assert set(rows.values()) == {("legacy", "Session")}


def test_time_and_git_answer_clients_of_both_eras(ours: Gateway) -> None:
    headers = ours.session()
    arguments: dict[str, Any] = {"repo_path": str(ours.folder / "shared"), "max_count": 1}
    params = {"name": "git_git_log", "arguments": arguments}
    legacy = ours.post({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params}, headers=headers).json()
    assert "Say hello" in legacy["result"]["content"][0]["text"]
    assert "Say hello" in ours.text("git_git_log", **arguments)
    assert "Europe/Zurich" in ours.text("time_get_current_time", timezone="Europe/Zurich")
