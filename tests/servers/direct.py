"""Ask a server directly: raw JSON lines over its stdin and stdout, and the official SDK's client over the same."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from tests.support.processes import end
from tests.support.waiting import PATIENCE

MODERN = "2026-07-28"
LEGACY = "2025-11-25"
LISTS = {
    "tools": "tools/list",
    "prompts": "prompts/list",
    "resources": "resources/list",
    "resourceTemplates": "resources/templates/list",
}
_GRACE = 5.0  # seconds for the answer to `server/discover` after that to a later `initialize`: servers read in order
_META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "direct", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}

_GREETING: dict[str, Any] = {
    "protocolVersion": LEGACY,
    "capabilities": {},
    "clientInfo": {"name": "direct", "version": "1"},
}


@dataclass(frozen=True, eq=False)
class Launch:
    """A command with all that its process needs."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path


@dataclass
class Observed:
    """What a server offers, as its JSON has it."""

    era: str
    lists: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    answer: dict[str, Any] = field(default_factory=dict)  # of the call: {"result": …} or {"error": …}


class Ended(Exception):
    """The server closed its stdout."""


class Raw:
    """One process, asked in raw JSON."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._rest = b""
        self._ids = 0
        self._answers: dict[Any, dict[str, Any]] = {}
        self.meta: dict[str, Any] = {}  # with every request

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """A request and its answer. Raises: Ended, TimeoutError."""
        return self.answer(self.begin(method, **params))

    def begin(self, method: str, **params: Any) -> int:
        """Send a request. Returns its id. Raises: Ended."""
        self._ids += 1
        self.send({"jsonrpc": "2.0", "id": self._ids, "method": method, "params": {**params, **self.meta}})
        return self._ids

    def answer(self, id: int, timeout: float = PATIENCE) -> dict[str, Any]:
        """The answer to a request; what is no answer is passed over. Raises: Ended, TimeoutError."""
        deadline = time.monotonic() + timeout
        while id not in self._answers:
            with contextlib.suppress(json.JSONDecodeError):
                message = json.loads(self._line(deadline))
                if isinstance(message, dict) and "id" in message and "method" not in message:
                    self._answers[message["id"]] = {name: message[name] for name in ("result", "error") if name in message}
        return self._answers.pop(id)

    def send(self, message: dict[str, Any]) -> None:
        """Send a message. Raises: Ended."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise Ended from error

    def _line(self, deadline: float) -> bytes:
        assert self._process.stdout is not None
        while b"\n" not in self._rest:
            if not select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError
            piece = os.read(self._process.stdout.fileno(), 65536)
            if not piece:
                raise Ended
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def everything(self, kind: str) -> list[dict[str, Any]]:
        """All pages of a list; none of one that the server does not know."""
        items: list[dict[str, Any]] = []
        cursor: dict[str, Any] = {}
        while True:
            answer = self.ask(LISTS[kind], **cursor)
            if "error" in answer:
                return items
            items += answer["result"].get(kind) or []
            if not answer["result"].get("nextCursor"):
                return items
            cursor = {"cursor": answer["result"]["nextCursor"]}


@contextlib.contextmanager
def started(launch: Launch) -> Iterator[Raw]:
    """A process of the server; its last words are in the failure of whatever is done with it."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            launch.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, **launch.environment},
            cwd=launch.folder,
        )
        try:
            yield Raw(process)
        except Exception as error:
            log.seek(0)
            error.add_note(f"{launch.command}: {log.read()[-2000:].decode(errors='replace')}")
            raise
        finally:
            end(process)
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(BrokenPipeError):
                    assert pipe is not None
                    pipe.close()


def observe(launch: Launch, tool: str, arguments: Mapping[str, Any]) -> Observed:
    """What a server offers and answers, in the newest era that it speaks."""
    if _is_modern(launch):
        with started(launch) as server:
            server.meta = {"_meta": _META}
            return _ask_all(server, "modern", tool, arguments)
    with started(launch) as server:
        initialize(server)
        return _ask_all(server, "legacy", tool, arguments)


def _is_modern(launch: Launch) -> bool:
    """Whether a server answers `server/discover`, however slowly it starts; some are silent, and some end."""
    with started(launch) as server, contextlib.suppress(Ended, TimeoutError):
        probe = server.begin("server/discover", _meta=_META)
        server.ask("initialize", **_GREETING)
        answer = server.answer(probe, _GRACE)
        return MODERN in answer.get("result", {}).get("supportedVersions", ())
    return False


def initialize(server: Raw) -> None:
    """Begin a session of the legacy era. Raises: Ended, TimeoutError."""
    answer = server.ask("initialize", **_GREETING)
    assert "result" in answer, answer
    server.send({"jsonrpc": "2.0", "method": "notifications/initialized"})


def _ask_all(server: Raw, era: str, tool: str, arguments: Mapping[str, Any]) -> Observed:
    lists = {kind: server.everything(kind) for kind in LISTS}
    return Observed(era, lists, server.ask("tools/call", name=tool, arguments=dict(arguments)))


async def by_sdk(where: StdioServerParameters | Any, *, legacy: bool) -> dict[str, list[dict[str, Any]]]:
    """All lists as the official SDK's client understands them."""
    async with Client(where, mode="legacy" if legacy else "auto", read_timeout_seconds=PATIENCE) as client:
        known = client.server_capabilities
        return {
            "tools": await _pages(client.list_tools, "tools") if known.tools else [],
            "prompts": await _pages(client.list_prompts, "prompts") if known.prompts else [],
            "resources": await _pages(client.list_resources, "resources") if known.resources else [],
        }


async def _pages(ask: Any, kind: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = await ask(cursor=cursor)
        items += [item.model_dump(mode="json", by_alias=True, exclude_none=True) for item in getattr(page, kind)]
        if not (cursor := page.next_cursor):
            return items


def parameters(launch: Launch) -> StdioServerParameters:
    """The SDK's form of a launch."""
    program, *arguments = launch.command
    environment = {**os.environ, **launch.environment}
    return StdioServerParameters(command=program, args=arguments, env=environment, cwd=launch.folder)


def filled(values: Sequence[str], folder: Path) -> tuple[str, ...]:
    """Words of a command, with the folder in them."""
    return tuple(value.replace("{folder}", str(folder)) for value in values)
