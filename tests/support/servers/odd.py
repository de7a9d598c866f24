"""A small legacy MCP server with one habit of servers as they exist: how it opens, lists, names or answers, or ends.

    odd.py HABIT [ARGUMENT]      over stdio
    odd.py --http=PORT           over HTTP, at /HABIT or /HABIT/ARGUMENT (percent-encoded)

A habit is a class below; its name in kebab case is the one on the command line. Its argument is JSON, written as it is, where it
stands for a part of a message. Without a habit, the server has one tool, `echo`, that returns the arguments as JSON.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import unquote

JSON = dict[str, Any]
ECHO: JSON = {
    "name": "echo",
    "description": "says it again",
    "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}},
}
BAD_TOOLS: dict[str, Any] = {
    "description-null": {**ECHO, "name": "b", "description": None},
    "schema-absent": {"name": "b"},
    "schema-empty": {"name": "b", "inputSchema": {}},
    "schema-of-text": {"name": "b", "inputSchema": {"type": "string"}},
    "schema-any-of": {"name": "b", "inputSchema": {"anyOf": [{"type": "object"}]}},
    "schema-type-list": {"name": "b", "inputSchema": {"type": ["object", "null"]}},
    "properties-null": {"name": "b", "inputSchema": {"type": "object", "properties": None, "required": None}},
    "output-null": {**ECHO, "name": "b", "outputSchema": None},
    "output-without-type": {**ECHO, "name": "b", "outputSchema": {"properties": {}}},
    "annotations-null": {**ECHO, "name": "b", "annotations": None},
    "hint-of-text": {**ECHO, "name": "b", "annotations": {"readOnlyHint": "true"}},
    "title-null": {**ECHO, "name": "b", "title": None},
    "meta-null": {**ECHO, "name": "b", "_meta": None},
    "icons-null": {**ECHO, "name": "b", "icons": None},
    "no-object": "b",
    "name-empty": {**ECHO, "name": ""},
    "name-number": {**ECHO, "name": 5},
}


class Odd:
    """The server without a habit. A habit overrides one part."""

    capabilities: Any = {"tools": {}}  # noqa: RUF012 - replaced, never changed

    def __init__(self, argument: str, write: Callable[[bytes], object]) -> None:
        """`write` takes bytes, line ends included; over HTTP, what no request has asked for goes nowhere."""
        self.argument = argument
        self.write = write
        self.introduced = False

    # --- what habits override ---------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Before the first message."""

    def tools(self) -> list[Any]:
        """The items of tools/list."""
        return [ECHO]

    def hello(self, params: JSON) -> Any:
        """The result of initialize."""
        info = {"name": "odd", "version": "1"}
        return {"protocolVersion": params["protocolVersion"], "capabilities": self.capabilities, "serverInfo": info}

    def listed(self) -> Any:
        """The result of tools/list."""
        return {"tools": self.tools()}

    def called(self, arguments: JSON) -> Any:
        """The result of tools/call."""
        return _text(json.dumps(arguments))

    def written(self, message: JSON) -> bytes:
        """The bytes of a message."""
        return json.dumps(message).encode() + b"\n"

    def known(self, method: str, message: JSON) -> Any:
        """The result of a method, or None where there is no such method."""
        params = message.get("params") or {}
        if method == "initialize":
            self.introduced = True
            return self.hello(params)
        if method == "tools/list":
            return self.listed()
        if method == "tools/call":
            return self.called(params.get("arguments") or {})
        return {} if method == "ping" else None

    def replies(self, message: JSON) -> Iterable[bytes]:
        """What goes out in answer to a message."""
        method, id = message.get("method"), message.get("id")
        if method is None or id is None:
            return
        result = self.known(method, message)
        if result is None:
            yield self.written(_error(id, {"code": -32601, "message": f"Method not found: {method}"}))
        else:
            yield self.written({"jsonrpc": "2.0", "id": id, "result": result})


def _text(text: str) -> JSON:
    return {"content": [{"type": "text", "text": text}]}


def _error(id: Any, error: Any) -> JSON:
    return {"jsonrpc": "2.0", "id": id, "error": error}


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# --- how it opens ---------------------------------------------------------------------------------------------------------


