"""Attacks by servers: what they list, answer and say by themselves, and how their HTTP is made."""

from __future__ import annotations

import contextlib
import gzip
import json
import time
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from tests.hostile.messages import Era
from tests.hostile.world import BRIDGES, World
from tests.support.bridges import until
from tests.support.servers import scripted

from .network import many
from .registry import attack
from .sockets import post

_CLIENT: dict[str, Any] = {"protocolVersion": "2026-07-28", "clientCapabilities": {}}
_AGAIN = 3.0  # seconds in which one that has failed may start again
_PATIENCE = 45.0  # seconds until a server has a state
Lines = Mapping[str, Sequence[bytes]]


def _answer(result: Any) -> bytes:
    return b'{"jsonrpc":"2.0","id":@ID@,"result":' + (result if isinstance(result, bytes) else json.dumps(result).encode()) + b"}"


def _told(method: str, params: bytes) -> bytes:
    return b'{"jsonrpc":"2.0","method":"' + method.encode() + b'","params":' + params + b"}"


def _page(tools: bytes, more: bytes = b"") -> bytes:
    return b'{"resultType":"complete","ttlMs":0,"cacheScope":"private","tools":[' + tools + b"]" + more + b"}"


def _configured(world: World, lines: Lines, *, era: Era = "modern", remote: bool = False) -> tuple[str, str]:
    """Put a server with this script beside the honest ones; its name, and how it stands once that is decided."""
    place = BRIDGES.index(era)
    world.script(f"r{place}" if remote else f"b{place}", lines)
    server = world.remote(era, place) if remote else world.behind_bridge(place, isolation="Shared")
    world.configure(server)

    def state() -> str:
        row = world.gateway.server(server.name)
        reason = row.get("lastError", {}).get("reason", "")
        return f"{row['state']} {reason}".strip() if row["state"] != "Connecting" or reason else ""

    with contextlib.suppress(AssertionError):
        until("a state", state, _PATIENCE)
        until("a server that starts again to be ready", lambda: state().startswith("Ready"), _AGAIN)
    return server.name, state() or "Connecting for ever"


def _stands(world: World, lines: Lines, **more: Any) -> str:
    return _configured(world, lines, **more)[1]


def _called(world: World, lines: Lines, *, uri: str = "", **more: Any) -> str:
    """How a call of the server's tool ends, or the reading of a resource."""
    name, state = _configured(world, lines, **more)
    if not state.startswith("Ready"):
        return state
    if uri:  # in the legacy era, where no header repeats it
        answer = world.client.ask("resources/read", {"uri": uri}, "legacy")
    else:
        answer = world.client.ask("tools/call", {"name": f"{name}_t", "arguments": {}})
    return "result" if "result" in answer else _named(answer["error"])


def _named(error: Mapping[str, Any]) -> str:
    """An error with its reason, where it is one of the gateway's: `error -32603 Timeout`."""
    data = error.get("data")
    reason = data.get("reason", "") if isinstance(data, dict) else ""
    return f"error {error['code']} {reason}".strip()


_DONE = _answer(scripted.results("modern")["tools/call"])
_LEGACY_DONE = _answer(scripted.results("legacy")["tools/call"])


def _template(template: str) -> bytes:
    known = scripted.results("modern")["resources/templates/list"]
    return _answer({**known, "resourceTemplates": [{"uriTemplate": template, "name": "evil"}]})


@attack("E2", "20 results of 8 MB, none read", expects="^20 connections", memory=192)
def unread_results(world: World) -> str:
    name, _ = _configured(world, {"tools/call": [_text(b'"@PAD 8000000@"')]})
    params = {"name": f"{name}_t", "_meta": {f"io.modelcontextprotocol/{key}": value for key, value in _CLIENT.items()}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
    request = post(body, "MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", f"Mcp-Name: {name}_t")
    with many(world, 20) as links:
        for link in links:
            link.sendall(request)
        time.sleep(2.0)
        return f"{len(links)} connections wait"


@attack("U1", "a URI template whose pattern backtracks, and a read of a URI that does not match", expects="^(result|error)")
def backtracking_template(world: World) -> str:
    lines = {"resources/templates/list": [_template("evil://" + "{+a}x" * 20 + "!")]}
    return _called(world, lines, uri="evil://" + "x" * 4_000)


@attack("U1", "an ordinary template, and a URI of 375 KB", expects="^(result|error)")
def long_uri(world: World) -> str:
    lines = {"resources/templates/list": [_template("evil://{a}/{b}")]}
    return _called(world, lines, uri="evil://" + "x/" * 187_500)


def _http(body: bytes, *headers: str) -> bytes:
    fields = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers]
    return b"@RAW@" + "\r\n".join(fields).encode() + b"\r\n\r\n" + body


_STREAM = "Content-Type: text/event-stream"
_JSON = "Content-Type: application/json"
_GZIP = "Content-Encoding: gzip"


@attack("U2", "a remote's gzip'd stream of 60 million empty `data:` lines", expects="^(error|Failed)", memory=96)
def compressed_lines(world: World) -> str:
    return _called(world, {"tools/call": [_http(_squeezed(b"data:\n" * 1_000, 60_000), _STREAM, _GZIP)]}, remote=True)


