"""Every message that a server may send, and the ways to spoil one: any member, at any depth, replaced by any JSON or none at all.

Source: MCP specification 2025-11-25 and 2026-07-28, schema; JSON-RPC 2.0 sections 4 and 5.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from hypothesis import strategies as st

from tests.support.servers import scripted

Era = Literal["legacy", "modern"]
Path = tuple[str | int, ...]

_PLACE = "@@HERE@@"
META = {"vendor/x": 1}

# Values that programs have broken on: out of range, half an emoji, no JSON, too deep, too long, of the wrong type.
HOSTILE: tuple[bytes, ...] = (
    b"null",
    b"true",
    b"[]",
    b"{}",
    b'""',
    b"0",
    b"-1",
    b"1e999",
    b"-1e999",
    b"1.7976931348623157e308",
    b"1" * 5_000,
    b"1.0",
    b"9007199254740993",
    b"NaN",
    b"-Infinity",
    rb'"\ud83d"',
    rb'"\udc00\ud800"',
    rb'"\u0000"',
    b'"\xff\xfe"',
    b'"\xed\xa0\xbd"',
    '"\u202eevil\u2066"'.encode(),
    rb'"\u001b[31m\r\n"',
    b'"' + b"x" * 100_000 + b'"',
    b"[" * 600 + b"]" * 600,
    b'{"a":' * 600 + b"1" + b"}" * 600,
    b"[" * 100_000 + b"]" * 100_000,
    b'{"a":1,"a":{}}',
    b'{"_meta":null}',
    b'{"__proto__":{"a":1}}',
    b'[null,{"name":null},[],"t",5]',
    b'["' + b'","'.join(b"t%d" % number for number in range(2_000)) + b'"]',
    b'"javascript:alert(1)"',
    b"@ID@",
    b"{",
    b"",
)
# Lines that are no message at all.
JUNK: tuple[bytes, ...] = (
    b"",
    b"\xef\xbb\xbf",
    b"   ",
    b"hello",
    b"{half",
    b'{"jsonrpc":"2.0"}',
    b"[]",
    b'[{"jsonrpc":"2.0","method":"notifications/message"}]',
    b"null",
    b"\x00\x01\xff",
    b'MCP-BRIDGE/1 {"exit":{"code":0}}',
    b'{"jsonrpc":"2.0","id":"of-absent","result":{}}',
    b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"?"}}',
    b'{"jsonrpc":"2.0","id":null,"error":null}',
    b'{"jsonrpc":"1.0","id":@ID@,"result":{}}',
)


@dataclass(frozen=True)
class Message:
    """One honest message and where it belongs: the method whose request it answers, or accompanies."""

    method: str
    body: dict[str, Any]


def _answer(result: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": "@ID@", "result": result}


def handshake(era: Era) -> list[Message]:
    """What a server says before it is ready: the handshake, lists, and an error in place of each."""
    methods = ["tools/list", "prompts/list", "resources/list", "resources/templates/list"]
    opening = "initialize" if era == "legacy" else "server/discover"
    results = scripted.results(era)
    found = [Message(method, _answer(results[method])) for method in (opening, *methods)]
    found += [Message(method, _answer({**results[method], "nextCursor": "c1"})) for method in methods]
    found += [Message(opening, _answer(results[opening]))] * 4
    return found + [Message(method, _ERROR) for method in (opening, *methods)]


_ERROR: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": "@ID@",
    "error": {"code": -32603, "message": "no", "data": {"requested": "1", "supported": ["2026-07-28", "2025-11-25"]}},
}
_FORM = {"type": "object", "properties": {"name": {"type": "string", "title": "Name"}}, "required": ["name"]}
_ELICITATION = {"message": "Who?", "mode": "form", "requestedSchema": _FORM}
_SAMPLING = {"messages": [{"role": "user", "content": {"type": "text", "text": "hi"}}], "maxTokens": 5, "systemPrompt": "s"}
_QUESTIONS = {"q": {"method": "elicitation/create", "params": _ELICITATION}}


def replies(era: Era) -> list[Message]:
    """What may answer a request: results of all forms, and errors."""
    results = scripted.results(era)
    found = [Message(method, _answer(results[method])) for method in REQUESTS if method in results]
    found += [Message(method, _ERROR) for method in REQUESTS if method in results]
    if era == "modern":
        asked = {"resultType": "input_required", "inputRequests": _QUESTIONS, "requestState": "s", "_meta": META}
        task = {"resultType": "task", "taskId": "t-1", "status": "working", "ttlMs": 60_000, "pollIntervalMs": 50}
        found += [Message("tools/call", _answer(result)) for result in (asked, task)]
    return found


def own(era: Era) -> list[Message]:
    """What a server says by itself: notifications, and in the legacy era requests. They accompany a tools/call."""
    params: dict[str, dict[str, Any]] = {
        "notifications/progress": {"progressToken": "@TOKEN@", "progress": 1, "total": 3, "message": "step"},
        "notifications/message": {"level": "error", "logger": "l", "data": {"x": 1}},
        "notifications/cancelled": {"requestId": "@ID@", "reason": "?"},
        "notifications/resources/updated": {"uri": "note://all"},
        "notifications/tools/list_changed": {},
        "notifications/prompts/list_changed": {},
        "notifications/resources/list_changed": {},
        "notifications/tasks/status": {"taskId": "t-1", "status": "working"},
        "notifications/subscriptions/acknowledged": {"notifications": {"resourceSubscriptions": ["note://all"]}},
        "notifications/elicitation/complete": {"elicitationId": "e-1"},
        "vendor/odd": {"x": 1},
    }
    told = [Message("tools/call", {"jsonrpc": "2.0", "method": m, "params": {**p, "_meta": META}}) for m, p in params.items()]
    if era == "modern":
        return told
    requests: dict[str, dict[str, Any]] = {
        "ping": {},
        "roots/list": {},
        "elicitation/create": _ELICITATION,
        "sampling/createMessage": _SAMPLING,
        "vendor/ask": {"x": 1},
    }
    asked = [
        {"jsonrpc": "2.0", "id": f"s-{number}", "method": method, "params": {**params, "_meta": META}}
        for number, (method, params) in enumerate(requests.items())
    ]
    return told + [Message("tools/call", body) for body in asked]


# What clients send, by method: params without the era's own members.
REQUESTS: dict[str, dict[str, Any]] = {
    "tools/call": {"name": "t", "arguments": {}},
    "prompts/get": {"name": "p", "arguments": {"whom": "x"}},
    "resources/read": {"uri": "note://all"},
    "completion/complete": {"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "whom", "value": "a"}},
}


def members(value: Any, at: Path = ()) -> Iterator[Path]:
    """The paths of all members of a value, of itself first."""
    yield at
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from members(inner, (*at, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from members(inner, (*at, index))


def encode(body: Any) -> bytes:
    """A message's line, with the marks for id and token in place."""
    raw = json.dumps(body, ensure_ascii=False).encode()
    return raw.replace(b'"@ID@"', b"@ID@").replace(b'"@TOKEN@"', b"@TOKEN@")


