"""The Tasks extension, and what servers say of other extensions."""

from __future__ import annotations

from typing import Any

import pytest

from mcpgateway.access.keyring import KeyRing
from mcpgateway.protocol import jsonrpc
from mcpgateway.protocol.jsonrpc import ProtocolError
from mcpgateway.requests.tasks import EXTENSION, Tasks
from tests.gateway.conftest import World
from tests.gateway.test_input_required import headers, message

DECLARED: dict[str, Any] = {"extensions": {EXTENSION: {}}}


def ask(world: World, method: str, *, capabilities: Any = DECLARED, **params: Any) -> dict[str, Any]:
    body = message(method, capabilities=capabilities, **params)
    sent = headers(body) | ({"Mcp-Name": params["taskId"]} if isinstance(params.get("taskId"), str) else {})
    answer: dict[str, Any] = world.gateway.post(body, headers=sent).json()
    return answer


def test_extensions_of_the_servers_are_offered_as_they_are(world: World) -> None:
    found = ask(world, "server/discover")["result"]["capabilities"]["extensions"]
    assert found == {EXTENSION: {}, "vendor/x": {"n": 1.50}}


def test_a_task_is_asked_for_by_the_name_that_the_gateway_gives_it(world: World) -> None:
    created = ask(world, "tools/call", name="new_echo", arguments={"as": "task"})["result"]
    name = created["taskId"]
    assert (created["resultType"], created["status"], name != "t-1") == ("task", "working", True)
    got = ask(world, "tasks/get", taskId=name)["result"]
    assert (got["taskId"], got["status"], got["result"]["content"][0]["text"]) == (name, "completed", "done")
    for method in ("tasks/update", "tasks/cancel"):
        assert ask(world, method, taskId=name)["result"] == {"resultType": "complete"}


@pytest.mark.parametrize("name", ["t-1", "x.y.z", ""])
def test_a_made_up_task_is_unknown(world: World, name: str) -> None:
    assert ask(world, "tasks/get", taskId=name)["error"]["code"] == -32602


def test_who_does_not_know_tasks_is_told_what_is_missing(world: World) -> None:
    error = ask(world, "tasks/get", taskId="x", capabilities={})["error"]
    assert (error["code"], error["data"]) == (-32021, {"requiredCapabilities": DECLARED})


def test_a_task_belongs_to_its_principal_and_outlives_the_process() -> None:
    name = Tasks(KeyRing({"k": b"k" * 32})).name("s", "t", principal="me")
    again = Tasks(KeyRing({"j": b"j" * 32, "k": b"k" * 32}))
    assert again.find(name, principal="me") == ("s", "t")
    with pytest.raises(ProtocolError) as caught:
        again.find(name, principal="you")
    assert caught.value.code == jsonrpc.INVALID_PARAMS