@attack("U2", "a remote's gzip'd body of 1 GiB", expects="^(error|Failed)", memory=96)
def compressed_body(world: World) -> str:
    return _called(world, {"tools/call": [_http(_squeezed(b" " * (1 << 20), 1_024), _JSON, _GZIP)]}, remote=True)


def _squeezed(block: bytes, times: int) -> bytes:
    squeeze = zlib.compressobj(9, wbits=31)
    return b"".join([*(squeeze.compress(block) for _ in range(times)), squeeze.flush()])


@attack("U2", "a remote's stream with one line of 64 MiB", expects="^(error|Failed)", memory=96)
def long_event(world: World) -> str:
    return _called(world, {"tools/call": [_http(_squeezed(b"data: " + b"x" * (1 << 20), 64), _STREAM, _GZIP)]}, remote=True)


@attack("U2", "a remote's body that is no gzip, though it says so", expects="^(error|Failed)")
def broken_gzip(world: World) -> str:
    return _called(world, {"tools/call": [_http(gzip.compress(b"{}")[:-9] + b"\xff" * 20, _JSON, _GZIP)]}, remote=True)


@attack("U2", "a remote with 20,000 headers", expects="^(error|Failed)")
def remote_headers(world: World) -> str:
    fields = (f"X-{number}: {'y' * 50}" for number in range(20_000))
    return _called(world, {"tools/call": [_http(b"{}", _JSON, *fields)]}, remote=True)


@attack("U2", "a remote that redirects to another host", expects="^(error|Failed)")
def remote_redirects(world: World) -> str:
    raw = b"@RAW@HTTP/1.1 307 T\r\nLocation: http://169.254.169.254/latest/\r\nContent-Length: 0\r\n\r\n"
    return _called(world, {"tools/call": [raw]}, remote=True)


@attack("U2", "a remote that promises a body and sends none of it", expects="^(error|Failed)")
def remote_cuts(world: World) -> str:
    raw = b"@RAW@HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n"
    return _called(world, {"tools/call": [raw]}, remote=True)


def _pages(count: int, size: int) -> bytes:
    tools = b",".join(
        b'{"name":"t@N@-%d","description":"@PAD %d@","inputSchema":{"type":"object"}}' % (n, size) for n in range(count)
    )
    return _answer(_page(tools, b',"nextCursor":"c@N@"'))


@attack("U3", "a list without end, of 2,000 tools a page", expects="^(Failed|Ready)", memory=128)
def endless_list(world: World) -> str:
    return _stands(world, {"tools/list": [_pages(2_000, 100)]})


@attack("U3", "a list without end, of 1 MB a tool", expects="^(Failed|Ready)", memory=128)
def endless_large_list(world: World) -> str:
    return _stands(world, {"tools/list": [_pages(1, 1_000_000)]})


@attack("U3", "one list of 100,000 tools", expects="^(Failed|Ready)", memory=128)
def long_list(world: World) -> str:
    tools = b",".join(b'{"name":"t%d","inputSchema":{"type":"object"}}' % number for number in range(100_000))
    return _stands(world, {"tools/list": [_answer(_page(tools))]})


@attack("U3", "empty pages without end", expects="^(Failed|Ready)")
def endless_pages(world: World) -> str:
    return _stands(world, {"tools/list": [_answer(_page(b"", b',"nextCursor":"c@N@"'))]})


def _schema(inner: bytes) -> Lines:
    tool = b'{"name":"t","inputSchema":{"type":"object","properties":{"x":' + inner + b"}}}"
    return {"tools/list": [_answer(_page(tool))]}


@attack("U4", "`1e999` in a tool's schema", expects="^(Ready|Failed)")
def number_out_of_range(world: World) -> str:
    return _stands(world, _schema(b'{"maximum":1e999,"minimum":-1.7976931348623159e308}'))


@attack("U4", "a schema of 600 levels", expects="^(Ready|Failed)")
def deep_schema(world: World) -> str:
    return _stands(world, _schema(b'{"a":' * 600 + b"{}" + b"}" * 600))


@attack("U4", "a schema of 100,000 levels", expects="^(Ready|Failed)")
def very_deep_schema(world: World) -> str:
    return _stands(world, _schema(b'{"a":' * 100_000 + b"{}" + b"}" * 100_000))


@attack("U5", "`capabilities: null` in a legacy handshake", expects="^(Ready|Failed)")
def null_capabilities(world: World) -> str:
    return _stands(world, {"initialize": [_answer({"protocolVersion": "2025-11-25", "capabilities": None})]}, era="legacy")


@attack("U5", "`server/discover` answered by a list, as a remote", expects="^(Ready|Failed)")
def discovered_list(world: World) -> str:
    return _stands(world, {"server/discover": [_answer([])]}, remote=True)


@attack("U6", '`"_meta": null` in a notification of a shared connection', expects="^result")
def null_meta(world: World) -> str:
    return _called(world, {"tools/call": [_told("notifications/resources/updated", b'{"_meta":null}'), _DONE]})


