"""Lists of servers at and beyond the bounds, beside an honest server: what is listed, what `/status` says, what still works."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from mcpgateway import config as gateway_config
from mcpgateway.catalog import intake
from tests.gateway.conftest import server
from tests.support.bridges import ECHO, bridge
from tests.support.gateways import Gateway, configuration, gateway
from tests.support.locks import free_port
from tests.support.paths import ROOT
from tests.support.remotes import serving
from tests.support.waiting import PATIENCE

SCRIPTED = [sys.executable, str(ROOT / "tests/support/servers/scripted.py")]
NESTED = '{"a":' * 600 + "1" + "}" * 600


def result(members: str) -> list[str]:
    """A script's lines for one result."""
    return [f'{{"jsonrpc":"2.0","id":@ID@,"result":{{{members}}}}}']


@contextlib.contextmanager
def beside_an_honest_server(
    bridge_program: Path, folder: Path, script: dict[str, list[str]], *, name: str = "odd", separator: str = "_"
) -> Iterator[Gateway]:
    """A gateway whose servers are `name`, which follows the script, and `echo`."""
    (folder / "script.json").write_text(json.dumps(script))
    with (
        bridge(bridge_program, folder, *SCRIPTED, str(folder), "legacy", "script") as odd,
        bridge(bridge_program, folder, *ECHO, "legacy") as echo,
    ):
        names = gateway_config.ToolNames(separator=separator)
        servers = (server(name, odd, call_timeout=5.0), server("echo", echo))
        with gateway(folder, configuration(*servers, folder=folder, tool_names=names)) as running:
            running.await_ready()
            yield running
            assert "still here" in running.text(f"echo{separator}echo", text="still here")


def listed(running: Gateway, prefix: str) -> list[str]:
    tools = running.modern("tools/list").json()["result"]["tools"]
    return [tool["name"] for tool in tools if tool["name"].startswith(prefix)]


@pytest.mark.parametrize(
    ("schema", "offered"),
    [
        ('{"type":"object","maximum":1e999}', True),
        ('{"type":"object","maximum":1.79769313486232e308}', True),
        ('{"type":"object","default":"\\ud83d"}', True),
        (NESTED, False),
        ("7", False),
    ],
)
def test_an_odd_schema_spoils_neither_lists_nor_status_nor_the_next_configuration(
    bridge_program: Path, tmp_path: Path, schema: str, offered: bool
) -> None:
    tools = f'"tools":[{{"name":"good"}},{{"name":"odd","inputSchema":{schema}}}]'
    with beside_an_honest_server(bridge_program, tmp_path, {"tools/list": result(tools)}) as running:
        assert listed(running, "odd_") == ["odd_good", *(["odd_odd"] if offered else [])]
        row = running.server("odd")
        assert (row["state"], row["tools"]) == ("Ready", 1 + offered)
        assert row.get("lastError", {}).get("reason") == (None if offered else "ItemsHidden")
        assert running.status()["hiddenTools"] == ([] if offered else ["odd/odd"])
        config = gateway_config.read_config(running.folder / "config.json").config
        changed = structs.replace(config, request_bytes=1 << 20)
        running.configure(changed)
        expected = gateway_config.digest(gateway_config.encode(changed))
        running.await_status("the edit to be applied", lambda status: status["config"] == expected)


def test_an_endless_list_is_cut_and_says_so(bridge_program: Path, tmp_path: Path) -> None:
    tools = ",".join(f'{{"name":"t{number}-@N@"}}' for number in range(100))
    script = {"tools/list": result(f'"tools":[{tools}],"nextCursor":"c@N@"')}
    with beside_an_honest_server(bridge_program, tmp_path, script) as running:
        row = running.server("odd")
        assert (row["state"], row["tools"]) == ("Ready", intake.MAX_ITEMS)
        assert row["lastError"]["reason"] == "ItemsHidden"
        assert f"more than {intake.MAX_ITEMS} items" in row["lastError"]["message"]


def test_a_template_that_backtracks_and_a_long_uri_answer_at_once(bridge_program: Path, tmp_path: Path) -> None:
    evil = "x://" + "{a}" * 30 + "!"
    script = {"resources/templates/list": result(f'"resourceTemplates":[{{"name":"n","uriTemplate":"{evil}"}}]')}
    with beside_an_honest_server(bridge_program, tmp_path, script) as running:
        for uri in ("x://" + "a" * 4000, "x://" + "a" * 375_000):
            answer = running.modern("resources/read", uri=uri, timeout=PATIENCE)
            assert answer.json().get("error", {}).get("code") in (-32602, -32020), answer.text


