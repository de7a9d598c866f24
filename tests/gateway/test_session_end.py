"""The end of a session: nothing in the gateway keeps its id, whatever it has used before."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any

import pytest

from mcpgateway.gateway import Gateway, Settings, start
from mcpgateway.protocol import versions
from mcpgateway.protocol.exchange import Headers, RequestHeaders
from mcpgateway.streams import resource_subscriptions
from mcpgateway.streams.process_users import ProcessUsers
from tests.gateway.conftest import server
from tests.support.bridges import ECHO, bridge
from tests.support.gateways import TOKEN, configuration, write_config
from tests.support.waiting import PATIENCE

CAPABILITIES: dict[str, Any] = {"elicitation": {}, "roots": {}}
FORM = {"message": "Your name?", "requestedSchema": {"type": "object", "properties": {}}}


class Posted:
    """One request without a connection; what is answered is kept."""

    offered = versions.OFFERED_LEGACY
    takes_streams = True

    def __init__(self, headers: RequestHeaders, message: Any) -> None:
        fixed = {b"host": b"localhost", b"content-type": b"application/json", b"authorization": b"Bearer " + TOKEN.encode()}
        self.headers: RequestHeaders = {**fixed, **headers}
        self.body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.on_disconnect: Callable[[], None] | None = None
        self.told: list[Any] = []
        self.response_headers: Headers = []
        self.answered = asyncio.Event()
        self.answer = b""

    def reply(self, status: int, body: bytes = b"", headers: Headers = [], *, event: str = "") -> None:  # noqa: B006 - never changed
        self.answer, self.response_headers = body, headers
        self.answered.set()

    def notify(self, message: bytes, event: str = "") -> bool:
        self.told += [json.loads(message)] if message else []
        return True


def reached(root: object) -> Iterator[tuple[str, object]]:
    """All that can be reached from an object of the gateway, with the way to it; not the tombstones of ended sessions."""
    seen: set[int] = set()
    todo: deque[tuple[str, object]] = deque([("", root)])
    while todo:
        path, value = todo.popleft()
        if id(value) in seen or path.endswith("._ended"):
            continue
        if not isinstance(value, str | bytes):  # one that many keep is seen at each of them
            seen.add(id(value))
        yield path, value
        todo.extend((f"{path}{step}", member) for step, member in parts(value))


def parts(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for key, member in value.items():
            yield "<key>", key
            yield f"[{key!r:.20}]", member
    elif isinstance(value, list | tuple | set | frozenset | deque):
        yield from (("[]", member) for member in value)
    elif isinstance(value, partial):
        yield from (("<partial>", member) for member in (value.func, *value.args, *value.keywords.values()))
    elif isinstance(value, MethodType):
        yield "<self>", value.__self__
    elif isinstance(value, FunctionType):
        yield from (("<cell>", cell.cell_contents) for cell in value.__closure__ or ())
    elif type(value).__module__.startswith("mcpgateway"):
        yield from ((f".{name}", member) for name, member in getattr(value, "__dict__", {}).items())
        names = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
        yield from ((f".{name}", getattr(value, name)) for name in names if hasattr(value, name))


def holders(root: object, key: str) -> list[str]:
    """The ways to what contains a session's id."""
    return [
        path
        for path, value in reached(root)
        if (isinstance(value, str) and key in value) or (isinstance(value, bytes) and key.encode() in value)
    ]


async def condition(what: str, holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.05)


class Client:
    """A legacy client of a gateway in this process."""

    def __init__(self, gateway: Gateway) -> None:
        self.router = gateway.router
        self.headers: dict[bytes, bytes] = {}

    def begin(self, method: str, **params: Any) -> Posted:
        """Send a request."""
        posted = Posted(self.headers, {"id": method, "method": method, "params": params})
        self.router.handle(posted)
        return posted

    async def post(self, method: str, **params: Any) -> Posted:
        """Send a request, and wait for its answer."""
        posted = self.begin(method, **params)
        async with asyncio.timeout(PATIENCE):
            await posted.answered.wait()
        assert b'"result"' in posted.answer, posted.answer
        return posted

    async def open(self) -> str:
        """Begin a session. Returns: its id."""
        info = {"name": "t", "version": "1"}
        opened = await self.post("initialize", protocolVersion="2025-11-25", capabilities=CAPABILITIES, clientInfo=info)
        self.headers = {b"mcp-session-id": dict(opened.response_headers)[b"mcp-session-id"]}
        return self.router.admission.session({**opened.headers, **self.headers}, "dev").id


