"""Requests and responses on real connections to the real gateway, and the deadlines of a connection."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcpgateway.edge.limits import Limits
from tests.gateway.conftest import World
from tests.support.edges import running_edge
from tests.support.gateways import TOKEN
from tests.support.waiting import PATIENCE

META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}


def request(id: int = 1, extra: str = "", method: str = "tools/list") -> bytes:
    body = json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": {"_meta": META}})
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
        f"MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n{extra}Content-Length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode()


SHORT = Limits(head_deadline=1, body_grace=1)


class Raw:
    def __init__(self, world: World) -> None:
        self.socket = socket.create_connection(("127.0.0.1", world.gateway.port), timeout=PATIENCE)
        self.file = self.socket.makefile("rb")

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()

    def response(self) -> tuple[int, bytes]:
        status = int(self.file.readline().split()[1])
        length = 0
        while (line := self.file.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return status, self.file.read(length)


def test_requests_on_one_connection_are_answered_in_order(world: World) -> None:
    with Raw(world) as raw:
        for id in range(3):
            raw.socket.sendall(request(id))
            assert json.loads(raw.response()[1])["id"] == id


def test_pipelined_requests_are_answered_in_order_across_both_paths(world: World) -> None:
    health = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with Raw(world) as raw:
        raw.socket.sendall(request(1) + health + request(2) + request(3))
        assert json.loads(raw.response()[1])["id"] == 1
        assert raw.response() == (200, b"ok\n")
        assert [json.loads(raw.response()[1])["id"] for _ in range(2)] == [2, 3]


def test_a_request_may_arrive_byte_by_byte(world: World) -> None:
    with Raw(world) as raw:
        for byte in request(7):
            raw.socket.sendall(bytes([byte]))
        assert json.loads(raw.response()[1])["id"] == 7


class TestKnownHeads:
    """From its third request on a connection's head is known, if it is the same."""

    @pytest.fixture
    def raw(self, world: World) -> Iterator[Raw]:
        with Raw(world) as raw:
            for id in (1, 2):
                raw.socket.sendall(request(id))
                assert raw.response()[0] == 200
            yield raw

    def test_bodies_of_any_length(self, raw: Raw) -> None:
        for id in (3, 44, 555_555, 6):
            raw.socket.sendall(request(id))
            assert json.loads(raw.response()[1])["id"] == id

    @pytest.mark.parametrize("cuts", [(0, None), (0, 5, None), (-1, None), (-1, 3, 9, None)], ids=str)
    def test_in_pieces(self, raw: Raw, cuts: tuple[int | None, ...]) -> None:
        raw.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # so that most pieces arrive as they are
        for id in range(3, 23):
            data = request(id)
            begin = data.index(b"\r\n\r\n") + 4
            at = 0
            for cut in cuts:
                end = None if cut is None else begin + cut
                raw.socket.sendall(data[at:end])
                at = end or 0
            assert json.loads(raw.response()[1])["id"] == id

    def test_another_head_is_parsed(self, raw: Raw) -> None:
        raw.socket.sendall(request(3, "X-New: 1\r\n"))
        assert json.loads(raw.response()[1])["id"] == 3
        raw.socket.sendall(request(4).replace(TOKEN.encode(), b"x" * len(TOKEN)))
        assert raw.response()[0] == 401
        raw.socket.sendall(request(5))
        assert json.loads(raw.response()[1])["id"] == 5

    def test_several_at_once_and_other_paths_between(self, raw: Raw) -> None:
        health = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
        raw.socket.sendall(request(3) + request(4) + health + request(5))
        assert [json.loads(raw.response()[1])["id"] for _ in range(2)] == [3, 4]
        assert raw.response() == (200, b"ok\n")
        assert json.loads(raw.response()[1])["id"] == 5

    def test_a_body_that_is_too_large_is_refused(self, raw: Raw) -> None:
        length = b"%d" % (5 << 20)
        head, _, body = request(3).partition(b"\r\n\r\n")
        raw.socket.sendall(head.replace(b"Content-Length: %d" % len(body), b"Content-Length: " + length) + b"\r\n\r\n")
        with contextlib.suppress(OSError):  # it closes in the middle
            raw.socket.sendall(b" " * (5 << 20))
        assert raw.response()[0] == 413

    def test_a_body_that_does_not_come_is_not_waited_for(self, tmp_path: Path) -> None:
        with running_edge(tmp_path, SHORT) as edge, edge.connect() as raw:
            for id in (1, 2):
                raw.send(request(id))
                assert raw.response()[0] == 200
            raw.send(request(3).partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
            assert raw.response()[0] == 408
            assert raw.file.read() == b""

    def test_a_last_request_is_the_last(self, raw: Raw) -> None:
        raw.socket.sendall(request(3, "Connection: close\r\n"))
        assert json.loads(raw.response()[1])["id"] == 3
        assert raw.file.read() == b""


def test_expect_continue_is_answered(world: World) -> None:
    head, _, body = request(1, "Expect: 100-continue\r\n").partition(b"\r\n\r\n")
    with Raw(world) as raw:
        raw.socket.sendall(head + b"\r\n\r\n")
        assert raw.file.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert raw.file.readline() == b"\r\n"
        raw.socket.sendall(body)
        assert raw.response()[0] == 200


def test_connection_close_is_honoured(world: World) -> None:
    with Raw(world) as raw:
        raw.socket.sendall(request(1, "Connection: close\r\n"))
        assert raw.response()[0] == 200
        assert raw.file.read() == b""


def test_a_body_over_the_limit_is_refused_and_others_are_unharmed(world: World) -> None:
    with Raw(world) as raw, Raw(world) as other:
        raw.socket.sendall(request(1).replace(b"Content-Length: ", b"Content-Length: 9"))
        chunk = b"x" * (1 << 20)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):  # noqa: PT012 - it may take some chunks
            for _ in range(50):
                raw.socket.sendall(chunk)
        other.socket.sendall(request(2))
        assert other.response()[0] == 200


