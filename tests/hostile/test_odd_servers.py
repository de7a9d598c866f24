"""Servers with one habit each, as they exist: what ordinary clients can use, the gateway can, and none harms another."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import quote

import pytest

from mcpgateway import config as gateway_config
from tests.support.bridges import bridge, until
from tests.support.locks import free_port
from tests.support.remotes import serving
from tests.support.servers import odd

from .world import World

SETTLED = 60.0  # seconds until a server with a habit is of use, or has a reason
CALL_TIMEOUT = 15.0  # seconds
Transport = Literal["bridge", "remote"]
Answer = Literal["result", "error"]


@dataclass(frozen=True)
class Habit:
    """What is expected of a server with a habit.

    Args:
        name: Its name, a key of `odd.HABITS`.
        argument: What the habit is told.
        echo: Whether `echo` is offered.
        error: A pattern that the row's lastError matches as `REASON: MESSAGE`; empty: there is none.
        call: What a call of `echo` may be answered with.
        transports: Over which the habit exists.
    """

    name: str
    argument: str = ""
    echo: bool = True
    error: str = ""
    call: tuple[Answer, ...] = ("result",)
    transports: tuple[Transport, ...] = get_args(Transport)

    def __str__(self) -> str:
        return f"{self.name}({self.argument[:60]})"


EITHER: tuple[Answer, ...] = ("result", "error")
STDIO: tuple[Transport, ...] = ("bridge",)
NO_OBJECT = "ProtocolError: .*must be an object"
HIDDEN = "ItemsHidden: "
LONG_ERROR = r'{"code":1,"message":"\u202e\u001b[31m' + "x" * 20_000 + '"}'
SAID: tuple[Any, ...] = (
    {"jsonrpc": "2.0", "method": "notifications/message", "params": None},
    {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"_meta": None, "progressToken": {}}},
    {"jsonrpc": "2.0", "id": None, "method": "ping"},
    {"jsonrpc": "2.0", "id": "x", "method": "elicitation/create", "params": []},
    {"jsonrpc": "2.0", "id": "unknown", "result": {}},
    [],
)
REPAIRED = (
    "description-null",
    "schema-absent",
    "schema-empty",
    "schema-any-of",
    "properties-null",
    "output-null",
    "output-without-type",
    "annotations-null",
    "hint-of-text",
    "title-null",
    "meta-null",
    "icons-null",
)


def _each(name: str, *arguments: str, **more: Any) -> list[Habit]:
    return [Habit(name, argument, **more) for argument in arguments]


GROUPS: dict[str, list[Habit]] = {
    "openings": [
        Habit("plain"),
        Habit("byte-order-mark", transports=STDIO),
        Habit("banner", transports=STDIO),
        Habit("slow-start", "2", transports=STDIO),
        Habit("leaves-daemon", transports=STDIO),
        Habit("noisy-log", transports=STDIO),
        Habit("asks-early"),
        Habit("integer-ids"),
        Habit("discover-ends", transports=STDIO),
        Habit("discover-silent"),
        *_each("discover-result", "null", "[]", "5"),
        *_each("discover-error", '{"code":-32601,"message":"?"}', '{"code":1e999}', "null"),
        Habit("discover-error", '{"code":"x","message":null,"data":[]}'),
        Habit("discover-error", '{"code":Infinity}'),
        Habit("carriage-returns"),
        Habit("leading-space"),
    ],
    "handshakes": [
        *_each("version", '"2024-11-05"', '"2024-10-07"', '"2026-07-28"', '"2099-01-01"', "null", "5", '""'),
        *_each("version", r'"1\r\nX-Admin: 1"', r'"\ud83d"', r'"\u202e\u0000"', '"é"', json.dumps("x" * 20_000)),
        Habit("instructions-null"),
        *_each("hello-result", "null", "[]", '"x"', echo=False, error=NO_OBJECT),
        Habit("hello-result", "{}"),
        Habit(
            "hello-error",
            LONG_ERROR,
            echo=False,
            error=r"ProtocolError: it refused initialize: <U\+202E><U\+001B>\[31mx{900,1000}…$",
        ),
        *_each("capabilities", '{"tools":{},"extensions":null}', '{"tools":{},"x":[5]}'),
        *_each("capabilities", "null", '{"tools":null}', '{"extensions":[]}'),
        *_each("capabilities", "[]", "5", echo=False, error=NO_OBJECT),
        Habit("capabilities-absent"),
        Habit("capabilities-null"),
        Habit("capabilities-empty"),
        Habit("indented", echo=False, error="Connecting: no answer yet to ", transports=STDIO),
        Habit("error-null"),
    ],
    "lists": [
        *_each("one-bad-tool", *REPAIRED),
        *_each("one-bad-tool", *sorted(odd.BAD_TOOLS.keys() - set(REPAIRED)), error=HIDDEN),
        Habit("all-bad-tools", error=HIDDEN),
        Habit("odd-names"),
    ],
    "more lists": [
        Habit("many-tools", "300"),
        Habit("odd-schemas"),
        Habit("cursor-empty"),
        Habit("late-tools", "1", transports=STDIO),
        Habit("list-storm"),
        *_each("prompts-result", '{"prompts":null}', "{}", error="ListFailed: prompts/list"),
        Habit("prompts-result", '{"prompts":[null]}', error=HIDDEN),
        *(Habit(name, error="ListFailed: prompts/list failed") for name in ("prompts-absent", "prompts-error")),
        Habit("resources-absent", error="ListFailed: resources/list failed"),
        Habit("resource-nulls"),
        Habit("list-result", '{"tools":[null]}', echo=False, error=HIDDEN),
        *_each(
            "list-result",
            "null",
            "[]",
            "{}",
            '{"tools":null}',
            '{"tools":{}}',
            echo=False,
            error="ProtocolError: tools/list failed: ",
        ),
    ],
    "calls": [
        *(Habit("says-before", json.dumps(message)) for message in SAID),
        Habit("call-result", '{"content":[],"structuredContent":{"ratio":NaN}}', call=("error",)),
        Habit("call-result", r'{"content":[{"type":"text","text":"\ud83d"}]}'),
        *_each("call-result", "null", "[]", "5", '{"content":null}', '{"content":[null]}', '{"_meta":null}', call=EITHER),
        Habit("progress-unasked"),
        Habit("ends-after-call", transports=STDIO),
        Habit("ends-in-call", call=("error",), transports=STDIO),
        Habit("slow-call", "1"),
        Habit("large-call", "2000000"),
        Habit("environment", transports=STDIO),
    ],
}


def test_each_habit_is_in_the_table() -> None:
    assert {habit.name for habits in GROUPS.values() for habit in habits} == odd.HABITS.keys()


@contextlib.contextmanager
def _servers(
    habits: dict[str, Habit], transport: Transport, program: Path, folder: Path
) -> Iterator[list[gateway_config.Server]]:
    """The servers' entries for a configuration, by the names given."""
    command = [sys.executable, odd.__file__]
    with contextlib.ExitStack() as stack:
        if transport == "remote":
            port = free_port()
            stack.enter_context(serving([*command, f"--http={port}"], port, {}))
        servers = []
        for name, habit in habits.items():
            url, addresses = "", tuple[str, ...]()
            if transport == "remote":
                url = f"http://127.0.0.1:{port}/{habit.name}/{quote(habit.argument, safe='')}"
            else:
                running = stack.enter_context(bridge(program, folder, *command, habit.name, habit.argument))
                addresses = (f"127.0.0.1:{running.port}",)
            servers.append(gateway_config.Server(name=name, call_timeout=CALL_TIMEOUT, url=url, addresses=addresses))
        yield servers


