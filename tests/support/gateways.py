"""The gateway's real process in front of real bridges, on loopback."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from mcpgateway import config as gateway_config

from .bridges import until
from .locks import free_port
from .paths import ROOT
from .processes import end
from .waiting import PATIENCE

TOKEN = "s3cret"
MODERN = "2026-07-28"


@dataclass
class Gateway:
    """A running gateway and the folder that it is configured from."""

    folder: Path
    port: int
    internal: int
    process: subprocess.Popen[bytes] = field(repr=False)
    started_in: float = 0.0  # seconds until it was ready

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"

    @property
    def log(self) -> str:
        return (self.folder / "gateway.log").read_text()

    def configure(self, config: gateway_config.Config) -> None:
        """Replace the configuration file, as a kubelet does: at once."""
        write_config(self.folder, config)

    def status(self, after: str = "", wait: float = 0) -> dict[str, Any]:
        parameters = {"after": after, "wait": f"{wait:g}s"}
        answer: dict[str, Any] = httpx2.get(
            f"http://127.0.0.1:{self.internal}/status", params=parameters, timeout=wait + PATIENCE
        ).json()
        return answer

    def probe(self) -> int:
        """The status of its readiness probe."""
        return httpx2.get(f"http://127.0.0.1:{self.internal}/readyz", timeout=PATIENCE).status_code

    def server(self, name: str) -> dict[str, Any]:
        return next((row for row in self.status()["servers"] if row["name"] == name), {})

    def await_status(self, what: str, ready: Callable[[dict[str, Any]], Any], timeout: float = PATIENCE) -> dict[str, Any]:
        """Wait for something in `/status`. Returns: the status. A failure says what each server's row is instead."""
        observed: dict[str, Any] = {}

        def look() -> bool:
            nonlocal observed
            observed = self.status()
            return bool(ready(observed))

        try:
            until(what, look, timeout)
        except AssertionError as error:
            rows = "\n".join(map(json.dumps, observed.get("servers", ())))
            raise AssertionError(f"{error}\n{rows}\n{self.log[-4000:]}") from None
        return observed

    def await_ready(self, *names: str) -> dict[str, Any]:
        """Wait until these servers are ready (all that are configured, if none is named)."""

        def ready(status: dict[str, Any]) -> bool:
            states = {row["name"]: row["state"] for row in status["servers"]}
            return bool(states) and all(states.get(name) == "Ready" for name in names or states)

        return self.await_status(f"servers {names or 'all'} to be ready", ready)

    def post(
        self, body: Any, *, token: str | None = TOKEN, headers: dict[str, str] | None = None, timeout: float = PATIENCE
    ) -> httpx2.Response:
        """One POST /mcp."""
        sent = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", **(headers or {})}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        content = body if isinstance(body, bytes) else json.dumps(body)
        return _as_soon_as_any(httpx2.post(self.url, content=content, headers=sent, timeout=timeout))

    def modern(
        self, method: str, *, id: int | str = 1, name: str | None = None, timeout: float = PATIENCE, **params: Any
    ) -> httpx2.Response:
        """One request of the modern era."""
        meta = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
        headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method} | ({"Mcp-Name": name} if name else {})
        named = {"name": name} if name else {}
        body = {"jsonrpc": "2.0", "id": id, "method": method, "params": {**named, **params, "_meta": meta}}
        return self.post(body, headers=headers, timeout=timeout)

    def session(self) -> dict[str, str]:
        """The headers of a new legacy session, of a client that can be asked nothing."""
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        opened = self.post({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})
        return {"Mcp-Session-Id": opened.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-11-25"}

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """A tool call of the modern era: the whole answer."""
        answer: dict[str, Any] = self.modern("tools/call", name=tool, arguments=arguments).json()
        return answer

    def text(self, tool: str, **arguments: Any) -> str:
        """A tool call's text."""
        answer = self.call(tool, **arguments)
        assert "result" in answer, answer
        return str(answer["result"]["content"][0]["text"])

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=PATIENCE)


def _as_soon_as_any(response: httpx2.Response) -> httpx2.Response:
    """The response as it would have been on a faster machine: after some seconds of silence the gateway makes it a stream."""
    data = [line for line in response.text.splitlines() if line.startswith("data: ")]
    if not response.text.startswith(": keep-alive") or len(data) != 1:
        return response
    return httpx2.Response(200, headers={"content-type": "application/json"}, text=data[0].removeprefix("data: "))


def configuration(*servers: gateway_config.Server, folder: Path, **more: Any) -> gateway_config.Config:
    """A configuration with one token."""
    token = folder / "token"
    if not token.exists():
        token.write_text(TOKEN)
    auth = gateway_config.Auth(tokens=(gateway_config.Token(name="dev", file=str(token), reference="mcp-token/token"),))
    return gateway_config.Config(gateway="test", servers=servers, **{"auth": auth, **more})


def write_config(folder: Path, config: gateway_config.Config | str) -> None:
    text = config if isinstance(config, str) else gateway_config.encode(config)
    fresh = folder / "config.new"
    fresh.write_text(text)
    fresh.replace(folder / "config.json")


@contextlib.contextmanager
def gateway(
    folder: Path,
    config: gateway_config.Config,
    *flags: str,
    port: int | None = None,
    python: Path = Path(sys.executable),
    probe: str = "/readyz",
) -> Iterator[Gateway]:
    """A gateway's process, on this Python, from when it answers this probe."""
    write_config(folder, config)
    (folder / "keys").mkdir(exist_ok=True)
    if not (folder / "keys" / "k1").exists():
        (folder / "keys" / "k1").write_bytes(b"k" * 32)
    port, internal = port or free_port(), free_port()
    command = [
        str(python),
        "-m",
        "mcpgateway",
        f"--config={folder}/config.json",
        f"--keys={folder}/keys",
        f"--listen=127.0.0.1:{port}",
        f"--internal=127.0.0.1:{internal}",
        *flags,
    ]
    with (folder / "gateway.log").open("ab") as log:
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "gateway")}
        began = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
    running = Gateway(folder, port, internal, process)

    def answers() -> bool:
        assert process.poll() is None, running.log
        asking = http.client.HTTPConnection("127.0.0.1", internal, timeout=5)
        with contextlib.closing(asking), contextlib.suppress(OSError, http.client.HTTPException):
            asking.request("GET", probe)
            return asking.getresponse().status == 200
        return False

    try:
        until("the gateway to start", answers)
        running.started_in = time.perf_counter() - began
        yield running
    finally:
        end(process)
