"""What is written for each MCP client is read back, by the reader of client configurations, as the gateway that was meant."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mcpgateway_operator.cli.bad_input import BadInputError
from mcpgateway_operator.cli.verbs.client_config import _changed, _install, _text
from mcpgateway_operator.cli.verbs.client_forms import PROGRAMS, Endpoint, merged
from mcpgateway_operator.importing import clients, source

COMMAND = ("/usr/bin/mcpgw", "connect", "-g", "web", "-n", "prod")
BY_URL = Endpoint("web", "https://mcp.example.com/mcp", "MCPGW_TOKEN_WEB", "s3cret", COMMAND)
BY_COMMAND = Endpoint("web", "", "", "", COMMAND)


def read_back(text: str) -> dict[str, Any]:
    """The only server of a configuration, as `mcpgw import` reads it."""
    (document,) = source.documents(text)
    (entry,) = clients.entries(document)
    assert entry.name == "web"
    return dict(entry.fields)


def test_at_least_fourteen_programs_are_known() -> None:
    assert len(PROGRAMS) >= 14


@pytest.mark.parametrize("client", PROGRAMS)
def test_an_entry_by_url_has_the_url_and_a_reference_where_it_can(client: str) -> None:
    program = PROGRAMS[client]
    text = _text(program, merged(program, BY_URL, {}))
    fields = read_back(text)
    if program.remote is None:
        assert fields["command"] == COMMAND[0]
        return
    assert BY_URL.url in fields.values()
    assert ("s3cret" in text) is not bool(program.reference)
    assert not program.reference or "MCPGW_TOKEN_WEB" in text


@pytest.mark.parametrize("client", PROGRAMS)
def test_an_entry_by_command_needs_no_token(client: str) -> None:
    program = PROGRAMS[client]
    text = _text(program, merged(program, BY_COMMAND, {}))
    fields = read_back(text)
    command = fields.get("command") or fields.get("cmd")
    command = command if isinstance(command, list) else [command, *fields["args"]]
    assert command == list(COMMAND)
    assert "s3cret" not in text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.sampled_from(sorted(n for n, p in PROGRAMS.items() if p.syntax == "json")),
    st.dictionaries(st.text(max_size=5), JSON),
    JSON,
)
def test_everything_else_in_a_configuration_stays(client: str, content: dict[str, Any], other: Any) -> None:
    program = PROGRAMS[client]
    content = {key: value for key, value in content.items() if key not in (program.key, "inputs")}
    content[program.key] = {"other": other}
    result = json.loads(_changed(program, BY_URL, json.dumps(content), Path("f")))
    assert result[program.key].pop("web") == program.entry(BY_URL)
    result.pop("inputs", None)
    assert result == content


def test_installing_keeps_a_backup_the_mode_and_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.json", tmp_path / "settings.json"
    real.write_text('{"theme": "dark"}')
    real.chmod(0o640)
    link.symlink_to(real)
    for _ in range(2):  # a second time replaces the entry
        _install(PROGRAMS["cursor"], BY_URL, link)
    content = json.loads(real.read_text())
    assert (content["theme"], list(content["mcpServers"])) == ("dark", ["web"])
    assert (link.is_symlink(), real.stat().st_mode & 0o777) == (True, 0o640)
    assert json.loads((tmp_path / "settings.json.bak").read_text())["theme"] == "dark"
    assert sorted(os.listdir(tmp_path)) == ["real.json", "settings.json", "settings.json.bak"]


@pytest.mark.parametrize(
    ("client", "old", "message"),
    [
        ("zed", '{\n  // my theme\n  "theme": "dark"}', "is not plain JSON"),
        ("goose", "extensions: {}  # mine\n", "has comments, which would be lost"),
        ("goose", "a: [", "is not YAML"),
        ("codex", "a = ", "is not TOML"),
        ("codex", "[mcp_servers.web]\nurl = 'x'\n", "has [mcp_servers.web] already"),
        ("cursor", '{"mcpServers": []', "is not plain JSON"),
        ("cursor", '{"mcpServers": ["x"]}', "mcpServers is not what Cursor reads"),
        ("cursor", "[1]", "mcpServers is not what Cursor reads"),
    ],
)
def test_a_file_that_would_lose_something_stays_as_it_is(tmp_path: Path, client: str, old: str, message: str) -> None:
    file = tmp_path / "file"
    file.write_text(old)
    with pytest.raises(BadInputError) as caught:
        _install(PROGRAMS[client], BY_URL, file)
    assert message in str(caught.value)
    assert (file.read_text(), os.listdir(tmp_path)) == (old, ["file"])


def test_comments_of_toml_stay(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("# mine\nmodel = 'x'\n")
    _install(PROGRAMS["codex"], BY_URL, file)
    assert file.read_text().startswith("# mine\nmodel = 'x'\n\n[mcp_servers.web]\n")
    assert read_back(file.read_text())["bearer_token_env_var"] == "MCPGW_TOKEN_WEB"


def test_lists_of_servers_keep_the_others(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("mcpServers:\n- name: other\n  command: x\n- name: web\n  command: y\n")
    _install(PROGRAMS["continue"], BY_URL, file)
    servers = yaml.safe_load(file.read_text())["mcpServers"]
    assert [(server["name"], server.get("url")) for server in servers] == [("other", None), ("web", BY_URL.url)]