class Table:
    """Servers with habits behind the gateway, and what is wrong with them."""

    def __init__(self, world: World, habits: dict[str, Habit]) -> None:
        self._world, self._habits = world, habits

    def offered(self) -> set[str]:
        """The names of all tools."""
        return {tool["name"] for tool in self._world.client.ask("tools/list", {})["result"]["tools"]}

    def unexpected(self) -> dict[str, Any]:
        """The rows that are not as expected (yet)."""
        offered = self.offered()
        rows = {row["name"]: row for row in self._world.gateway.status()["servers"]}
        return {
            str(habit): rows[name] for name, habit in self._habits.items() if not self._fits(habit, name, rows[name], offered)
        }

    @staticmethod
    def _fits(habit: Habit, name: str, row: dict[str, Any], offered: set[str]) -> bool:
        error = row.get("lastError")
        said = f"{error['reason']}: {error['message']}" if error else ""
        is_ready, is_offered = row["state"] == "Ready", f"{name}_echo" in offered
        if habit.error:
            return bool(re.match(habit.error, said)) and is_offered == habit.echo
        return is_offered == habit.echo and (is_ready or (not habit.echo and bool(error)))

    def answered_wrongly(self) -> dict[str, Any]:
        """The calls of `echo` whose response is none of those expected: an error where it is not offered."""
        wrong, offered = {}, self.offered()
        for name, habit in self._habits.items():
            answer = self._world.client.ask("tools/call", {"name": f"{name}_echo", "arguments": {"text": "a"}})
            expected = habit.call if f"{name}_echo" in offered else ("error",)
            if not set(expected) & answer.keys():
                wrong[str(habit)] = answer
        return wrong


@pytest.mark.parametrize("transport", get_args(Transport))
@pytest.mark.parametrize("group", GROUPS)
def test_a_server_with_a_habit_is_of_use_or_says_why_not_and_harms_no_other(
    world: World, bridge_program: Path, tmp_path: Path, group: str, transport: Transport
) -> None:
    chosen = [habit for habit in GROUPS[group] if transport in habit.transports]
    habits = {f"odd-{number}": habit for number, habit in enumerate(chosen)}
    table = Table(world, habits)
    with _servers(habits, transport, bridge_program, tmp_path) as servers:
        world.configure(*servers)
        with contextlib.suppress(AssertionError):  # what is wrong is shown below
            until("every server to be as expected", lambda: not table.unexpected(), SETTLED)
        assert not (wrong := table.unexpected()), json.dumps(wrong, indent=1)
        world.assert_honest_unharmed()
        assert not (wrong := table.answered_wrongly()), json.dumps(wrong, indent=1)
        world.assert_honest_unharmed()
        world.configure()
