"""Clients of other SDKs and versions, in front of a server on an SDK of the legacy era; docs/clients.md lists them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.conftest import server
from tests.support import npm, pypi, tools
from tests.support.bridges import bridge
from tests.support.gateways import TOKEN, Gateway, configuration, gateway
from tests.support.locks import exclusive
from tests.support.paths import CACHE, ROOT
from tests.support.waiting import PATIENCE

ROWS = 9  # of the document
DOCUMENT = ROOT / "docs" / "clients.md"
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


rows: dict[str, list[str]] = {}  # of the document: by client, the protocol version that it agreed on at each path


def record(client: str, path: str, version: str) -> None:
    rows.setdefault(client, []).append(f"`{path}`: {version or 'as its SDK'}")


def of_npm(package: str) -> str:
    """The version of a package from npm that the tests use."""
    described: dict[str, Any] = json.loads((npm.modules() / package / "package.json").read_text())
    return str(described["version"])


def of_pypi(package: str, environment: str) -> str:
    """The version of a package from PyPI that an environment of the tests has."""
    found = re.search(rf"^{package}==([^ ]+)", (pypi.SOURCES / f"{environment}.txt").read_text(), re.MULTILINE)
    assert found
    return found[1]


@pytest.fixture(scope="module")
def ours(bridge_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("clients")
    with (
        bridge(bridge_program, folder, str(pypi.python("legacy")), str(SERVER)) as running,
        gateway(folder, configuration(server("old", running), folder=folder)) as ours,
    ):
        ours.await_ready()
        yield ours


def ran(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A client that has run; what it keeps for its user is in the test's folder."""
    environment = npm.environment() | {"HOME": str(cwd), "MCP_REMOTE_CONFIG_DIR": str(cwd)}
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=PATIENCE, check=False, env=environment, stdin=subprocess.DEVNULL
    )


def seen(*command: str, cwd: Path) -> dict[str, Any]:
    done = ran(*command, cwd=cwd)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def without(*names: str) -> dict[str, Any]:
    """What a client sees that cannot do everything."""
    return {name: value for name, value in SEEN.items() if name not in names}


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
    record(f"Python SDK {of_pypi('mcp', 'legacy')}", path, found["version"])
    assert found.pop("version") == "2025-11-25"
    assert found == SEEN


@pytest.mark.parametrize("path", ["/mcp", "/sse"])
def test_the_typescript_sdk_1(ours: Gateway, scripts: Path, path: str) -> None:
    url = ours.url.removesuffix("/mcp") + path
    found = seen(str(npm.node()), "typescript1.mjs", url, TOKEN, cwd=scripts)
    record(f"TypeScript SDK {of_npm('@modelcontextprotocol/sdk')}", path, found["version"])
    assert found.pop("version") in ("2025-11-25", "")
    assert found == SEEN


@pytest.mark.parametrize("path", ["/mcp", "/sse"])
def test_the_python_sdk_1_9_of_version_2025_03_26(ours: Gateway, tmp_path: Path, path: str) -> None:
    url = ours.url.removesuffix("/mcp") + path
    found = seen(str(pypi.python("old")), str(CLIENTS / "python19.py"), url, TOKEN, cwd=tmp_path)
    record(f"Python SDK {of_pypi('mcp', 'old')}", path, found["version"])
    assert found.pop("version") == "2025-03-26"
    assert found == without("paint", "steps")


@pytest.mark.parametrize("path", ["/mcp", "/sse"])
def test_the_typescript_sdk_1_12_of_version_2025_03_26_and_its_batches(ours: Gateway, scripts: Path, path: str) -> None:
    url = ours.url.removesuffix("/mcp") + path
    found = seen(str(npm.node()), "typescript12.mjs", url, TOKEN, cwd=scripts)
    record(f"TypeScript SDK {of_npm('@modelcontextprotocol/sdk-1.12')}", path, "2025-03-26")
    assert found.pop("batch") == {"b1": "3", "b2": -32602, "b3": "2 steps", "progress": [1, 2]}
    assert found == without("paint")


@pytest.mark.parametrize(("mode", "version"), [("legacy", "2025-11-25"), ("auto", "2026-07-28")])
def test_the_typescript_sdk_2(ours: Gateway, scripts: Path, mode: str, version: str) -> None:
    found = seen(str(npm.node()), "typescript2.mjs", ours.url, TOKEN, mode, cwd=scripts)
    record(f"TypeScript SDK {of_npm('@modelcontextprotocol/client')}", "/mcp", found["version"])
    assert found.pop("version") == version
    if mode == "auto":  # without a session, a process belongs to the principal, which may have called before
        first, second = map(int, found.pop("counts"))
        assert second == first + 1
        assert found == {name: value for name, value in SEEN.items() if name != "counts"}
    else:
        assert found == SEEN


