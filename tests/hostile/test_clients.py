"""Whatever a client sends in either era: it gets one answer of its own, and no other client is harmed."""

from __future__ import annotations

import contextlib
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import Scale
from tests.support.gateways import MODERN

from . import messages
from .messages import Era, Message, Spoilt
from .test_servers import times
from .world import BRIDGES, Client, World, response_of, strict

SERVER = "target"  # it answers the same whatever it is asked
TOOL = f"{SERVER}_t"
PROMPT = f"{SERVER}_p"
URI = "note://all"
INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"roots": {"listChanged": True}, "sampling": {}, "elicitation": {"form": {}}, "experimental": {"x": {}}},
    "clientInfo": {"name": "c", "version": "1", "title": "C"},
}
BOTH: dict[str, dict[str, Any]] = {
    "tools/call": {"name": TOOL, "arguments": {"n": 1}},
    "tools/list": {"cursor": None},
    "prompts/list": {},
    "prompts/get": {"name": PROMPT, "arguments": {"whom": "x"}},
    "resources/list": {},
    "resources/templates/list": {},
    "resources/read": {"uri": URI},
    "completion/complete": {
        "ref": {"type": "ref/prompt", "name": PROMPT},
        "argument": {"name": "whom", "value": "a"},
        "context": {"arguments": {}},
    },
    "tasks/get": {"taskId": "t-1"},
    "tasks/cancel": {"taskId": "t-1"},
    "notifications/cancelled": {"requestId": "@ID@", "reason": "?"},
    "notifications/progress": {"progressToken": 1, "progress": 1, "total": 2},
}
ONLY: dict[Era, dict[str, dict[str, Any]]] = {
    "legacy": {
        "initialize": INITIALIZE,
        "ping": {},
        "logging/setLevel": {"level": "error"},
        "resources/subscribe": {"uri": URI},
        "resources/unsubscribe": {"uri": URI},
        "notifications/initialized": {},
        "notifications/roots/list_changed": {},
    },
    "modern": {
        "server/discover": {},
        "tools/call": {
            "name": TOOL,
            "arguments": {"n": 1},
            "inputResponses": {"q": {"action": "accept", "content": {"name": "x"}}},
            "requestState": "s",
        },
    },
}
META: dict[Era, dict[str, Any]] = {
    "legacy": {"progressToken": "t", "vendor/x": 1},
    "modern": {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
        "io.modelcontextprotocol/clientInfo": {"name": "c", "version": "1"},
        "io.modelcontextprotocol/logLevel": "error",
        "progressToken": "t",
    },
}
STATUSES = {200, 202, 400, 404, 406, 413, 415}


def _sent(era: Era) -> list[Message]:
    found = []
    for method, params in [*BOTH.items(), *ONLY[era].items()]:
        id = {} if method.startswith("notifications/") else {"id": 1}
        found.append(Message(method, {"jsonrpc": "2.0", **id, "method": method, "params": {**params, "_meta": META[era]}}))
    answers = ({"result": {"action": "accept", "content": {"x": 1}}}, {"error": {"code": -1, "message": "no", "data": {}}})
    return found + [Message("", {"jsonrpc": "2.0", "id": "g-1", **answer}) for answer in answers]


@pytest.mark.parametrize("era", get_args(Era))
def test_a_spoilt_message_of_a_client_gets_one_answer_and_harms_nobody(world: World, scale: Scale, era: Era) -> None:
    client = Client(world.gateway.port)
    server = msgspec.structs.replace(world.behind_bridge(BRIDGES.index("legacy")), name=SERVER, call_timeout=10.0)
    world.configure(server)
    world.gateway.await_ready()

    @times(scale(150, 10_000))
    @given(spoilt=messages.spoilt(_sent(era)), named=st.booleans())
    def run(spoilt: Spoilt, named: bool) -> None:
        if era == "legacy":
            headers = client.session or client.open_session()
        else:
            headers = {"MCP-Protocol-Version": MODERN}
            if named and spoilt.method:
                headers |= {"Mcp-Method": spoilt.method, "Mcp-Name": TOOL}
        response, raw = client.post(spoilt.line.replace(b"@ID@", b"7"), headers)
        assert response.status in STATUSES, (response.status, raw[:300])
        if (response.headers.get("content-type") or "").startswith("application/json") and raw:
            assert strict(raw)["jsonrpc"] == "2.0"
        elif response.status == 200:
            response_of(response, raw, 1)
        said = client.ask("tools/call", {"name": TOOL, "arguments": {"n": 2}}, era)  # on the same connection and session
        assert said["result"]["structuredContent"] == {"x": 1.5}, said

    with contextlib.closing(client):
        run()
    world.assert_honest_unharmed()