def test_headers_over_the_limit_are_refused(world: World) -> None:
    with Raw(world) as raw:
        raw.socket.sendall(request(1, "".join(f"X-{n}: {'y' * 1000}\r\n" for n in range(70))))
        assert raw.response()[0] == 431


def test_what_is_no_http_is_refused(world: World) -> None:
    with Raw(world) as raw:
        raw.socket.sendall(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
        assert raw.response()[0] == 400


@pytest.mark.parametrize("sent", [b"", b"POST /mcp HT", request()[:-10]], ids=["nothing", "half a head", "half a body"])
def test_a_stalled_connection_is_closed(tmp_path: Path, sent: bytes) -> None:
    with running_edge(tmp_path, SHORT) as edge, edge.connect() as raw:
        began = time.monotonic()
        raw.send(sent)
        assert raw.response()[0] == 408
        assert raw.file.read() == b""
        assert time.monotonic() - began < 2 * Limits().head_deadline + Limits().body_grace


def test_a_quiet_connection_is_closed_and_one_in_use_is_not(tmp_path: Path) -> None:
    with running_edge(tmp_path, Limits(idle_timeout=1)) as edge, edge.connect() as quiet, edge.connect() as busy:
        for raw in (quiet, busy):
            raw.send(request())
            assert raw.response()[0] == 200
        closed = threading.Thread(target=quiet.at_end)
        closed.start()
        while closed.is_alive():  # until the other one has been closed, this one is used
            busy.send(request())
            assert busy.response()[0] == 200
        assert quiet.at_end()
        busy.send(request())
        assert busy.response()[0] == 200


def test_what_comes_after_a_body_in_chunks_is_not_taken_for_headers(world: World) -> None:
    head, _, body = request(5, "Transfer-Encoding: chunked\r\n").partition(b"\r\n\r\n")
    head = b"\r\n".join(line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length"))
    trailers = b"Authorization: Bearer wrong\r\nMcp-Method: tools/call\r\n"
    with Raw(world) as raw:
        raw.socket.sendall(head + b"\r\n\r\n%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, trailers))
        status, answer = raw.response()
    assert (status, json.loads(answer)["id"]) == (200, 5)


def test_trailers_count_as_headers_for_their_limit(world: World) -> None:
    head, _, body = request(5, "Transfer-Encoding: chunked\r\n").partition(b"\r\n\r\n")
    head = b"\r\n".join(line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length"))
    with Raw(world) as raw:
        raw.socket.sendall(head + b"\r\n\r\n%x\r\n%b\r\n0\r\n" % (len(body), body))
        for number in range(70):
            raw.socket.sendall(b"X-%d: %b\r\n" % (number, b"x" * 1000))
        assert raw.response()[0] == 431