def test_a_tool_never_takes_the_name_of_another_servers_tool(bridge_program: Path, tmp_path: Path) -> None:
    script = {"tools/list": result('"tools":[{"name":"b-echo"},{"name":"c"}]')}
    with beside_an_honest_server(bridge_program, tmp_path, script, name="a", separator="-") as running:
        assert listed(running, "a-") == ["a-b-echo", "a-c"]
        config = gateway_config.read_config(running.folder / "config.json").config
        running.configure(structs.replace(config, servers=(*config.servers, structs.replace(config.servers[1], name="a-b"))))
        running.await_ready("a-b")
        first, second, *_ = listed(running, "a-")
        assert first.startswith("a-b-echo_")
        assert second == "a-c"
        assert "mine" in running.text("a-b-echo", text="mine")
        assert running.text(first) == "done"


def test_hidden_characters_reach_no_client(bridge_program: Path, tmp_path: Path) -> None:
    script = {"tools/list": result('"tools":[{"name":"t","description":"safe\\u001b[8m\\u202e hidden \\udb40\\udc41"}]')}
    with beside_an_honest_server(bridge_program, tmp_path, script) as running:
        (tool,) = [tool for tool in running.modern("tools/list").json()["result"]["tools"] if tool["name"] == "odd_t"]
        assert tool["description"] == "safe<U+001B>[8m<U+202E> hidden <U+E0041>"


@pytest.mark.parametrize("text", ['"cut \\ud83d"', "1e999", "9" * 5000, NESTED, '{"a":null,"a":1}'])
def test_a_payload_that_needs_no_understanding_arrives_byte_for_byte(bridge_program: Path, tmp_path: Path, text: str) -> None:
    content = f'"content":[],"structuredContent":{{"x":{text}}}'
    with beside_an_honest_server(bridge_program, tmp_path, {"tools/call": result(content)}) as running:
        assert f'{{"content":[],"structuredContent":{{"x":{text}}}}}' in _without_result_type(running)


def _without_result_type(running: Gateway) -> str:
    return running.modern("tools/call", name="odd_t", arguments={}).text.replace('"resultType":"complete",', "")


@pytest.mark.parametrize(
    "line",
    [
        '{"jsonrpc":"2.0","id":@ID@,"result":{"content":[],"x":NaN}}',
        '{"jsonrpc":"2.0","id":@ID@,"result":{"content":[],"x":"\u00ff"}}',
        '{"jsonrpc":"2.0","id":@ID@,"result":{"content":[]}}Done.',
        '{"jsonrpc":"2.0","id":@ID@,"result":{"content":[',
        '{"jsonrpc":"2.0","id":@ID@,"result":' + "[" * 200_000 + "]" * 200_000 + "}",
    ],
)
def test_an_answer_that_cannot_be_used_fails_its_call_with_the_reason(bridge_program: Path, tmp_path: Path, line: str) -> None:
    with beside_an_honest_server(bridge_program, tmp_path, {"tools/call": [line]}) as running:
        error = running.call("odd_t")["error"]
        assert error["data"]["reason"] == "ProtocolError", error


def test_clients_that_do_not_page_see_all_tools_of_forty_servers(tmp_path: Path) -> None:
    schema = json.dumps({"type": "object", "properties": {"x": {"type": "string", "description": "d" * 2000}}})
    tools = ",".join(f'{{"name":"t{n}","inputSchema":{schema}}}' for n in range(25))
    (tmp_path / "script.json").write_text(json.dumps({"tools/list": result(f'"tools":[{tools}]')}))
    port = free_port()
    with serving([*SCRIPTED, str(tmp_path), f"--http={port}"], port, dict(os.environ)):
        url = f"http://127.0.0.1:{port}/legacy/script"
        servers = [gateway_config.Server(name=f"s{n}", url=url) for n in range(40)]
        with gateway(tmp_path, configuration(*servers, folder=tmp_path)) as running:
            running.await_status("all tools", lambda status: status["toolCount"] == 1000)
            legacy = running.post({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, headers=running.session())
            for page in (legacy, running.modern("tools/list")):
                assert len(page.json()["result"]["tools"]) == 1000
                assert "nextCursor" not in page.json()["result"]
