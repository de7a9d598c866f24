"""Every feature of the protocol between clients and servers of both eras; what is found makes docs/protocol-matrix.md."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from tests.gateway.conftest import World
from tests.gateway.test_input_required import FORM, headers, message
from tests.support.bridges import until
from tests.support.gateways import TOKEN
from tests.support.paths import ROOT
from tests.support.waiting import PATIENCE

DOCUMENT = ROOT / "docs" / "protocol-matrix.md"
ERAS = ("legacy", "modern")
ASKABLE: dict[str, Any] = {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}}
found: dict[tuple[str, str, str], str] = {}


class Peer:
    """A client of one era, talking to the server of one era."""

    def __init__(self, world: World, era: str, server: str) -> None:
        self.world, self.era, self.server = world, era, server
        self.prefix = {"legacy": "old", "modern": "new"}[server]
        self.headers = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json, text/event-stream"}
        self.opened: dict[str, Any] = {}
        if era == "legacy":
            params = {"protocolVersion": "2025-11-25", "capabilities": ASKABLE, "clientInfo": {"name": "m", "version": "1"}}
            answer = world.gateway.post({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})
            self.opened = answer.json()["result"]
            self.headers["Mcp-Session-Id"] = answer.headers["mcp-session-id"]
        else:
            self.opened = self.ask("server/discover")["result"]

    def body(self, method: str, params: dict[str, Any], *, level: str | None = None) -> tuple[dict[str, Any], dict[str, str]]:
        meta = params.pop("_meta", {})
        if self.era == "legacy":
            return {
                "jsonrpc": "2.0",
                "id": 7,
                "method": method,
                "params": params | ({"_meta": meta} if meta else {}),
            }, self.headers
        body = message(method, id=7, capabilities=ASKABLE, level=level, **params)
        body["params"]["_meta"] |= meta
        return body, headers(body)

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """One request and its answer."""
        body, sent = self.body(method, params)
        answer: dict[str, Any] = self.world.gateway.post(body, headers=sent).json()
        return answer

    @contextmanager
    def stream(self, method: str, level: str | None = None, **params: Any) -> Iterator[Iterator[dict[str, Any]]]:
        """One request and everything that comes on its response."""
        body, sent = self.body(method, params, level=level)
        with httpx2.stream("POST", self.world.gateway.url, json=body, headers=sent, timeout=PATIENCE) as response:
            yield (json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: {"))

    @contextmanager
    def hearing(self, **wanted: Any) -> Iterator[Iterator[dict[str, Any]]]:
        """What is told outside of requests: the GET stream, or a stream that listens."""
        if self.era == "modern":
            with self.stream("subscriptions/listen", notifications=wanted) as messages:
                assert next(messages)["method"] == "notifications/subscriptions/acknowledged"
                yield messages
            return
        with httpx2.stream("GET", self.world.gateway.url, headers=self.headers, timeout=PATIENCE) as response:
            for uri in wanted.get("resourceSubscriptions", ()):
                assert "result" in self.ask("resources/subscribe", uri=uri)
            yield (json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: {"))
            for uri in wanted.get("resourceSubscriptions", ()):
                assert "result" in self.ask("resources/unsubscribe", uri=uri)

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        return self.ask("tools/call", name=f"{self.prefix}_{tool}", arguments=arguments)

    def answered(self, question: str, params: dict[str, Any], answer: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """A tool asks: what the client sees of the question, and what the server gets of the answer."""
        arguments = {"method": question, "params": params}
        name = f"{self.prefix}_ask"
        if self.era == "modern":
            result = self.ask("tools/call", name=name, arguments=arguments)["result"]
            ((key, shown),) = result["inputRequests"].items()
            more = {"inputResponses": {key: answer}, "requestState": result["requestState"]}
            last = self.ask("tools/call", name=name, arguments=arguments, **more)
            return shown, json.loads(last["result"]["content"][0]["text"])
        with self.stream("tools/call", name=name, arguments=arguments) as messages:
            shown = next(messages)
            reply = {"jsonrpc": "2.0", "id": shown["id"], "result": answer}
            assert self.world.gateway.post(reply, headers=self.headers).status_code == 202
            return shown, json.loads(next(messages)["result"]["content"][0]["text"])


def tools(peer: Peer) -> str:
    names = {tool["name"] for tool in peer.ask("tools/list")["result"]["tools"]}
    assert f"{peer.prefix}_echo" in names
    assert peer.call("echo", text="ü")["result"]["content"][0]["text"] == '{"text": "ü"}'
    return "yes"


def prompts(peer: Peer) -> str:
    assert f"{peer.prefix}_greet" in {prompt["name"] for prompt in peer.ask("prompts/list")["result"]["prompts"]}
    got = peer.ask("prompts/get", name=f"{peer.prefix}_greet", arguments={"whom": "you"})["result"]
    assert got["messages"][0]["content"]["text"] == "Greet you"
    return "yes"


def resources(peer: Peer) -> str:
    uri = f"memo://{peer.server}/all"
    assert uri in {resource["uri"] for resource in peer.ask("resources/list")["result"]["resources"]}
    assert peer.ask("resources/read", uri=uri)["result"]["contents"][0]["text"] == f"text of {uri}"
    return "yes"


def templates(peer: Peer) -> str:
    listed = peer.ask("resources/templates/list")["result"]["resourceTemplates"]
    assert f"memo://{peer.server}/note/{{id}}" in {template["uriTemplate"] for template in listed}
    uri = f"memo://{peer.server}/note/9"
    assert peer.ask("resources/read", uri=uri)["result"]["contents"][0]["uri"] == uri
    return "yes"


def missing_resource(peer: Peer) -> str:
    code = peer.ask("resources/read", uri=f"memo://{peer.server}/nothing/of/that/name")["error"]["code"]
    assert code == (-32602 if peer.era == "modern" else -32002)
    return f"yes, {code}"


def completions(peer: Peer) -> str:
    ref = {"type": "ref/prompt", "name": f"{peer.prefix}_greet"}
    got = peer.ask("completion/complete", ref=ref, argument={"name": "whom", "value": "x"})
    assert got["result"]["completion"]["values"] == ["greet:x!"]
    return "yes"


def progress(peer: Peer) -> str:
    with peer.stream("tools/call", name=f"{peer.prefix}_progress", arguments={}, _meta={"progressToken": "mine"}) as messages:
        seen = [next(messages)["params"] for _ in range(2)]
        assert [(step["progressToken"], step["progress"]) for step in seen] == [("mine", 1), ("mine", 2)]
        assert "result" in next(messages)
    return "yes"


def cancellation(peer: Peer) -> str:
    body, sent = peer.body("tools/call", {"name": f"{peer.prefix}_slow", "arguments": {"seconds": 2}})
    with pytest.raises(httpx2.TimeoutException):
        httpx2.post(peer.world.gateway.url, json=body, headers=sent, timeout=0.3)
    if peer.era == "legacy":  # there, going away is not cancelling
        cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
        assert peer.world.gateway.post(cancel, headers=peer.headers).status_code == 202
    assert "result" in peer.call("echo") or "result" in peer.call("echo")
    return "by notification" if peer.era == "legacy" else "by closing the response"


def logging(peer: Peer) -> str:
    name, arguments = f"{peer.prefix}_log", {"level": "error", "data": {"n": 1}}
    if peer.era == "legacy":
        assert peer.ask("logging/setLevel", level="warning")["result"] == {}
    level = "warning" if peer.era == "modern" else None
    with peer.stream("tools/call", level=level, name=name, arguments=arguments) as messages:
        assert next(messages)["params"]["data"] == {"n": 1}
        assert "result" in next(messages)
    return "by level of the session" if peer.era == "legacy" else "by level of the request"


def subscriptions(peer: Peer) -> str:
    uri = f"memo://{peer.server}/all"
    with peer.hearing(resourceSubscriptions=[uri]) as messages:
        told = next(messages)
        assert (told["method"], told["params"]["uri"]) == ("notifications/resources/updated", uri)
    return "resources/subscribe" if peer.era == "legacy" else "subscriptions/listen"


def changed_lists(peer: Peer) -> str:
    def listed() -> bool:
        return f"{peer.prefix}_more" in {tool["name"] for tool in peer.ask("tools/list")["result"]["tools"]}

    with peer.hearing(toolsListChanged=True) as messages:
        for there in (True, False):
            peer.call("echo", toggle=True)
            assert next(messages)["method"] == "notifications/tools/list_changed"
            assert listed() is there
    return "on the GET stream" if peer.era == "legacy" else "subscriptions/listen"


def elicitation_form(peer: Peer) -> str:
    answer = {"action": "accept", "content": {"name": "ü"}}
    shown, got = peer.answered("elicitation/create", FORM, answer)
    form = {**FORM, "message": f"[{peer.prefix}] {FORM['message']}"}
    assert (shown["method"], shown["params"], got) == ("elicitation/create", form, answer)
    return "a request" if peer.era == "legacy" else "input_required"


def elicitation_url(peer: Peer) -> str:
    params = {"mode": "url", "url": "https://example.com/", "message": "m", "elicitationId": "e"}
    if peer.server == "modern":
        del params["elicitationId"]
    shown, got = peer.answered("elicitation/create", params, {"action": "accept"})
    assert shown["params"]["url"] == "https://example.com/"
    assert ("elicitationId" in shown["params"]) or peer.era == "modern"
    assert got == {"action": "accept"}
    return "a request" if peer.era == "legacy" else "input_required"


def sampling(peer: Peer) -> str:
    asked = {"messages": [{"role": "user", "content": {"type": "text", "text": "hi"}}], "maxTokens": 5}
    answer = {"role": "assistant", "content": {"type": "text", "text": "hello"}, "model": "m"}
    shown, got = peer.answered("sampling/createMessage", asked, answer)
    assert (shown["params"], got) == (asked, answer)
    return "a request" if peer.era == "legacy" else "input_required"


def roots(peer: Peer) -> str:
    answer = {"roots": [{"uri": "file:///home"}]}
    assert peer.answered("roots/list", {}, answer)[1] == answer
    return "a request" if peer.era == "legacy" else "input_required"


def pagination(peer: Peer) -> str:
    assert "nextCursor" not in peer.ask("tools/list")["result"]
    assert peer.ask("tools/list", cursor="made up")["error"]["code"] == -32602
    return "own cursors, by bytes"


def ping(peer: Peer) -> str:
    answer = peer.ask("ping")
    if peer.era == "legacy":
        assert answer["result"] == {}
        return "yes"
    assert answer["error"]["code"] == -32601
    return "not in this era"


def unknown_fields(peer: Peer) -> str:
    tool = next(tool for tool in peer.ask("tools/list")["result"]["tools"] if tool["name"] == f"{peer.prefix}_echo")
    assert tool["x-vendor"] == {"n": 1.50}
    result = peer.call("echo", anything={"deep": [1, None]})["result"]
    assert (result["x-vendor"], json.loads(result["content"][0]["text"])) == ([1.50, "ü"], {"anything": {"deep": [1, None]}})
    return "yes"


def unknown_methods(peer: Peer) -> str:
    assert peer.ask("vendor/method")["error"]["code"] == -32601
    return "-32601; with one server, passed on"


FEATURES: dict[str, Callable[[Peer], str]] = {
    "tools": tools,
    "prompts": prompts,
    "resources": resources,
    "resource templates": templates,
    "a resource that is not there": missing_resource,
    "completions": completions,
    "progress": progress,
    "cancellation": cancellation,
    "logging": logging,
    "resource subscriptions": subscriptions,
    "changed lists": changed_lists,
    "elicitation, form": elicitation_form,
    "elicitation, URL": elicitation_url,
    "sampling": sampling,
    "roots": roots,
    "pagination": pagination,
    "ping": ping,
    "unknown fields, as they are": unknown_fields,
    "unknown methods": unknown_methods,
}


@pytest.mark.parametrize("server", ERAS)
@pytest.mark.parametrize("client", ERAS)
@pytest.mark.parametrize("feature", list(FEATURES))
def test_a_feature_between(world: World, feature: str, client: str, server: str) -> None:
    until("both servers", lambda: {row["state"] for row in world.gateway.status()["servers"]} == {"Ready"})
    found[feature, client, server] = FEATURES[feature](Peer(world, client, server))


HEAD = """# Protocol matrix

Generated from the results of `tests/gateway/test_matrix.py`; `REFRESH_GOLDEN=true` rewrites it. *legacy* is 2025-11-25 and
earlier, *modern* is 2026-07-28. Each cell was seen through the gateway and a real bridge.

"""


def test_the_document_says_what_was_found() -> None:
    """All of it after a run of all; of a part, that part."""
    combinations = [(client, server) for client in ERAS for server in ERAS]
    header = "| client → server | " + " | ".join(f"{client} → {server}" for client, server in combinations) + " |"
    complete = [name for name in FEATURES if all((name, *pair) in found for pair in combinations)]
    rows = [f"| {name} | " + " | ".join(found[name, *pair] for pair in combinations) + " |" for name in complete]
    if os.environ.get("REFRESH_GOLDEN") and len(complete) == len(FEATURES):
        DOCUMENT.write_text(HEAD + "\n".join([header, "|---" * (len(combinations) + 1) + "|", *rows]) + "\n")
    written = DOCUMENT.read_text()
    assert written.startswith(HEAD + header)
    lines = written.removeprefix(HEAD).splitlines()[2:]
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines] == list(FEATURES)
    assert set(rows) <= set(lines)