async def use_everything(client: Client) -> Posted:
    """Let all that keeps something by session keep it. Returns: a call in flight, for which the client is being asked."""
    await client.post("logging/setLevel", level="debug")
    for name in ("own", "ours", "shared"):
        await client.post("tools/call", name=f"{name}_echo", arguments={})
        await client.post("tools/call", name=f"{name}_progress", arguments={}, _meta={"progressToken": 1})
    await client.post("resources/subscribe", uri="memo://modern/all")
    asked = client.begin("tools/call", name="own_ask", arguments={"method": "elicitation/create", "params": FORM})
    await condition("the client to be asked", lambda: bool(asked.told))
    return asked


@pytest.mark.anyio
async def test_nothing_keeps_the_id_of_a_session_that_is_over(bridge_program: Path, tmp_path: Path) -> None:
    with (
        bridge(bridge_program, tmp_path, *ECHO, "legacy") as own,
        bridge(bridge_program, tmp_path, *ECHO, "legacy") as ours,
        bridge(bridge_program, tmp_path, *ECHO, "modern") as shared,
    ):
        servers = (server("own", own), server("ours", ours, isolation="Principal"), server("shared", shared))
        write_config(tmp_path, configuration(*servers, folder=tmp_path))
        gateway = await start(Settings(config=tmp_path / "config.json"))
        gateway.configure(gateway.reading)
        router = gateway.router
        await condition("the servers", lambda: all(backend.snapshot.available for backend in router.backends.values()))
        await condition("the start to be over", lambda: router.startup.over)
        client = Client(gateway)
        key = await client.open()
        asked = await use_everything(client)
        stream, _ = router.streams.open(key)
        kept = {type(store).__name__ for store in router.session_state.stores if store.holds(key)}
        assert kept >= {"ActiveCalls", "OpenQuestions", "ResourceSubscriptions", "SessionStreams", "LogLevels", "ProcessUsers"}
        assert len(holders(gateway, key)) > 10, holders(gateway, key)
        router.session_state.end(router.admission.session({**client.headers}, "dev"))
        assert asked.answered.is_set()
        assert b"the session has ended" in asked.answer
        assert stream.done
        assert [type(store).__name__ for store in router.session_state.stores if store.holds(key)] == []
        del asked, stream, client
        await condition("its processes to end", lambda: not holders(gateway, key))
        await gateway._close()


@pytest.mark.anyio
async def test_a_session_subscribes_to_so_many_resources(
    bridge_program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource_subscriptions, "MAX_RESOURCES", 3)
    with bridge(bridge_program, tmp_path, *ECHO, "modern") as shared:
        write_config(tmp_path, configuration(server("shared", shared), folder=tmp_path))
        gateway = await start(Settings(config=tmp_path / "config.json"))
        gateway.configure(gateway.reading)
        await condition("the start to be over", lambda: gateway.router.startup.over)
        clients = [Client(gateway), Client(gateway)]
        for client in clients:
            await client.open()
            for number in range(3):
                await client.post("resources/subscribe", uri=f"memo://modern/note/{number}")
        refused = clients[0].begin("resources/subscribe", uri="memo://modern/note/9")
        error = json.loads(refused.answer)["error"]
        assert (error["code"], "has subscribed to 3 resources" in error["message"]) == (-32602, True)
        await clients[0].post("resources/unsubscribe", uri="memo://modern/note/0")
        await clients[0].post("resources/subscribe", uri="memo://modern/note/9")
        await gateway._close()


def test_a_reference_that_is_left_would_be_seen() -> None:
    """The search itself: it finds a key in the stores of a router that has one."""
    users = ProcessUsers()
    users.add("the session", "the process")
    assert holders(users, "the session")
    users.forget("the session")
    assert not holders(users, "the session")