@pytest.mark.parametrize(("path", "version"), [("/mcp", "2026-07-28"), ("/sse", "2025-11-25")])
def test_gos_sdk(ours: Gateway, tmp_path: Path, path: str, version: str) -> None:
    url = ours.url.removesuffix("/mcp") + path
    found = seen(str(go_client()), url, TOKEN, cwd=tmp_path)
    used = re.search(r"go-sdk v(.*)", (CLIENTS / "gosdk" / "go.mod").read_text())
    assert used
    record(f"Go SDK {used[1]}", path, found["version"])
    assert found.pop("version") == version
    counts = found.pop("counts")
    assert int(counts[1]) == int(counts[0]) + 1
    assert found == without("counts")


def go_client() -> Path:
    """The program of `clients/gosdk`, built once. Raises: CannotRunError."""
    sources = CLIENTS / "gosdk"
    mark = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(sources.iterdir()))).hexdigest()[:12]
    program = CACHE / "gosdk" / mark / "client"
    with exclusive("gosdk"):
        if not program.exists():
            tools.compile_go("building the client on Go's SDK, once", ["build", "-o", str(program), "."], sources)
    return program


@pytest.mark.parametrize("path", ["/mcp", "/sse"])
def test_fastmcp(ours: Gateway, tmp_path: Path, path: str) -> None:
    url = ours.url.removesuffix("/mcp") + path
    found = seen(str(pypi.python("fastmcp")), str(CLIENTS / "fastmcp_client.py"), url, TOKEN, cwd=tmp_path)
    record(f"fastmcp {of_pypi('fastmcp', 'fastmcp')}", path, "")
    assert found == without("paint")


@pytest.mark.parametrize(("path", "transport"), [("/mcp", "http-only"), ("/sse", "sse-only")])
def test_mcp_remote(ours: Gateway, tmp_path: Path, path: str, transport: str) -> None:
    url = ours.url.removesuffix("/mcp") + path
    remote = [
        *npm.program("mcp-remote"),
        url,
        "--allow-http",
        "--transport",
        transport,
        "--header",
        f"Authorization: Bearer {TOKEN}",
    ]
    found = seen(str(pypi.python("legacy")), str(CLIENTS / "remote.py"), *remote, cwd=tmp_path)
    record(f"mcp-remote {of_npm('mcp-remote')}", path, found.pop("version"))
    assert found == without("paint", "think", "steps")


def test_mcp_remote_without_a_token_shows_that_one_is_wanted(ours: Gateway, tmp_path: Path) -> None:
    done = ran(*npm.program("mcp-remote"), ours.url, "--allow-http", "--transport", "http-only", cwd=tmp_path)
    assert done.returncode != 0
    assert "this gateway has no OAuth: configure the client to send the header Authorization: Bearer TOKEN" in done.stderr


def test_the_inspectors_command_line(ours: Gateway, tmp_path: Path) -> None:
    package = "@modelcontextprotocol/inspector"
    inspect = [*npm.program(package), "--cli", ours.url, "--transport", "http", "--header", f"Authorization: Bearer {TOKEN}"]
    listed = seen(*inspect, "--method", "tools/list", cwd=tmp_path)
    assert sorted(tool["name"] for tool in listed["tools"]) == SEEN["tools"]
    called = seen(*inspect, "--method", "tools/call", "--tool-name", "old_work", "--tool-arg", "steps=3", cwd=tmp_path)
    assert called["content"] == [{"type": "text", "text": "3 steps"}]
    record(f"Inspector's command line {of_npm(package)}", "/mcp", "")


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


HEAD = """# Clients

Generated from the results of `tests/gateway/test_real_clients.py`; `REFRESH_GOLDEN=true` rewrites it. Each client listed tools,
called them (with progress, questions to the person and to the model, as far as it can), and read a prompt and a resource of a
server on the Python SDK 1.x, through the gateway and a real bridge. A page in Chromium of another origin does the same in
`tests/gateway/test_cors.py`; prefixes, TLS and idle times of nginx and HAProxy are in `test_outside.py` and `test_long_calls.py`.
Tried by hand on 2026-11-27, with calls of 16 s: the Java SDK 1.0.0 on `/mcp` and `/sse`, and rmcp 3.11.0 on `/mcp`.

| client | protocol version by path |
|---|---|
"""


def test_the_document_lists_what_was_seen() -> None:
    """All of it after all other tests; after some of them, in whatever order, that part."""
    written = DOCUMENT.read_text() if DOCUMENT.exists() else ""
    lines = {client: f"| {client} | {', '.join(sorted(versions))} |" for client, versions in rows.items()}
    if os.environ.get("REFRESH_GOLDEN") and len(rows) >= ROWS:
        DOCUMENT.write_text(written := HEAD + "\n".join(lines[client] for client in sorted(lines)) + "\n")
    assert written.startswith(HEAD)
    listed = written.removeprefix(HEAD).splitlines()
    assert len(listed) == ROWS
    for client, versions in rows.items():
        assert any(line.startswith(f"| {client} |") and all(version in line for version in versions) for line in listed), client
    if sum(map(len, rows.values())) >= written.removeprefix(HEAD).count("`/"):
        assert listed == [lines[client] for client in sorted(lines)]