def spoil(body: Any, at: Path, raw: bytes | None) -> bytes:
    """The message with other JSON in one place; without that member, if it is None."""
    copy = json.loads(json.dumps(body))
    if not at:
        return raw or b""
    parent = copy
    for step in at[:-1]:
        parent = parent[step]
    if raw is None:
        del parent[at[-1]]
        return encode(copy)
    parent[at[-1]] = _PLACE
    return encode(copy).replace(f'"{_PLACE}"'.encode(), raw)


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
_KEYS = st.sampled_from(["_meta", "name", "uri", "id", "type", "cursor", "progressToken"]) | st.text(max_size=6)
ANY_JSON = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4))
RAW = st.sampled_from(HOSTILE) | ANY_JSON.map(lambda value: json.dumps(value).encode())


@dataclass(frozen=True)
class Spoilt:
    """One line to send in answer to a method, and whether the message around what is spoilt still has its id."""

    method: str
    line: bytes
    answers: bool

    def __repr__(self) -> str:
        shown = self.line if len(self.line) < 400 else self.line[:300] + b" ... " + self.line[-80:]
        return f"Spoilt({self.method!r}, {shown!r})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Hypothesis shows an example by this."""
        printer.text(repr(self))


_WEIGHTS = {1: 6, 2: 6, 3: 3}  # by depth: there are few members near the root, and most depends on them


@st.composite
def spoilt(draw: st.DrawFn, honest: list[Message]) -> Spoilt:
    """One of these messages with one member replaced, removed or added."""
    message = draw(st.sampled_from(honest))
    at = draw(st.sampled_from([path for path in members(message.body) for _ in range(_WEIGHTS.get(len(path), 1))]))
    change = draw(st.sampled_from(["replace", "replace", "replace", "remove", "add"]))
    body = message.body
    raw: bytes | None
    if change == "remove" and at:
        raw = None
    else:
        raw = draw(RAW)
        inner: Any = body
        for step in at:
            inner = inner[step]
        if change == "add" and isinstance(inner, dict):
            key = draw(_KEYS)
            body = json.loads(json.dumps(body))
            place: Any = body
            for step in at:
                place = place[step]
            place[key] = None
            at = (*at, key)
    return Spoilt(message.method, spoil(body, at, raw), answers=at[:1] in (("result",), ("error",)))


junk = st.sampled_from(JUNK) | st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b" "))
