"""What real clients report of servers, directly and through the gateway: the servers, and the comparison."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.gateway.conftest import server
from tests.support import clients, npm, remotes, reports
from tests.support.bridges import bridge
from tests.support.clients import Plan, Way
from tests.support.gateways import TOKEN, Gateway, configuration, gateway
from tests.support.reports import Report

ATTEMPTS = 3
UNASKED = ("Python SDK 1.9", "TypeScript SDK 1.12")  # clients that no server can ask for a form


@dataclass(frozen=True)
class Served:
    """A server: what it is, how it is started, what is asked of it, and some of what it answers."""

    title: str
    era: str
    stdio: Callable[[], list[str]]
    http: Callable[[str], AbstractContextManager[str]]  # at a path
    paths: tuple[str, ...]
    plan: Plan
    answers: dict[str, str]  # the text of a tool's first answer
    forms: tuple[str, ...]  # tools that ask for a form
    sessions: tuple[str, ...] = ()  # tools whose answer depends on the session


def ask(name: str, /, **arguments: Any) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


OLD = Served(
    title="Python SDK 1",
    era="legacy",
    stdio=remotes.fastmcp1_command,
    http=remotes.fastmcp1,
    paths=("/mcp", "/sse"),
    plan=Plan(
        calls=[ask("work", steps=3), ask("count"), ask("count"), ask("paint"), ask("think"), ask("work", steps="many")],
        prompts=[ask("greet", whom="Zoë")],
        resources=["memo://fastmcp1/all", "ui://fastmcp1/count"],
    ),
    answers={"work": "3 steps", "count": "1", "paint": "accept: blue", "think": "42"},
    forms=("paint",),
    sessions=("count",),
)
EVERYTHING = Served(
    title="server-everything",
    era="legacy",
    stdio=lambda: [*npm.program("@modelcontextprotocol/server-everything"), "stdio"],
    http=lambda path: remotes.everything("sse" if path == "/sse" else "streamableHttp"),
    paths=("/mcp", "/sse"),
    plan=Plan(
        calls=[
            ask("echo", message="grüße"),
            ask("get-sum", a=1, b=2.5),
            ask("get-annotated-message", messageType="error", includeImage=True),
            ask("get-structured-content", location="Chicago"),
            ask("get-resource-links", count=2),
            ask("trigger-long-running-operation", duration=0.3, steps=3),
            ask("trigger-sampling-request", prompt="What is 6 times 7?"),
            ask("trigger-elicitation-request"),
            ask("get-sum", a="x"),
        ],
        prompts=[ask("simple-prompt"), ask("args-prompt", city="Zürich")],
        resources=["demo://resource/static/document/features.md"],
        level="debug",
    ),
    answers={"echo": "Echo: grüße", "get-sum": "The sum of 1 and 2.5 is 3.5."},
    forms=("trigger-elicitation-request",),
)
BOTH = Served(
    title="Python SDK 2",
    era="modern",
    stdio=lambda: [sys.executable, str(remotes.FIXTURE)],
    http=lambda _: remotes.fixture(),
    paths=("/mcp",),
    plan=Plan(
        calls=[
            ask("test_simple_text"),
            ask("test_multiple_content_types"),
            ask("test_audio_content"),
            ask("test_error_handling"),
            ask("test_tool_with_progress"),
            ask("test_tool_with_logging"),
            ask("test_sampling", prompt="What is 6 times 7?"),
            ask("test_elicitation", message="Who?"),
            ask("json_schema_2020_12_tool", name="Zoë", phone="1"),
            ask("test_x_mcp_header", region="eu"),
        ],
        level="debug",
    ),
    answers={"test_simple_text": "This is a simple text response for testing.", "test_sampling": "LLM response: 42"},
    forms=("test_elicitation",),
)
SERVERS = {"old": OLD, "everything": EVERYTHING, "both": BOTH}


@dataclass
class World:
    """The servers, each directly and behind a gateway of its own, from when a test asks for one."""

    bridge: Path
    folder: Path
    open: ExitStack
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _gateways: dict[str, Gateway] = field(default_factory=dict)
    _urls: dict[tuple[str, str], str] = field(default_factory=dict)

    def direct(self, name: str, path: str) -> str:
        """The server's own URL."""
        with self._lock:
            if (name, path) not in self._urls:
                self._urls[name, path] = self.open.enter_context(SERVERS[name].http(path))
            return self._urls[name, path]

    def gateway(self, name: str) -> Gateway:
        """The gateway in front of the same program over stdio."""
        with self._lock:
            if name not in self._gateways:
                self._gateways[name] = self._start(name)
            return self._gateways[name]

    def _start(self, name: str) -> Gateway:
        folder = self.folder / name
        folder.mkdir()
        flags = (f"--env=PATH={npm.environment()['PATH']}",)
        running = self.open.enter_context(bridge(self.bridge, folder, *SERVERS[name].stdio(), flags=flags))
        ours = self.open.enter_context(gateway(folder, configuration(server(name, running), folder=folder)))
        ours.await_ready()
        return ours


@dataclass(frozen=True)
class Comparison:
    """What a client has reported of a server, in short."""

    versions: tuple[str, str]  # directly and through the gateway; empty if the client does not say
    values: int
    differences: list[str]
    texts: dict[str, str]  # through the gateway: of each tool's first answer

    @property
    def only_notifications(self) -> bool:
        """Whether nothing else differs."""
        return bool(self.differences) and all(line.startswith(("progress", "logs")) for line in self.differences)

    def cell(self) -> str:
        """The cell of the table."""
        agreed = " → ".join(filter(None, self.versions)) or "as its SDK"
        return f"{agreed}: {self.values} values, {len(self.differences)} differ"


def suitable(way: Way) -> list[str]:
    """The servers that are reached that way."""
    return [name for name, served in SERVERS.items() if way.path in served.paths]


def compare(world: World, folder: Path, way: Way, name: str) -> Comparison:
    """Run a client twice; `folder` is one of `clients.scripts`.

    Some SDKs drop a notification that they read at once with the reply after it: where only those differ, it is run again.
    """
    for _ in range(ATTEMPTS):
        comparison = _compare(world, folder, way, name)
        if not comparison.only_notifications:
            break
    return comparison


def _compare(world: World, folder: Path, way: Way, name: str) -> Comparison:
    served, plan = SERVERS[name], plan_for(way, SERVERS[name])
    direct = clients.report(way, plan, world.direct(name, way.path), TOKEN, folder)
    url = world.gateway(name).url.removesuffix("/mcp") + way.path
    through = clients.report(way, plan.behind(name), url, TOKEN, folder)
    return Comparison(
        (direct["version"], through["version"]),
        sum(1 for _ in reports.values(direct)),
        reports.differences(direct, through, server=name, eras=way.modern != (served.era == "modern")),
        first_texts(plan, through),
    )


def plan_for(way: Way, served: Served) -> Plan:
    """The server's plan without what this client cannot be asked, and, in the era without sessions, what depends on them."""
    without = (*(served.forms if way.client in UNASKED else ()), *(served.sessions if way.modern else ()))
    return replace(served.plan, calls=[call for call in served.plan.calls if call["name"] not in without])


def first_texts(plan: Plan, report: Report) -> dict[str, Any]:
    """By tool, the text of its first answer; a client may have made some of the calls only."""
    answered = list(zip(plan.calls, report["called"], strict=False))
    return {call["name"]: result["content"][0].get("text") for call, result in reversed(answered) if "content" in result}
