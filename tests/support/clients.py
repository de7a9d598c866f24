"""MCP clients of others, each the program of `tests/gateway/clients` or its kin that reports what it sees of a server.

A program is run as PROGRAM PLAN URL TOKEN [MODE]. The plan says what to ask; the answer is a report (`reports.Report`).
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from . import cargo, java, npm, pypi, tools
from .locks import exclusive
from .paths import CACHE, ROOT
from .reports import Report
from .waiting import PATIENCE

SCRIPTS = ROOT / "tests" / "gateway" / "clients"


@dataclass(frozen=True)
class Plan:
    """What a client asks a server, besides its lists."""

    calls: list[dict[str, Any]] = field(default_factory=list)
    prompts: list[dict[str, Any]] = field(default_factory=list)
    resources: list[str] = field(default_factory=list)
    level: str | None = None  # of messages
    batch: list[dict[str, Any]] = field(default_factory=list)  # of clients that have batches

    def behind(self, server: str) -> Plan:
        """The same by the names that the gateway gives this server's."""
        calls, prompts = ([{**asked, "name": f"{server}_{asked['name']}"} for asked in all] for all in (self.calls, self.prompts))
        return Plan(calls, prompts, self.resources, self.level, self.batch)

    def encoded(self) -> str:
        return json.dumps(asdict(self))


class Way(NamedTuple):
    """A client and how it reaches a server."""

    client: str
    path: str = "/mcp"
    mode: str = ""  # of clients that have several

    @property
    def modern(self) -> bool:
        """Whether the client speaks 2026-07-28 with whoever does."""
        return self.mode == "auto" or (self.client in ("Go SDK", "fastmcp") and self.path == "/mcp")

    def __str__(self) -> str:
        return "-".join(filter(None, (self.client.replace(" ", "-"), self.path.strip("/"), self.mode)))


@dataclass(frozen=True)
class Client:
    """How a client is run, and what of."""

    command: Callable[[str, str, str], list[str]]  # plan, URL, token
    version: Callable[[], str]

    def title(self, key: str) -> str:
        """Its name, without the part of its version that tells it from others, and its version."""
        return f"{key.rstrip('.0123456789').rstrip()} {self.version()}"


def of_npm(package: str) -> str:
    """The version of a package from npm that the tests use."""
    described: dict[str, Any] = json.loads((npm.modules() / package / "package.json").read_text())
    return str(described["version"])


def of_pypi(package: str, lock: Path) -> str:
    """The version of a package from PyPI that a lock file has."""
    return _found(rf"^{package}==([^ ]+)", lock)


def _found(pattern: str, file: Path) -> str:
    found = re.search(pattern, file.read_text(), re.MULTILINE)
    assert found, f"{file} has no {pattern}"
    return found[1]


def _python(script: str, environment: str) -> Callable[[str, str, str], list[str]]:
    return lambda *asked: [str(pypi.python(environment)), str(SCRIPTS / script), *asked]


def _node(script: str) -> Callable[[str, str, str], list[str]]:
    return lambda *asked: [str(npm.node()), script, *asked]


def _remote(plan: str, url: str, token: str) -> list[str]:
    """A client that speaks stdio only, through mcp-remote."""
    transport = "sse-only" if url.endswith("/sse") else "http-only"
    options = ["--allow-http", "--transport", transport, "--header", f"Authorization: Bearer {token}"]
    return [str(pypi.python("legacy")), str(SCRIPTS / "python1.py"), plan, *npm.program("mcp-remote"), url, *options]


def _inspector(plan: str, url: str, token: str) -> list[str]:
    return [sys.executable, str(SCRIPTS / "inspector.py"), plan, url, token, *npm.program(_INSPECTOR)]


def _go_client() -> Path:
    """The program of `clients/gosdk`, built once. Raises: CannotRunError."""
    sources = SCRIPTS / "gosdk"
    mark = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(sources.iterdir()))).hexdigest()[:12]
    program = CACHE / "gosdk" / mark / "client"
    with exclusive("gosdk"):
        if not program.exists():
            tools.compile_go("building the client on Go's SDK, once", ["build", "-o", str(program), "."], sources)
    return program


_INSPECTOR = "@modelcontextprotocol/inspector"
_DEVELOPMENT = ROOT / "requirements" / "dev.txt"
_LOCKS = pypi.SOURCES
CLIENTS = {
    "Python SDK 1.9": Client(_python("python1.py", "old"), lambda: of_pypi("mcp", _LOCKS / "old.txt")),
    "Python SDK 1": Client(_python("python1.py", "legacy"), lambda: of_pypi("mcp", _LOCKS / "legacy.txt")),
    "Python SDK 2": Client(
        lambda *asked: [sys.executable, str(SCRIPTS / "python2.py"), *asked], lambda: of_pypi("mcp", _DEVELOPMENT)
    ),
    "TypeScript SDK 1.12": Client(_node("typescript12.mjs"), lambda: of_npm("@modelcontextprotocol/sdk-1.12")),
    "TypeScript SDK 1": Client(_node("typescript1.mjs"), lambda: of_npm("@modelcontextprotocol/sdk")),
    "TypeScript SDK 2": Client(_node("typescript2.mjs"), lambda: of_npm("@modelcontextprotocol/client")),
    "fastmcp": Client(_python("fastmcp_sdk.py", "fastmcp"), lambda: of_pypi("fastmcp", _LOCKS / "fastmcp.txt")),
    "mcp-remote": Client(_remote, lambda: of_npm("mcp-remote")),
    "Inspector's command line": Client(_inspector, lambda: of_npm(_INSPECTOR)),
    "Go SDK": Client(lambda *asked: [str(_go_client()), *asked], lambda: _found(r"go-sdk v(.*)", SCRIPTS / "gosdk" / "go.mod")),
    "Rust SDK": Client(lambda *asked: [str(cargo.rmcp_client()), *asked], cargo.client_version),
    "Java SDK": Client(lambda *asked: [*java.client(), *asked], java.version),
}
WAYS = (
    *(Way(client, path) for client in ("Python SDK 1.9", "Python SDK 1", "TypeScript SDK 1.12") for path in ("/mcp", "/sse")),
    *(Way(client, path) for client in ("TypeScript SDK 1", "fastmcp", "mcp-remote") for path in ("/mcp", "/sse")),
    *(Way(client, path) for client in ("Go SDK", "Java SDK") for path in ("/mcp", "/sse")),
    Way("Inspector's command line"),
    *(Way(client, "/mcp", mode) for client in ("Python SDK 2", "TypeScript SDK 2", "Rust SDK") for mode in ("legacy", "auto")),
)


def scripts(folder: Path) -> Path:
    """The scripts in a folder in which Node finds what they import."""
    (folder / "node_modules").symlink_to(npm.modules())
    for script in SCRIPTS.glob("*.mjs"):
        shutil.copy(script, folder)
    return folder


def run(command: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A client that has run; what it keeps for its user is in a folder of `scripts`."""
    environment = npm.environment() | {"HOME": str(folder), "MCP_REMOTE_CONFIG_DIR": str(folder)} | environment
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env=environment,
        stdin=subprocess.DEVNULL,
    )


def report(way: Way, plan: Plan, url: str, token: str, folder: Path, **environment: str) -> Report:
    """What a client has seen of the server at a URL."""
    command = [*CLIENTS[way.client].command(plan.encoded(), url, token), *filter(None, [way.mode])]
    done = run(command, folder, **environment)
    assert done.returncode == 0, f"{way} at {url}: {done.stderr[-3000:]}"
    found: Report = json.loads(done.stdout.splitlines()[-1])
    return found
