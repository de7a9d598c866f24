"""Where requests begin and end, on one connection: h11 is the independent judge of any stream of bytes, cut anywhere."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
from collections.abc import Iterator
from itertools import pairwise

import h11
import pytest
import uvloop
from hypothesis import example, given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState

from mcpgateway.access.keyring import KeyRing
from mcpgateway.config import Config
from mcpgateway.edge.connection import Connection
from mcpgateway.edge.exchange import HttpExchange
from mcpgateway.edge.limits import MAX_HEAD, Limits
from mcpgateway.edge.shared import Edge, Route
from mcpgateway.requests.router import Router
from mcpgateway.runtime.metrics import Metrics

Request = tuple[bytes, bytes, bytes]  # method, target, body

_BODIES = st.binary(max_size=60) | st.sampled_from([b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n\r\n", b"0\r\n\r\n"])
_FIELDS = st.lists(
    st.sampled_from(
        [
            "Connection: Upgrade\r\nUpgrade: h2c",
            "Connection: keep-alive, Upgrade\r\nUpgrade: websocket",
            "Expect: 100-continue",
            "Accept: text/event-stream",
            "X-Empty:",
            "X-Space:   a b\t ",
            "X-Twice: a\r\nX-Twice: b",
            "TE: trailers",
        ]
    ),
    max_size=3,
    unique=True,
)


_METHODS = [b"GET", b"POST", b"PUT", b"DELETE", b"OPTIONS"]


class Recorder:
    """An edge whose only route records the requests, and a real connection to it."""

    def __init__(self) -> None:
        self.seen: list[Request] = []
        self.loop = uvloop.new_event_loop()
        router = Router(config=Config(gateway="g"), keys=KeyRing({}), metrics=Metrics())
        route = Route(dict.fromkeys(_METHODS, self._record), protected=False)
        self._edge = Edge(router, Limits(), {b"/": route})
        self._state = ServerState()

    def _record(self, exchange: HttpExchange) -> None:
        head = exchange.head
        self.seen.append((head.method, head.path + (b"?" + head.query if head.query else b""), exchange.body))
        exchange.reply(200, b"%d" % len(self.seen))

    def run(self, pieces: list[bytes]) -> bytes:
        """Send the pieces, one after the other, on a new connection. Returns: what the server sends until all is read."""
        self.seen.clear()
        return self.loop.run_until_complete(asyncio.wait_for(self._run(pieces), 30))

    async def _run(self, pieces: list[bytes]) -> bytes:
        client, server = socket.socketpair()
        with client:
            client.setblocking(False)
            server.setblocking(False)
            _, connection = await self.loop.connect_accepted_socket(lambda: Connection(self._edge, self._state), server)
            for piece in pieces:
                await self.loop.sock_sendall(client, piece)
                await self._settled(connection)
            received = b""
            while struct.unpack("i", fcntl.ioctl(client, termios.FIONREAD, b"\0\0\0\0"))[0]:
                received += await self.loop.sock_recv(client, 1 << 20)
        while self._state.connections:  # noqa: ASYNC110 - the server's side of the connection has no event for its end
            await asyncio.sleep(0)
        return received

    async def _settled(self, connection: Connection) -> None:
        """Until the server has read everything, and does nothing any more."""
        quiet = 0
        while quiet < 3:
            transport = connection._transport
            if transport is None or transport.is_closing():
                return
            waiting = struct.unpack("i", fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.FIONREAD, b"\0\0\0\0"))[
                0
            ]
            quiet = 0 if waiting or connection._continuing else quiet + 1
            await asyncio.sleep(0)


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.loop.close()


def judged(data: bytes) -> list[Request]:
    """The requests in a stream, up to its first error, that a recorder sees if it reads as h11 does.

    Two things differ, which RFC 9112 leaves to a server.
    Empty lines before a request are ignored (section 2.2; h11 refuses them), and so are trailers that speak of framing, where
    they mean nothing (section 7.1.2 and RFC 9110 section 6.5.1; h11 checks them like headers).
    """
    requests: list[Request] = []
    while data:
        found, data = _judged_next(data)
        requests += found
    return [request for request in requests if request[0] in _METHODS and request[1].partition(b"?")[0] == b"/"]


def _judged_next(data: bytes) -> tuple[list[Request], bytes]:
    """The next request, if there is one, and what follows it; nothing follows an error or the connection's end."""
    while data.startswith(b"\r\n"):
        data = data[2:]
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
    connection.receive_data(data)
    method = target = body = b""
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            in_body = bool(method)
            if in_body and (error.error_status_hint == 501 or "Content-Length" in str(error)):  # of a trailer
                return [(method, target, body)], connection.trailing_data[0]
            return [], b""
        if isinstance(event, h11.Request):
            method, target, body = event.method, event.target, b""
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
            connection.send(h11.EndOfMessage())
            persists = connection.our_state is h11.DONE
            return [(method, target, body)], connection.trailing_data[0] if persists else b""
        else:
            return [], b""


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A valid request with any framing."""
    method = draw(st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS"]))
    target = draw(st.sampled_from(["/", "/?a=b", "/?%0d%0a"]))
    body = draw(_BODIES)
    lines = [f"{method} {target} HTTP/1.1", "Host: a", *draw(_FIELDS)]
    if draw(st.booleans()):
        content = body
        if body or draw(st.booleans()):
            lines.append(f"{draw(st.sampled_from(['Content-Length', 'content-length']))}: {len(body)}")
    else:
        lines.append("Transfer-Encoding: chunked")
        content = b""
        while body:
            size = draw(st.integers(1, len(body)))
            extension = draw(st.sampled_from([b"", b";a=b", b';q="x y"']))
            content += b"%x%b\r\n%b\r\n" % (size, extension, body[:size])
            body = body[size:]
        content += b"0\r\n" + draw(st.sampled_from([b"", b"X-Trailer: 1\r\n", b"Content-Length: 5\r\nHost: b\r\n"])) + b"\r\n"
    return "\r\n".join([*lines, "", ""]).encode() + content


def cut(data: bytes, places: list[int]) -> list[bytes]:
    marks = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[begin:end] for begin, end in pairwise(marks)]


@settings(max_examples=400, deadline=None)
@given(st.lists(requests(), min_size=1, max_size=6), st.lists(st.integers(0, 10_000), max_size=12))
def test_valid_requests_are_found_wherever_the_stream_is_cut(recorder: Recorder, parts: list[bytes], places: list[int]) -> None:
    data = b"".join(parts)
    received = recorder.run(cut(data, places))
    assert len(recorder.seen) == len(parts)
    assert recorder.seen == judged(data)
    assert received.count(b"HTTP/1.1 200 OK\r\n") == len(parts)


def test_two_requests_are_found_at_every_cut(recorder: Recorder) -> None:
    data = (
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 31\r\n\r\n"
        b"GET /no HTTP/1.1\r\nHost: b\r\n\r\n\r\n"
        b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    for place in range(len(data)):
        recorder.run(cut(data, [place]))
        assert recorder.seen == judged(data)


_TOKENS = st.sampled_from(
    [
        *(
            b"GET / HTTP/1.1\r\n",
            b"POST / HTTP/1.1\r\n",
            b"POST / HTTP/1.0\r\n",
            b"Host: a\r\n",
            b"Host: a, b\r\n",
            b"\r\n",
            b"\n",
            b"\r",
        ),
        *(
            b"Content-Length: 3\r\n",
            b"Content-Length: 0\r\n",
            b"Content-Length: 3, 3\r\n",
            b"Content-Length:\r\n",
            b"Content-Length: -1\r\n",
        ),
        *(
            b"Transfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: Chunked\r\n",
            b"Transfer-Encoding: gzip\r\n",
            b"Transfer-Encoding : chunked\r\n",
        ),
        *(
            b"Connection: close\r\n",
            b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
            b" folded\r\n",
            b"abc",
            b"3\r\nabc\r\n",
            b"0\r\n\r\n",
            b"0\r\n",
        ),
        *(
            b"\x00",
            b"\xff",
            b"X: \x01\r\n",
            b"X: \xff\r\n",
            b": x\r\n",
            b"X-Y: z\r\n",
            b"FFFFFFFFF\r\n",
            b"3;x\r\nabc\r\n",
            b"3 \r\nabc\r\n",
        ),
    ]
)


@st.composite
def edited(draw: st.DrawFn) -> bytes:
    """Valid requests, with pieces put in and left out: most of the stream still has a meaning."""
    data = b"".join(draw(st.lists(requests(), min_size=1, max_size=4)))
    for _ in range(draw(st.integers(1, 3))):
        begin = draw(st.integers(0, len(data)))
        data = data[:begin] + draw(_TOKENS | st.binary(max_size=3)) + data[begin + draw(st.integers(0, 3)) :]
    return data


_CUTS = st.lists(st.integers(0, 1000), max_size=6)


@settings(max_examples=1500, deadline=None)
@given(st.lists(_TOKENS | st.binary(max_size=8), max_size=14).map(b"".join) | edited(), _CUTS)
@example(b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", [1])
@example(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\r\n\r\nPOST / HTTP/1.1\r\nHost: a\r\n\r\n", [])
@example(b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", [])
@example(b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", [1])
@example(b"\r\n\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", [3])
@example(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTransfer-Encoding: gzip\r\n\r\n", [])
@example(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length:\r\n\r\n", [])
@example(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\naGET / HTTP/1.1\r\nHost: a\r\n\r\n", [])
@example(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1 ;\r\na\r\n0\r\n\r\n", [])
@example(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: \x0b\r\n\r\n", [])
def test_no_bytes_make_a_request_that_another_parser_does_not_see(recorder: Recorder, data: bytes, places: list[int]) -> None:
    difference = _difference(recorder, data, places)
    assert difference is None, difference


def _difference(recorder: Recorder, data: bytes, places: list[int]) -> str | None:
    """In one line: what another parser would see otherwise."""
    received = recorder.run(cut(data, places))
    seen, judge = list(recorder.seen), judged(data)
    if seen != judge[: len(seen)]:
        return f"{data!r}: the edge sees {seen}, h11 {judge}"
    if received.count(b"HTTP/1.1 200 OK\r\n") != len(seen) or b"HTTP/1.1 500" in received:
        return f"{data!r}, cut at {places}: {len(seen)} requests, answered by {received!r}"
    recorder.run([data])
    return None if recorder.seen == seen else f"{data!r}: {recorder.seen}, but cut at {places} {seen}"
