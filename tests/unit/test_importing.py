"""`mcpgw import`: what becomes of each form of source."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from mcpgateway_operator.cli import app
from mcpgateway_operator.cli.documents import read
from mcpgateway_operator.importing.importer import Imported, Source, import_sources
from mcpgateway_operator.importing.model import Package, UnreadableError
from tests.support.paths import ROOT

CASES = sorted((ROOT / "tests" / "cases" / "import").iterdir())
SECRET = "ghp_" + "a1" * 18


async def pinned(package: Package) -> Package:
    return dataclasses.replace(package, version=package.version or "1.2.3")


def imported(*texts: str) -> Imported:
    sources = [Source(f"source-{number}", text) for number, text in enumerate(texts, start=1)]
    return asyncio.run(import_sources(sources, name="imported", resolve=pinned))


def converted(fields: dict[str, Any], **document: Any) -> tuple[dict[str, Any], dict[str, str], Imported]:
    """The only server of a configuration, with the values to fill in."""
    result = imported(json.dumps({"mcpServers": {"a": fields}, **document}))
    resource, *secrets = yaml.safe_load_all(result.text)
    (server,) = resource["spec"]["servers"]
    return server, secrets[0]["stringData"] if secrets else {}, result


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_every_given_case_becomes_a_valid_resource_or_is_refused_by_name(tmp_path: Path, case: Path) -> None:
    result = imported(case.read_text())
    refused = result.report.of("refused")
    assert result.servers or refused
    if result.servers:
        file = tmp_path / "out.yaml"
        file.write_text(result.text)
        assert len(read([file]).gateways[0].spec.servers) == result.servers


def test_nearly_all_servers_of_the_given_cases_are_converted() -> None:
    results = [imported(case.read_text()) for case in CASES]
    servers = sum(result.servers for result in results)
    refused = sum(len(result.report.of("refused")) for result in results)
    assert servers / (servers + refused) >= 0.95


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        (
            {"command": "npx", "args": ["-y", "@s/pkg@1.0.0", "--flag", "x"]},
            {"package": {"npm": "@s/pkg", "version": "1.0.0"}, "args": ["--flag", "x"]},
        ),
        ({"command": "npx", "args": ["@s/pkg@latest"]}, {"package": {"npm": "@s/pkg", "version": "1.2.3"}, "command": None}),
        ({"command": "C:\\nodejs\\npx.cmd", "args": ["-y", "pkg"]}, {"package": {"npm": "pkg", "version": "1.2.3"}}),
        (
            {"command": "cmd", "args": ["/c", "npx", "-y", "pkg", "serve"]},
            {"package": {"npm": "pkg", "version": "1.2.3"}, "args": ["serve"]},
        ),
        ({"command": "npx -y pkg"}, {"package": {"npm": "pkg", "version": "1.2.3"}}),
        (
            {"command": "npx", "args": ["-p", "pkg@2.0.0", "tool", "run"]},
            {"package": {"npm": "pkg", "version": "2.0.0", "bin": "tool"}, "args": ["run"]},
        ),
        ({"command": ["pnpm", "dlx", "pkg"]}, {"package": {"npm": "pkg", "version": "1.2.3"}}),
        ({"command": "uvx", "args": ["pkg@1.0", "-v"]}, {"package": {"pypi": "pkg", "version": "1.0"}, "args": ["-v"]}),
        (
            {"command": "uvx", "args": ["--from", "pkg==1.0", "tool"]},
            {"package": {"pypi": "pkg", "version": "1.0", "bin": "tool"}},
        ),
        (
            {"command": "uvx", "args": ["--with", "mcp <2", "-p", "python3.12", "pkg[a,b]==1.0"]},
            {"package": {"pypi": "pkg", "version": "1.0", "extras": ["a", "b"], "with": ["mcp<2"], "python": "3.12"}},
        ),
        ({"command": "uv", "args": ["tool", "run", "pkg"]}, {"package": {"pypi": "pkg", "version": "1.2.3"}}),
        (
            {"command": "env", "args": ["A=b", "npx", "pkg"]},
            {"package": {"npm": "pkg", "version": "1.2.3"}, "env": [{"name": "A", "value": "b"}]},
        ),
        ({"command": "npx", "args": ["mcp-remote", "https://x.example/mcp"]}, {"url": "https://x.example/mcp"}),
        ({"type": "http", "url": "https://x.example/mcp"}, {"url": "https://x.example/mcp"}),
        ({"serverUrl": "https://x.example/mcp"}, {"url": "https://x.example/mcp"}),
        ({"url": "https://u:p@x.example/mcp?api_key=k&v=1"}, {"url": "https://x.example/mcp?v=1"}),
        (
            {
                "command": "docker",
                "args": ["run", "-i", "--rm", "--entrypoint", "/bin/s", "-eA=b", "-v", "/x:/data:ro", "i:1", "-t"],
            },
            {"image": "i:1", "command": ["/bin/s"], "args": ["-t"], "env": [{"name": "A", "value": "b"}]},
        ),
        (
            {"command": "bash", "args": ["-c", "cd /srv && exec node x.js"]},
            {"command": ["bash"], "args": ["-c", "cd /srv && exec node x.js"]},
        ),
        ({"command": "node", "args": ["x.js"], "cwd": "/srv"}, {"command": ["sh", "-c", 'cd "$0" && exec "$@"', "/srv"]}),
        (
            {"command": "npx", "args": ["pkg", "/Users/me/notes"]},
            {"args": ["/data"], "storage": [{"mountPath": "/data", "size": "1Gi"}]},
        ),
        ({"command": "npx", "args": ["pkg"], "disabled": True}, {"state": "Disabled"}),
        ({"url": "https://x.example", "timeout": 60000}, {"callTimeout": "60s"}),
    ],
)
def test_a_server_is_converted(fields: dict[str, Any], wanted: dict[str, Any]) -> None:
    server, _, _ = converted(fields)
    assert {name: server.get(name) for name in wanted} == wanted


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        (
            {"mcp": {"a": {"type": "local", "command": ["npx", "-y", "p"], "environment": {"A": "b"}}}},
            {"package": {"npm": "p", "version": "1.2.3"}},
        ),
        (
            "mcpServers:\n- {name: a, url: 'https://h/x', requestOptions: {headers: {X-A: b}}}",
            {"headers": [{"name": "X-A", "value": "b"}]},
        ),
        ({"mcpServers": {"a": {"httpUrl": "https://h/x", "includeTools": ["t"]}}}, {"tools": {"allow": ["t"]}}),
        ({"mcp": {"servers": {"a": {"command": "npx", "args": ["p", "${input:k}"]}}}}, {"args": ["$(ARGUMENT_1)"]}),
        ({"context_servers": {"a": {"command": {"path": "npx", "args": ["p", "x"]}}}}, {"args": ["x"]}),
        ("extensions:\n  a: {type: stdio, cmd: uvx, args: [p], env_keys: [K], enabled: false}\n", {"state": "Disabled"}),
        ("mcp_servers.a.command = 'npx'\nmcp_servers.a.args = ['p', 'x']\n", {"args": ["x"]}),
        (
            "services: {a: {image: 'x/y:1', entrypoint: [s], environment: [A=b]}}",
            {"command": ["s"], "env": [{"name": "A", "value": "b"}]},
        ),
        (
            "apiVersion: kagent.dev/v1alpha1\nkind: MCPServer\nmetadata: {name: a}\nspec: {deployment: {cmd: npx, args: [p]}}",
            {"package": {"npm": "p", "version": "1.2.3"}},
        ),
        (
            {"servers": [{"server": {"name": "a", "remotes": [{"type": "sse", "url": "https://h/sse"}]}}]},
            {"url": "https://h/sse"},
        ),
        ({"mcpServers": {"a": {"command": "docker", "args": ["mcp", "gateway", "run"]}}}, {"command": ["docker"]}),
        (
            {"mcpServers": {"a": {"command": "npx", "args": ["supergateway", "--stdio", "uvx p x"]}}},
            {"package": {"pypi": "p", "version": "1.2.3"}, "args": ["x"]},
        ),
    ],
)
def test_each_place_and_spelling_is_read(source: Any, wanted: dict[str, Any]) -> None:
    result = imported(source if isinstance(source, str) else json.dumps(source))
    (server,) = next(yaml.safe_load_all(result.text))["spec"]["servers"]
    assert {name: server.get(name) for name in wanted} == wanted


@pytest.mark.parametrize(
    "fields",
    [
        {"command": "npx", "args": ["pkg"], "env": {"TOKEN": SECRET}},
        {"command": "npx", "args": ["pkg"], "env": {"ANYTHING": SECRET}},
        {"command": "npx", "args": ["pkg", "--token", SECRET]},
        {"command": "npx", "args": ["pkg", f"--api-key={SECRET}"]},
        {"command": "npx", "args": ["mcp-remote", "https://x.example", "--header", f"Authorization: Bearer {SECRET}"]},
        {"command": "docker", "args": ["run", "-e", f"X={SECRET}", "i:1"]},
        {"url": "https://x.example", "headers": {"X-Api-Key": SECRET}},
        {"url": f"https://x.example/mcp?token={SECRET}"},
        {"url": f"https://user:{SECRET}@x.example/mcp"},
    ],
)
def test_secrets_of_the_source_reach_neither_the_resource_nor_the_report(fields: dict[str, Any]) -> None:
    _, _, result = converted(fields)
    assert SECRET not in result.text
    assert not [note for note in result.report.notes if SECRET in note.text]


def test_values_that_the_client_would_ask_for_are_to_be_filled_in() -> None:
    inputs = [{"id": "key", "description": "The key", "password": True}]
    fields = {"command": "npx", "args": ["pkg"], "env": {"K": "${input:key}", "LEVEL": "${LEVEL:-info}", "Z": "<your value>"}}
    server, secrets, _ = converted(fields, inputs=inputs)
    references = {entry["name"]: entry.get("value", entry.get("valueFrom", {}).get("secretKeyRef")) for entry in server["env"]}
    assert references == {
        "K": {"name": "imported-secrets", "key": "a-k"},
        "LEVEL": "info",
        "Z": {"name": "imported-secrets", "key": "a-z"},
    }
    assert secrets == {"a-k": "FILL-IN", "a-z": "FILL-IN"}


def test_names_become_labels_and_stay_unique() -> None:
    servers = {name: {"url": "https://x.example"} for name in ("My Server", "my_server", "gateway", "ü", "x" * 60)}
    result = imported(json.dumps({"mcpServers": servers}))
    spec = next(yaml.safe_load_all(result.text))["spec"]
    assert [server["name"] for server in spec["servers"]] == ["my-server", "my-server-2", "gateway-server", "u", "x" * 40]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no MCP servers in it: want a client's configuration"),
        ("{}", "has no MCP servers in it"),
        ("[1, 2]", "has no MCP servers in it"),
        ('{"mcpServers": {"a": {"command": "\\ud800"}}}', "has an unpaired surrogate: write the character itself"),
        ("a: [", "is neither JSON, TOML nor YAML"),
        ("[" * 100_000, "neither JSON, TOML nor YAML"),
        ('{"a":' * 200 + "1" + "}" * 200, "is nested more than 64 levels deep"),
    ],
)
def test_a_source_of_no_form_is_refused_in_one_line(text: str, words: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        imported(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_command_writes_a_new_file_and_reports(tmp_path: Path) -> None:
    source, out = tmp_path / "mcp.json", tmp_path / "gateway.yaml"
    source.write_text('{"mcpServers": {"far": {"url": "https://x.example/mcp"}, "ext": {"settings": {}}}}')
    done = CliRunner().invoke(app, ["import", str(source), "--offline", "--file", str(out)])
    assert (done.exit_code, done.stdout) == (0, "")
    assert "1 servers converted, 1 not" in done.stderr
    assert CliRunner().invoke(app, ["validate", str(out)]).stdout == "valid: imported\n"
    again = CliRunner().invoke(app, ["import", str(source), "--offline", "--file", str(out)])
    assert (again.exit_code, again.stderr) == (1, f"mcpgw: {out} exists: choose another name with --file, or remove it\n")
    report = json.loads(CliRunner().invoke(app, ["import", str(source), "--offline", "-o", "json"]).stdout)
    assert report["servers"] == 1
    assert [note["server"] for note in report["refused"]] == ["ext"]


def test_the_configurations_of_this_machine_are_read_once_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared, cursor = {"time": {"command": "uvx", "args": ["mcp-server-time==1.0"]}}, {"docs": {"url": "https://x.example/mcp"}}
    files: dict[str, Any] = {
        ".claude.json": {"projects": {"/p": {"mcpServers": shared}}},
        ".cursor/mcp.json": {"mcpServers": shared | cursor},
        ".config/zed/settings.json": {"theme": "dark"},
        ".gemini/settings.json": None,
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{ half" if content is None else json.dumps(content))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["import", "--from-clients", "--offline"])
    assert done.exit_code == 0, done.stderr
    assert [server["name"] for server in next(yaml.safe_load_all(done.stdout))["spec"]["servers"]] == ["time", "docs"]
    assert f"Claude Code: {tmp_path}/.claude.json" in done.stderr
    assert "time: it is in several sources, and in the resource once" in done.stderr
    nothing = CliRunner().invoke(app, ["import", "--offline"])
    assert (nothing.exit_code, nothing.stderr) == (1, "mcpgw: no configuration is given: name a file, or use --from-clients\n")


def test_a_value_that_is_not_filled_in_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "out.yaml"
    file.write_text(imported('{"mcpServers": {"a": {"url": "https://x.example", "headers": {"X-Key": "k"}}}}').text)
    assert read([file]).data["secrets", "imported-secrets"] == {}