class Plain(Odd):
    pass


class ByteOrderMark(Odd):
    def begin(self) -> None:
        self.write(b"\xef\xbb\xbf")


class Banner(Odd):
    def begin(self) -> None:
        self.write(b'[INFO] listening on stdio\n{"level":"info","msg":"up"}\nPlain words\n')


class SlowStart(Odd):
    def begin(self) -> None:
        time.sleep(float(self.argument))


class LeavesDaemon(Odd):
    """Leaves a process behind that keeps its standard output open."""

    def begin(self) -> None:
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(600)
            os._exit(0)


class NoisyLog(Odd):
    """Repeats each message it gets on its log."""

    def replies(self, message: JSON) -> Iterable[bytes]:
        _log(f"<< {json.dumps(message)}")
        return super().replies(message)


class AsksEarly(Odd):
    """Asks the client before it is told that initialization is over."""

    def replies(self, message: JSON) -> Iterable[bytes]:
        yield from super().replies(message)
        if message.get("method") == "initialize":
            yield self.written({"jsonrpc": "2.0", "id": 0, "method": "roots/list"})
            question = {"message": "?", "requestedSchema": {"type": "object", "properties": {}}}
            yield self.written({"jsonrpc": "2.0", "id": "e", "method": "elicitation/create", "params": question})


class IntegerIds(Odd):
    """Takes only integers as ids."""

    def replies(self, message: JSON) -> Iterable[bytes]:
        if isinstance(message.get("id"), str):
            return [self.written(_error(None, {"code": -32600, "message": "id must be an integer"}))]
        return super().replies(message)


class DiscoverEnds(Odd):
    """Ends on a first message that is not initialize, as servers on Rust's SDK do."""

    def replies(self, message: JSON) -> Iterable[bytes]:
        if message.get("method") != "initialize" and not self.introduced:
            _log("Error: ExpectedInitializeRequest")
            sys.exit(1)
        return super().replies(message)


class DiscoverSilent(Odd):
    def replies(self, message: JSON) -> Iterable[bytes]:
        return [] if message.get("method") == "server/discover" else super().replies(message)


class _Verbatim(Odd):
    """Answers one method with its argument as it is."""

    method = ""
    member = b"result"

    def replies(self, message: JSON) -> Iterable[bytes]:
        if message.get("method") == self.method:
            id = json.dumps(message["id"]).encode()
            return [b'{"jsonrpc":"2.0","id":%b,"%b":%b}\n' % (id, self.member, self.argument.encode())]
        return super().replies(message)


class DiscoverResult(_Verbatim):
    method = "server/discover"


class DiscoverError(_Verbatim):
    method = "server/discover"
    member = b"error"


class Version(Odd):
    """Agrees on any JSON as its version."""

    def hello(self, params: JSON) -> Any:
        return {**super().hello(params), "protocolVersion": json.loads(self.argument)}


class InstructionsNull(Odd):
    def hello(self, params: JSON) -> Any:
        return {**super().hello(params), "instructions": None}


class HelloResult(_Verbatim):
    method = "initialize"


class HelloError(_Verbatim):
    method = "initialize"
    member = b"error"


class Capabilities(Odd):
    """Offers any JSON as its capabilities."""

    def hello(self, params: JSON) -> Any:
        return {**super().hello(params), "capabilities": json.loads(self.argument)}


class CapabilitiesAbsent(Odd):
    def hello(self, params: JSON) -> Any:
        return {name: value for name, value in super().hello(params).items() if name != "capabilities"}


# --- how it writes --------------------------------------------------------------------------------------------------------


class CarriageReturns(Odd):
    def written(self, message: JSON) -> bytes:
        return json.dumps(message).encode() + b"\r\n"


class LeadingSpace(Odd):
    def written(self, message: JSON) -> bytes:
        return b" " + super().written(message)


class Indented(Odd):
    """Writes a message over several lines, which the transport forbids."""

    def written(self, message: JSON) -> bytes:
        return json.dumps(message, indent=2).encode() + b"\n"


class ErrorNull(Odd):
    """Adds `"error": null` to each result."""

    def written(self, message: JSON) -> bytes:
        return super().written({**message, "error": None} if "result" in message else message)