@attack("U6", "a reply that cannot be translated between the eras", expects="^(result|error)")
def untranslatable(world: World) -> str:
    return _called(world, {"tools/call": [_answer([1])]}, era="legacy")


def _text(raw: bytes) -> bytes:
    return _answer(b'{"resultType":"complete","content":[{"type":"text","text":' + raw + b"}]}")


@attack("U7", "half an emoji", expects="^result")
def half_an_emoji(world: World) -> str:
    return _called(world, {"tools/call": [_text(rb'"\ud83d"')]})


@attack("U7", "`NaN`", expects="^error")
def not_a_number(world: World) -> str:
    return _called(world, {"tools/call": [_text(b"NaN")]})


@attack("U7", "one byte that is not UTF-8", expects="^error")
def bad_byte(world: World) -> str:
    return _called(world, {"tools/call": [_text(b'"\xff"')]})


@attack("U7", "text glued to the reply", expects="^(error|result)")
def glued_text(world: World) -> str:
    return _called(world, {"tools/call": [_DONE + b" done!"]})


@attack("U7", "one line of 15 MiB", expects="^(result|error)", memory=128)
def long_line(world: World) -> str:
    return _called(world, {"tools/call": [_text(b'"@PAD 15000000@"')]})


@attack("U7", "a line of 80 MiB", expects="^(error|Failed)", memory=128)
def too_long_line(world: World) -> str:
    return _called(world, {"tools/call": [_text(b'"@PAD 80000000@"')]})


@attack("U8", "20,000 list_changed before a reply", expects="^(result|error)")
def storm_of_list_changed(world: World) -> str:
    return _called(world, {"tools/call": [b"@TIMES 20000@" + _told("notifications/tools/list_changed", b"{}"), _DONE]})


@attack("U8", "50,000 log messages before a reply", expects="^(result|error)")
def storm_of_logs(world: World) -> str:
    line = _told("notifications/message", b'{"level":"error","data":"@PAD 100@"}')
    return _called(world, {"tools/call": [b"@TIMES 50000@" + line, _DONE]})


@attack("U8", "50,000 reports of progress before a reply", expects="^(result|error)", memory=96)
def storm_of_progress(world: World) -> str:
    line = _told("notifications/progress", b'{"progressToken":@TOKEN@,"progress":1}')
    return _called(world, {"tools/call": [b"@TIMES 50000@" + line, _DONE]})


@attack("U8", "100,000 lines of junk before a reply", expects="^(result|error)")
def storm_of_junk(world: World) -> str:
    return _called(world, {"tools/call": [b"@TIMES 100000@{half a message", _DONE]})


@attack("U8", "20,000 requests of the server's own before a reply", expects="^(result|error)")
def storm_of_requests(world: World) -> str:
    line = b'{"jsonrpc":"2.0","id":"q@N@","method":"sampling/createMessage","params":{}}'
    return _called(world, {"tools/call": [b"@TIMES 20000@" + line, _LEGACY_DONE]}, era="legacy")


@attack("U8", "20,000 replies to one request", expects="^(result|error)")
def storm_of_replies(world: World) -> str:
    return _called(world, {"tools/call": [b"@TIMES 20000@" + _DONE]})


@attack("U8", "20,000 resources/updated of as many resources", expects="^(result|error)")
def storm_of_updates(world: World) -> str:
    line = _told("notifications/resources/updated", b'{"uri":"note://@N@"}')
    return _called(world, {"tools/call": [b"@TIMES 20000@" + line, _DONE]})


@attack("U9", "a question with a `javascript:` URL, and one of a made-up method", expects="^(error|result)")
def javascript_question(world: World) -> str:
    asked = {"mode": "url", "message": "?", "url": "javascript:alert(1)", "elicitationId": "e"}
    lines = [
        {"jsonrpc": "2.0", "id": f"q{n}", "method": method, "params": asked}
        for n, method in enumerate(("elicitation/create", "x/y"))
    ]
    return _called(world, {"tools/call": [*(json.dumps(line).encode() for line in lines), _LEGACY_DONE]}, era="legacy")


@attack("U10", "ANSI and bidirectional controls in a description", expects="^clean|^Failed")
def controls_in_description(world: World) -> str:
    tool = {"name": "t", "description": "\x1b[31mred\u202e\x07", "inputSchema": {"type": "object"}}
    state = _stands(world, {"tools/list": [_answer(_page(json.dumps(tool).encode()))]})
    listed = json.dumps(world.client.ask("tools/list", {}), ensure_ascii=False)
    dirty = [name for name, mark in (("ESC", "\\u001b"), ("RLO", "\u202e"), ("BEL", "\\u0007")) if mark in listed]
    return f"passes on {' '.join(dirty)}" if dirty else "clean" if state == "Ready" else state


@attack("U5", "a program that ends at each first message", expects="^(Failed|Restarting)")
def ends_at_once(world: World) -> str:
    return _stands(world, {"server/discover": [b"@EXIT@"], "initialize": [b"@EXIT@"]}, era="legacy")
