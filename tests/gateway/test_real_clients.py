"""Clients of other SDKs and versions, in front of a server on an SDK of the legacy era."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.conftest import server
from tests.support import npm, pypi
from tests.support.bridges import bridge
from tests.support.gateways import TOKEN, Gateway, configuration, gateway

CLIENTS = Path(__file__).with_name("clients")
SERVER = Path(__file__).parents[1] / "support" / "servers" / "fastmcp1.py"
META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
NAMED = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "resources/read"}
SEEN = {
    "tools": ["old_count", "old_paint", "old_think", "old_work"],
    "counts": ["1", "2"],
    "work": "3 steps",
    "steps": [1, 2, 3],
    "paint": "accept: blue",
    "think": "42",
    "prompt": "Greet Zoë",
    "resource": "grüße",
}


@pytest.fixture(scope="module")
def ours(bridge_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("clients")
    with (
        bridge(bridge_program, folder, str(pypi.python("legacy")), str(SERVER)) as running,
        gateway(folder, configuration(server("old", running), folder=folder)) as ours,
    ):
        ours.await_ready()
        yield ours


def seen(*command: str, cwd: Path) -> dict[str, Any]:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=90, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """The scripts in a folder in which Node finds what they import."""
    (tmp_path / "node_modules").symlink_to(npm.modules())
    for script in CLIENTS.glob("*.mjs"):
        shutil.copy(script, tmp_path)
    return tmp_path


@pytest.mark.parametrize("path", ["/mcp", "/sse"])
def test_the_python_sdk_1(ours: Gateway, tmp_path: Path, path: str) -> None:
    url = ours.url.removesuffix("/mcp") + path
    found = seen(str(pypi.python("legacy")), str(CLIENTS / "python1.py"), url, TOKEN, cwd=tmp_path)
    assert found.pop("version") == "2025-11-25"
    assert found == SEEN


@pytest.mark.parametrize("path", ["/mcp", "/sse"])
def test_the_typescript_sdk_1(ours: Gateway, scripts: Path, path: str) -> None:
    url = ours.url.removesuffix("/mcp") + path
    found = seen(str(npm.node()), "typescript1.mjs", url, TOKEN, cwd=scripts)
    assert found.pop("version") in ("2025-11-25", "")
    assert found == SEEN


@pytest.mark.parametrize("path", ["/mcp", "/sse"])
def test_the_python_sdk_1_9_of_version_2025_03_26(ours: Gateway, tmp_path: Path, path: str) -> None:
    url = ours.url.removesuffix("/mcp") + path
    found = seen(str(pypi.python("old")), str(CLIENTS / "python19.py"), url, TOKEN, cwd=tmp_path)
    assert found.pop("version") == "2025-03-26"
    assert found == {name: value for name, value in SEEN.items() if name not in ("paint", "steps")}


@pytest.mark.parametrize("path", ["/mcp", "/sse"])
def test_the_typescript_sdk_1_12_of_version_2025_03_26_and_its_batches(ours: Gateway, scripts: Path, path: str) -> None:
    url = ours.url.removesuffix("/mcp") + path
    found = seen(str(npm.node()), "typescript12.mjs", url, TOKEN, cwd=scripts)
    assert found.pop("batch") == {"b1": "3", "b2": -32602, "b3": "2 steps", "progress": [1, 2]}
    assert found == {name: value for name, value in SEEN.items() if name != "paint"}


@pytest.mark.parametrize(("mode", "version"), [("legacy", "2025-11-25"), ("auto", "2026-07-28")])
def test_the_typescript_sdk_2(ours: Gateway, scripts: Path, mode: str, version: str) -> None:
    found = seen(str(npm.node()), "typescript2.mjs", ours.url, TOKEN, mode, cwd=scripts)
    assert found.pop("version") == version
    if mode == "auto":  # without a session, a process belongs to the principal, which may have called before
        first, second = map(int, found.pop("counts"))
        assert second == first + 1
        assert found == {name: value for name, value in SEEN.items() if name != "counts"}
    else:
        assert found == SEEN


def test_a_client_that_tries_oauth_shows_that_a_bearer_token_is_wanted(ours: Gateway, scripts: Path) -> None:
    found = seen(str(npm.node()), "oauth1.mjs", ours.url, cwd=scripts)
    assert "this gateway has no OAuth: configure the client to send the header Authorization: Bearer TOKEN" in found["error"]


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_what_mcp_apps_need_passes_as_it_is(ours: Gateway, era: str) -> None:
    """The extension `io.modelcontextprotocol/ui`: a tool names its `ui://` resource, which is listed and read."""
    if era == "modern":
        ask = ours.modern
    else:
        headers = ours.session()

        def ask(method: str, **params: Any) -> Any:
            return ours.post({"jsonrpc": "2.0", "id": 2, "method": method, "params": params}, headers=headers)

    (tool,) = [tool for tool in ask("tools/list").json()["result"]["tools"] if tool["name"] == "old_count"]
    uri = tool["_meta"]["ui"]["resourceUri"]
    assert tool["_meta"]["ui"] == {"resourceUri": "ui://fastmcp1/count", "visibility": ["model", "app"]}
    (listed,) = [one for one in ask("resources/list").json()["result"]["resources"] if one["uri"] == uri]
    assert (listed["mimeType"], listed["_meta"]) == ("text/html;profile=mcp-app", {"ui": {"prefersBorder": True}})
    if era == "modern":
        body = {"jsonrpc": "2.0", "id": 3, "method": "resources/read", "params": {"uri": uri, "_meta": META}}
        read = ours.post(body, headers=NAMED | {"Mcp-Name": uri})
    else:
        read = ask("resources/read", uri=uri)
    (content,) = read.json()["result"]["contents"]
    assert (content["text"], content["mimeType"]) == ("<!doctype html><title>Count</title>", "text/html;profile=mcp-app")
