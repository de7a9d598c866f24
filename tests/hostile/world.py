"""A gateway in front of scripted servers of all kinds, beside two honest ones that nothing may happen to."""

from __future__ import annotations

import contextlib
import http.client
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from mcpgateway import config as gateway_config
from tests.support.bridges import ECHO, bridge
from tests.support.gateways import MODERN, TOKEN, Gateway, configuration, gateway
from tests.support.locks import free_port
from tests.support.remotes import serving
from tests.support.servers import scripted

from .messages import Era

PATIENCE = 20.0  # seconds for the honest servers' answers, on a machine that is busy: none takes a call's deadline
CALL_TIMEOUT = 2.0  # seconds for a spoilt answer of which the id cannot be seen
HONEST = ("honest-legacy", "honest-modern")
_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "Authorization": f"Bearer {TOKEN}",
}


_KEPT: Final = 60.0  # seconds that a connection is kept unused, fewer than the gateway keeps it


class Client:
    """A client on one kept connection."""

    def __init__(self, port: int, *, timeout: float = PATIENCE) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        self._ids = 0
        self._used = time.monotonic()
        self.session: dict[str, str] = {}

    def post(self, body: bytes, headers: Mapping[str, str]) -> tuple[http.client.HTTPResponse, bytes]:
        """One POST /mcp and the whole response."""
        if time.monotonic() - self._used > _KEPT:
            self._connection.close()
        self._used = time.monotonic()
        try:
            self._connection.request("POST", "/mcp", body=body, headers={**_HEADERS, **headers})
            response = self._connection.getresponse()
            return response, response.read()
        except (http.client.HTTPException, OSError):
            self._connection.close()  # the next request gets a new one
            raise

    def ask(self, method: str, params: Mapping[str, Any], era: Era = "modern") -> dict[str, Any]:
        """One request and its response, whichever form it comes in."""
        self._ids += 1
        params, headers = dict(params), dict[str, str]()
        if era == "modern":
            key = "io.modelcontextprotocol"
            params["_meta"] = {f"{key}/protocolVersion": MODERN, f"{key}/clientCapabilities": {}, "progressToken": self._ids}
            headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method}
            name = params.get("name") or params.get("uri")
            if isinstance(name, str) and method != "completion/complete":
                headers["Mcp-Name"] = name
        else:
            params["_meta"] = {"progressToken": self._ids}
            headers = self.session or self.open_session()
        body = {"jsonrpc": "2.0", "id": self._ids, "method": method, "params": params}
        response, raw = self.post(json.dumps(body).encode(), headers)
        answer = response_of(response, raw, self._ids)
        assert answer is not None, f"{response.status} without a response: {raw[:300]!r}"
        return answer

    def open_session(self) -> dict[str, str]:
        """Begin a legacy session, for a client that can be asked everything."""
        capabilities: dict[str, Any] = {"roots": {}, "sampling": {}, "elicitation": {"form": {}, "url": {}}}
        params = {"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": {"name": "t", "version": "1"}}
        response, _ = self.post(json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}).encode(), {})
        assert response.status == 200
        self.session = {"Mcp-Session-Id": str(response.headers["mcp-session-id"]), "MCP-Protocol-Version": "2025-11-25"}
        return self.session

    def end_session(self, headers: dict[str, str]) -> None:
        """End a session, so that an attack which is repeated does not fill the room for all."""
        self._connection.request("DELETE", "/mcp", headers={"Authorization": f"Bearer {TOKEN}", **headers})
        self._connection.getresponse().read()

    def close(self) -> None:
        """End the session, if one was begun, and close the connection."""
        with contextlib.closing(self._connection), contextlib.suppress(OSError, http.client.HTTPException):
            if self.session:
                self.end_session(self.session)


def _no_constant(name: str) -> Any:
    raise AssertionError(f"{name} is no JSON")


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) < 4_000 else digits  # Python limits what it converts


def strict(raw: bytes) -> Any:
    """JSON as RFC 8259 has it. Raises: AssertionError, ValueError."""
    return json.loads(raw.decode(), parse_constant=_no_constant, parse_int=_integer)


def response_of(response: http.client.HTTPResponse, raw: bytes, id: object) -> dict[str, Any] | None:
    """The JSON-RPC response with this id; every message beside it is JSON, too."""
    events = "event-stream" in (response.headers.get("content-type") or "")
    parts = [line[5:] for line in raw.split(b"\n") if line.startswith(b"data:") and line[5:].strip()] if events else [raw]
    found: dict[str, Any] | None = None
    for part in parts:
        message = strict(part)
        assert message["jsonrpc"] == "2.0", message
        if "method" not in message and message["id"] == id:
            assert found is None, "a second response"
            found = message
    return found