# --- what it lists --------------------------------------------------------------------------------------------------------


class OneBadTool(Odd):
    def tools(self) -> list[Any]:
        return [ECHO, BAD_TOOLS[self.argument]]


class AllBadTools(Odd):
    def tools(self) -> list[Any]:
        return [ECHO, *BAD_TOOLS.values()]


class ManyTools(Odd):
    def tools(self) -> list[Any]:
        return [ECHO, *({**ECHO, "name": f"tool_{number:04d}"} for number in range(int(self.argument)))]


class OddNames(Odd):
    names = ("fs.read", "fs/read", "fs_read", "工具", "a b", "x" * 100, "x" * 101, "Emoji😀", "dash-ok", "echo", "echo")

    def tools(self) -> list[Any]:
        return [{**ECHO, "name": name} for name in self.names]


class OddSchemas(Odd):
    """Recursive, of an old draft, boolean, large."""

    def tools(self) -> list[Any]:
        link = {"$ref": "#/$defs/node"}
        large = {f"p{number}": {"type": "string", "enum": [str(choice) for choice in range(200)]} for number in range(200)}
        schemas: dict[str, JSON] = {
            "echo": {
                "type": "object",
                "$defs": {"node": {"type": "object", "properties": {"next": link}}},
                "properties": {"n": link},
            },
            "draft-04": {
                "$schema": "http://json-schema.org/draft-04/schema#",
                "type": "object",
                "properties": {"x": {"type": "number", "exclusiveMinimum": True, "minimum": 0}},
            },
            "boolean": {"type": "object", "properties": {"any": True}, "additionalProperties": False},
            "large": {"type": "object", "properties": large},
        }
        return [{"name": name, "inputSchema": schema} for name, schema in schemas.items()]


class CursorEmpty(Odd):
    def listed(self) -> Any:
        return {"tools": self.tools(), "nextCursor": ""}


class ListResult(_Verbatim):
    method = "tools/list"


class LateTools(Odd):
    """Has no tools at first, and says so when it has."""

    capabilities: Any = {"tools": {"listChanged": True}}  # noqa: RUF012
    loaded = False

    def hello(self, params: JSON) -> Any:
        threading.Timer(float(self.argument), self._load).start()
        return super().hello(params)

    def _load(self) -> None:
        self.loaded = True
        self.write(self.written({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}))

    def tools(self) -> list[Any]:
        return super().tools() if self.loaded else []


class ListStorm(Odd):
    """Says after each list that it has changed."""

    capabilities: Any = {"tools": {"listChanged": True}}  # noqa: RUF012

    def replies(self, message: JSON) -> Iterable[bytes]:
        yield from super().replies(message)
        if message.get("method") == "tools/list":
            yield self.written({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})


class CapabilitiesNull(Odd):
    capabilities: Any = {"tools": {}, "prompts": None, "resources": None}  # noqa: RUF012


class CapabilitiesEmpty(Odd):
    """Has tools, and does not say so."""

    capabilities: Any = {}  # noqa: RUF012


class PromptsAbsent(Odd):
    """Declares prompts, and does not know prompts/list."""

    capabilities: Any = {"tools": {}, "prompts": {}}  # noqa: RUF012


class PromptsResult(PromptsAbsent, _Verbatim):
    method = "prompts/list"


class PromptsError(PromptsAbsent):
    def replies(self, message: JSON) -> Iterable[bytes]:
        if message.get("method") == "prompts/list":
            return [self.written(_error(message["id"], {"code": -32603, "message": "database is down"}))]
        return super().replies(message)


class ResourcesAbsent(Odd):
    """Declares resources, and does not know their lists."""

    capabilities: Any = {"tools": {}, "resources": {}}  # noqa: RUF012


class ResourceNulls(ResourcesAbsent):
    def known(self, method: str, message: JSON) -> Any:
        if method == "resources/list":
            return {"resources": [{"uri": "a://b", "name": "n", "description": None, "mimeType": None}]}
        return super().known(method, message)


# --- how it answers a call ------------------------------------------------------------------------------------------------


