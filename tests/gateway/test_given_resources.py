"""Resources that a tool gives out are read from the server that gave them, also where several servers have resources."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgateway.protocol.given_uris import MAX_URIS, given_uris
from mcpgateway.requests import given_resources
from mcpgateway.requests.given_resources import GivenResources
from tests.gateway.conftest import server
from tests.support.bridges import bridge
from tests.support.gateways import Gateway, configuration, gateway

# A server that lists what is in argv[2], and gives out the URI that it is asked for: as a link, embedded, or in a prompt.
GIVES = """
import json, sys
name, listed = sys.argv[1], json.loads(sys.argv[2])
def results(method, params):
    if method == "initialize":
        capabilities = {"tools": {}, "prompts": {}, "resources": {}}
        return {"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": {"name": name, "version": "1"}}
    if method == "tools/list":
        return {"tools": [{"name": "give", "inputSchema": {"type": "object"}}]}
    if method == "prompts/list":
        return {"prompts": [{"name": "give", "arguments": [{"name": "uri"}, {"name": "form"}]}]}
    if method == "resources/list":
        return {"resources": [{"uri": uri, "name": uri} for uri in listed if "{" not in uri]}
    if method == "resources/templates/list":
        return {"resourceTemplates": [{"uriTemplate": uri, "name": uri} for uri in listed if "{" in uri]}
    if method == "resources/read":
        return {"contents": [{"uri": params["uri"], "text": "of " + name}]}
    arguments = params["arguments"]
    block = {"type": "resource_link", "uri": arguments["uri"], "name": "n"}
    if arguments["form"] == "embedded":
        block = {"type": "resource", "resource": {"uri": arguments["uri"], "text": "t"}}
    if method == "prompts/get":
        return {"messages": [{"role": "user", "content": block}]}
    return {"content": [{"type": "text", "text": "here"}, block]}
for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        answer = {"result": results(message["method"], message.get("params", {}))}
        if message["method"] == "server/discover":
            answer = {"error": {"code": -32601, "message": "unknown"}}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer}), flush=True)
""".replace('    arguments = params["arguments"]', '    arguments = params.get("arguments") or {"uri": "", "form": ""}')


@contextlib.contextmanager
def two_servers(program: Path, folder: Path, a: list[str], b: list[str]) -> Iterator[Gateway]:
    with contextlib.ExitStack() as stack:
        running = {
            name: stack.enter_context(bridge(program, folder, sys.executable, "-c", GIVES, name, json.dumps(listed)))
            for name, listed in (("a", a), ("b", b))
        }
        config = configuration(*(server(name, one) for name, one in running.items()), folder=folder)
        ours = stack.enter_context(gateway(folder, config))
        ours.await_ready()
        yield ours


class Legacy:
    def __init__(self, ours: Gateway) -> None:
        self.ours, self.headers = ours, ours.session()

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer: dict[str, Any] = self.ours.post(body, headers=self.headers).json()
        return answer


class Modern:
    def __init__(self, ours: Gateway) -> None:
        self.ours = ours

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        named = params.get("name") or params.get("uri")
        rest = {key: value for key, value in params.items() if key != "name"}
        headers_name = named if "name" in params else None
        if headers_name is None and named is not None:
            meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
            headers = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method, "Mcp-Name": named}
            body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**rest, "_meta": meta}}
            answer: dict[str, Any] = self.ours.post(body, headers=headers).json()
            return answer
        called: dict[str, Any] = self.ours.modern(method, name=headers_name, **rest).json()
        return called


def read(client: Legacy | Modern, uri: str) -> str:
    answer = client.ask("resources/read", uri=uri)
    return str(answer["result"]["contents"][0]["text"]) if "result" in answer else str(answer["error"]["message"])


@pytest.mark.parametrize("era", [Legacy, Modern])
@pytest.mark.parametrize("form", ["link", "embedded"])
@pytest.mark.parametrize("method", ["tools/call", "prompts/get"])
def test_what_a_server_gives_out_is_read_from_it(
    bridge_program: Path, tmp_path: Path, era: type[Legacy | Modern], form: str, method: str
) -> None:
    with two_servers(bridge_program, tmp_path, ["file:///a/{+path}"], ["file:///b"]) as ours:
        client = era(ours)
        for name in ("b", "a", "b"):  # the last one counts, and a template of another server does not
            answer = client.ask(method, name=f"{name}_give", arguments={"uri": "file:///a/report", "form": form})
            assert "result" in answer, answer
            assert read(client, "file:///a/report") == f"of {name}"


def test_a_listed_resource_is_its_servers_whatever_another_gives_out(bridge_program: Path, tmp_path: Path) -> None:
    with two_servers(bridge_program, tmp_path, ["file:///x"], ["file:///y"]) as ours:
        client, other = Legacy(ours), Legacy(ours)
        client.ask("tools/call", name="b_give", arguments={"uri": "file:///x", "form": "link"})
        assert read(client, "file:///x") == "of a"
        client.ask("tools/call", name="b_give", arguments={"uri": "file:///z", "form": "link"})
        assert read(client, "file:///z") == "of b"
        assert read(other, "file:///z") == "unknown resource: 'file:///z'"  # it was given to one client


def test_a_uri_that_nobody_has_given_out_here_is_read_from_the_only_server_with_its_scheme(
    bridge_program: Path, tmp_path: Path
) -> None:
    with two_servers(bridge_program, tmp_path, ["memo://x/{id}"], ["note://y"]) as ours:
        assert read(Legacy(ours), "NOTE://of/another/replica") == "of b"
        assert read(Legacy(ours), "other://x") == "unknown resource: 'other://x'"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["resource", "resource_link"]),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["content", "messages", "type", "uri", "resource", "result", "x"]), inner)
    ),
    max_leaves=30,
)


@given(JSON)
def test_any_result_is_read_without_an_error(result: Any) -> None:
    assert all(isinstance(uri, str) for uri in given_uris(json.dumps(result).encode()))


@given(st.binary())
def test_any_bytes_are_read_without_an_error(result: bytes) -> None:
    assert list(given_uris(result)) == []


def _result(first: int, count: int) -> bytes:
    blocks = [{"type": "resource_link", "uri": f"x://{number}"} for number in range(first, first + count)]
    return json.dumps({"content": blocks}).encode()


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(list(given_uris(_result(0, 2 * MAX_URIS)))) == MAX_URIS
    monkeypatch.setattr(given_resources, "MAX_OF_CALLER", 10)
    monkeypatch.setattr(given_resources, "MAX_TOTAL", 25)
    given_out = GivenResources()
    given_out.note("first", "s", _result(0, 12))
    assert [given_out.server_of("first", f"x://{number}") for number in (1, 2, 11)] == [None, "s", "s"]
    given_out.note("second", "s", _result(0, 12))
    given_out.note("third", "s", _result(0, 12))
    assert [given_out.holds(key) for key in ("first", "second", "third")] == [False, True, True]