@dataclass
class World:
    """The gateway, its honest servers, and the places for scripted ones."""

    gateway: Gateway
    folder: Path
    honest: tuple[gateway_config.Server, ...]
    bridges: tuple[tuple[Era, int], ...]  # eras and ports: the script of the one at N is `bN`
    http: int
    client: Client = field(init=False)
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    lists: dict[str, list[Any]] = field(default_factory=dict)
    _number: int = 0

    def __post_init__(self) -> None:
        self.client = Client(self.gateway.port)

    def script(self, name: str, lines: Mapping[str, Sequence[bytes]]) -> None:
        """Say what a server sends from now on."""
        fresh = self.folder / f"{name}.new"
        fresh.write_text(json.dumps({method: [line.decode("latin-1") for line in sent] for method, sent in lines.items()}))
        fresh.replace(self.folder / f"{name}.json")

    def behind_bridge(self, place: int, **more: Any) -> gateway_config.Server:
        """The server at one of the bridges, under a name that is new to the gateway."""
        self._number += 1
        address = f"127.0.0.1:{self.bridges[place][1]}"
        return gateway_config.Server(
            name=f"b{place}-{self._number}", addresses=(address,), **{"call_timeout": CALL_TIMEOUT, **more}
        )

    def remote(self, era: Era, place: int, **more: Any) -> gateway_config.Server:
        """A server at a URL, under a name that is new to the gateway; its script is `rN`."""
        self._number += 1
        url = f"http://127.0.0.1:{self.http}/{era}/r{place}"
        return gateway_config.Server(name=f"r{place}-{self._number}", url=url, **{"call_timeout": CALL_TIMEOUT, **more})

    def configure(self, *servers: gateway_config.Server) -> None:
        """Put these servers beside the honest ones, and wait until the gateway has them."""
        config = configuration(*self.honest, *servers, folder=self.folder)
        self.gateway.configure(config)
        wanted = gateway_config.digest(gateway_config.encode(config))
        self.gateway.await_status("the configuration to be in force", lambda status: status["config"] == wanted)

    def remember_honest(self) -> None:
        """Note what must not change."""
        self.gateway.await_ready(*HONEST)
        self._call_honest()
        self.rows = self._rows()
        self.lists = self._lists()
        assert all(self.lists.values())

    def assert_honest_unharmed(self) -> None:
        """The honest servers answer, are listed, and stand in the status as before; the gateway lives."""
        assert self.gateway.process.poll() is None, self.gateway.log[-4000:]
        self._call_honest()
        assert self._lists() == self.lists
        for name, row in self._rows().items():
            row.pop("processes", None)  # that of discovery ends some time after its server's start
            changed = {key: value for key, value in row.items() if self.rows[name].get(key) != value}
            assert not changed, (name, changed)

    def _call_honest(self) -> None:
        for name in HONEST:
            for era in ("legacy", "modern"):
                answer = self.client.ask("tools/call", {"name": f"{name}_echo", "arguments": {"n": name}}, era)
                assert answer["result"]["content"][0]["text"] == json.dumps({"n": name}), answer

    def _rows(self) -> dict[str, dict[str, Any]]:
        return {row["name"]: row for row in self.gateway.status()["servers"] if row["name"] in HONEST}

    def _lists(self) -> dict[str, list[Any]]:
        found = {}
        for kind in ("tools", "prompts"):
            items = self.client.ask(f"{kind}/list", {})["result"][kind]
            found[kind] = [item for item in items if item["name"].startswith("honest-")]
        return found


BRIDGES: tuple[Era, ...] = ("legacy", "modern") * 4


@contextlib.contextmanager
def running(program: Path, folder: Path) -> Iterator[World]:
    """The world, with its honest servers ready."""
    server = scripted.__file__
    http_port = free_port()
    with contextlib.ExitStack() as stack:
        stack.enter_context(serving([sys.executable, server, str(folder), f"--http={http_port}"], http_port, {}))
        places = []
        for number, era in enumerate(BRIDGES):
            command = (sys.executable, server, str(folder), era, f"b{number}")
            places.append((era, stack.enter_context(bridge(program, folder, *command)).port))
        honest = []
        for era in ("legacy", "modern"):
            port = stack.enter_context(bridge(program, folder, *ECHO, era)).port
            honest.append(gateway_config.Server(name=f"honest-{era}", addresses=(f"127.0.0.1:{port}",), call_timeout=60.0))
        ours = stack.enter_context(gateway(folder, configuration(*honest, folder=folder)))
        world = World(ours, folder, tuple(honest), tuple(places), http_port)
        world.remember_honest()
        yield world
        world.client.close()


@pytest.fixture(scope="module")
def world(bridge_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Shared by a module."""
    with running(bridge_program, tmp_path_factory.mktemp("hostile")) as found:
        yield found