class _AtCalls(Odd):
    """Does something else at tools/call."""

    def at_call(self, message: JSON) -> Iterable[bytes]:
        raise NotImplementedError

    def replies(self, message: JSON) -> Iterable[bytes]:
        return self.at_call(message) if message.get("method") == "tools/call" else super().replies(message)


class CallResult(_Verbatim):
    method = "tools/call"


class SaysBefore(_AtCalls):
    """Sends any JSON before it answers a call."""

    def at_call(self, message: JSON) -> Iterable[bytes]:
        yield self.argument.encode() + b"\n"
        yield self.written({"jsonrpc": "2.0", "id": message["id"], "result": _text("still here")})


class ProgressUnasked(_AtCalls):
    def at_call(self, message: JSON) -> Iterable[bytes]:
        for params in ({"progress": 1}, None):
            yield self.written({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
        yield self.written({"jsonrpc": "2.0", "id": message["id"], "result": _text("ok")})


class EndsAfterCall(_AtCalls):
    def at_call(self, message: JSON) -> Iterable[bytes]:
        yield self.written({"jsonrpc": "2.0", "id": message["id"], "result": _text("bye")})
        sys.exit(0)


class EndsInCall(_AtCalls):
    """Its last words are no UTF-8, and have an escape sequence."""

    def at_call(self, message: JSON) -> Iterable[bytes]:
        sys.stderr.buffer.write(b"\xff\xfe bad bytes \x1b[31mred\x1b[0m\r\n")
        sys.stderr.flush()
        sys.exit(3)


class SlowCall(_AtCalls):
    def at_call(self, message: JSON) -> Iterable[bytes]:
        time.sleep(float(self.argument))
        yield self.written({"jsonrpc": "2.0", "id": message["id"], "result": _text("slept")})


class LargeCall(Odd):
    def called(self, arguments: JSON) -> Any:
        return _text("x" * int(self.argument))


class Environment(Odd):
    def called(self, arguments: JSON) -> Any:
        return _text(json.dumps(dict(os.environ)))


# --- the transports -------------------------------------------------------------------------------------------------------


def _habits(of: type[Odd] = Odd) -> dict[str, type[Odd]]:
    """All habits by the names on the command line."""
    found: dict[str, type[Odd]] = {}
    for habit in of.__subclasses__():
        if not habit.__name__.startswith("_"):
            found[re.sub(r"(?<!^)(?=[A-Z])", "-", habit.__name__).lower()] = habit
        found |= _habits(habit)
    return found


HABITS = dict(sorted(_habits().items()))


def over_stdio(habit: str, argument: str) -> None:
    lock = threading.Lock()

    def write(raw: bytes) -> None:
        with lock:
            sys.stdout.buffer.write(raw)
            sys.stdout.buffer.flush()

    server = HABITS[habit](argument, write)
    server.begin()
    for line in sys.stdin.buffer:
        for reply in server.replies(json.loads(line)):
            write(reply)


class Handler(BaseHTTPRequestHandler):
    """One server for each path, as long as the program runs."""

    protocol_version = "HTTP/1.1"
    servers: ClassVar[dict[str, Odd]] = {}

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path not in self.servers:
            _, habit, *argument = map(unquote, self.path.split("/", 2))
            self.servers[self.path] = HABITS[habit]("".join(argument), lambda raw: None)
        out = list(self.servers[self.path].replies(message))
        if not out:
            self.respond(202, b"")
        elif len(out) == 1:
            self.respond(200, out[0], "application/json")
        else:
            self.respond(200, b"".join(b"data: " + line.rstrip(b"\r\n") + b"\n\n" for line in out), "text/event-stream")

    def do_GET(self) -> None:
        self.respond(405, b"")

    def do_OPTIONS(self) -> None:
        self.respond(405, b"")

    def respond(self, status: int, body: bytes, kind: str = "") -> None:
        self.send_response(status)
        if kind:
            self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The gateway may close a connection at any time."""


def main(argv: list[str]) -> None:
    if argv[0].startswith("--http="):
        Server(("127.0.0.1", int(argv[0].removeprefix("--http="))), Handler).serve_forever()
    else:
        over_stdio(argv[0], argv[1] if len(argv) > 1 else "")


if __name__ == "__main__":
    main(sys.argv[1:])
