"""Clients that are slow, do not read, are many, or try tokens: each is bounded, and others are served meanwhile."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcpgateway.access.failed_logins import FREE, FailedLogins
from mcpgateway.edge.connection import Connection
from mcpgateway.edge.guard import peer_address
from mcpgateway.edge.limits import MAX_AHEAD, MAX_READ, Limits
from tests.gateway.test_edge_requests import HEALTH, META, request
from tests.support.bridges import until
from tests.support.edges import RawConnection, RunningEdge, running_edge
from tests.support.gateways import TOKEN
from tests.support.waiting import PATIENCE

RECEIVE = MAX_READ  # bytes that are read at once
HIGH_WATER = 64 << 10  # bytes that a transport takes before it pauses its protocol


@contextlib.contextmanager
def edge_with(folder: Path, **limits: float) -> Iterator[RunningEdge]:
    with running_edge(folder, Limits(**limits)) as edge:  # type: ignore[arg-type]
        yield edge


def served(edge: RunningEdge) -> Connection:
    """The server's side of the only connection."""
    (connection,) = edge.server.server_state.connections
    assert isinstance(connection, Connection)
    return connection


def held(connection: Connection) -> int:
    """Bytes that the server keeps for a connection."""
    return connection.unread + len(connection._ahead)


def echoing(size: int) -> bytes:
    """A request whose response is at least so large: it repeats the id."""
    body = {"jsonrpc": "2.0", "id": "x" * size, "method": "tools/list", "params": {"_meta": META}}
    return request(0, body=json.dumps(body).encode())


class TestReaders:
    @pytest.mark.parametrize(
        "data", [HEALTH, request(1), request(1).replace(TOKEN.encode(), b"wrong")], ids=["200", "call", "401"]
    )
    def test_a_client_that_does_not_read_is_not_read_either_and_then_cut(self, tmp_path: Path, data: bytes) -> None:
        with edge_with(tmp_path, write_grace=1, failed_login_delay=0) as edge, edge.connect() as raw:
            raw.send(data)
            raw.response()
            connection, most = served(edge), 0
            with pytest.raises(OSError, match=r"reset|Broken pipe"):  # noqa: PT012 - it takes what the kernel's buffers hold
                while True:
                    raw.socket.send(data * 100)
                    most = max(most, held(connection))
            assert most <= MAX_AHEAD + RECEIVE + HIGH_WATER + len(data)
            until("the connection to be closed", lambda: edge.edge.guard.connections == 0)
            assert edge.metric("mcpgateway_connections_cut_total", phase="response") == 1

    def test_unread_responses_are_bounded_by_one_of_them(self, tmp_path: Path) -> None:
        size = 3 << 20
        with edge_with(tmp_path, write_grace=1) as edge, edge.connect() as raw, edge.connect() as other:
            raw.send(HEALTH)
            raw.response()
            connection, most, data = served_of(edge, raw), 0, echoing(size)
            with pytest.raises(OSError, match=r"reset|Broken pipe"):  # noqa: PT012
                for _ in range(60):
                    raw.send(data)
                    most = max(most, held(connection))
                    other.send(HEALTH)
                    assert other.response() == (200, b"ok\n")
            assert most <= 2 * (size + RECEIVE)

    def test_a_client_that_reads_slowly_gets_all_of_its_response(self, tmp_path: Path) -> None:
        size = 3 << 20
        with edge_with(tmp_path, write_grace=0.5) as edge:
            with socket.socket() as slow:
                slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
                slow.connect(("127.0.0.1", edge.port))
                slow.sendall(echoing(size))
                received = 0
                while received < size:
                    data = slow.recv(64 << 10)
                    assert data, "it was cut"
                    received += len(data)
                    time.sleep(0.03)
            assert edge.metric("mcpgateway_connections_cut_total", phase="response") == 0

    def test_a_closed_connection_with_unread_bytes_does_not_stay(self, tmp_path: Path) -> None:
        with edge_with(tmp_path, write_grace=1) as edge, socket.socket() as mute:
            mute.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 10)
            mute.connect(("127.0.0.1", edge.port))
            mute.sendall(echoing(3 << 20).replace(b"Host:", b"Connection: close\r\nHost:"))
            until("a response", lambda: edge.server.server_state.total_requests == 1)
            until("the connection to be closed", lambda: edge.edge.guard.connections == 0)


def served_of(edge: RunningEdge, raw: RawConnection) -> Connection:
    """The server's side of a connection."""
    own = raw.socket.getsockname()
    for connection in edge.server.server_state.connections:
        assert isinstance(connection, Connection)
        assert connection._transport is not None
        if connection._transport.get_extra_info("peername") == own:
            return connection
    raise AssertionError("no such connection")


class TestSenders:
    def trickle(self, raw: RawConnection, piece: bytes) -> None:
        """Send a piece ten times a second until the server responds or closes."""
        while not select.select([raw.socket], [], [], 0.1)[0]:
            raw.send(piece)

    def test_empty_lines_do_not_keep_a_new_connection(self, tmp_path: Path) -> None:
        with edge_with(tmp_path, head_deadline=1) as edge, edge.connect() as raw:
            self.trickle(raw, b"\r\n")
            assert raw.response()[0] == 408
            assert raw.at_end()

    def test_empty_lines_do_not_keep_an_idle_connection(self, tmp_path: Path) -> None:
        with edge_with(tmp_path, idle_timeout=1) as edge, edge.connect() as raw:
            raw.send(HEALTH)
            raw.response()
            self.trickle(raw, b"\r\n")
            assert raw.at_end()

    @pytest.mark.parametrize("piece", [b"\r", b"\n"])
    def test_half_an_empty_line_before_a_request_is_refused(self, tmp_path: Path, piece: bytes) -> None:
        with edge_with(tmp_path) as edge, edge.connect() as raw:
            raw.send(HEALTH)
            raw.response()
            self.trickle(raw, piece)
            assert raw.response()[0] == 400
            assert raw.at_end()

    def test_a_head_that_comes_byte_by_byte_is_not_waited_for(self, tmp_path: Path) -> None:
        with edge_with(tmp_path, head_deadline=1) as edge, edge.connect() as raw:
            raw.send(HEALTH + b"GET /")
            raw.response()
            self.trickle(raw, b"x")
            assert raw.response()[0] == 408
            assert edge.metric("mcpgateway_connections_cut_total", phase="head") == 1

    @pytest.mark.parametrize("served_before", [0, 3])
    @pytest.mark.parametrize("piece", [b" ", b"1\r\n \r\n"], ids=["length", "chunks"])
    def test_a_body_that_comes_byte_by_byte_is_not_waited_for(self, tmp_path: Path, piece: bytes, served_before: int) -> None:
        head = request(1, body=b" " * 5000).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        if piece != b" ":
            head = head.replace(b"Content-Length: 5000", b"Transfer-Encoding: chunked")
        with edge_with(tmp_path, body_grace=1) as edge, edge.connect() as raw:
            for id in range(served_before):
                raw.send(request(id, body=json.dumps({"id": id}).encode().ljust(5000)))
                raw.response()
            raw.send(head)
            self.trickle(raw, piece)
            assert raw.response()[0] == 408
            assert edge.metric("mcpgateway_connections_cut_total", phase="body") == 1

    def test_a_large_body_may_take_longer_at_its_rate(self, tmp_path: Path) -> None:
        body = request(1).partition(b"\r\n\r\n")[2].ljust(400_000)
        data = request(1, body=body)
        with edge_with(tmp_path, body_grace=0.5) as edge, edge.connect() as raw:
            for at in range(0, len(data), 20_000):
                raw.send(data[at : at + 20_000])
                time.sleep(0.05)
            assert raw.response()[0] == 200


class TestConnections:
    def test_the_total_at_the_bound_and_beyond(self, tmp_path: Path) -> None:
        with edge_with(tmp_path, connections=3) as edge, contextlib.ExitStack() as stack:
            admitted = [stack.enter_context(edge.connect()) for _ in range(3)]
            for raw in admitted:
                raw.send(HEALTH)
                assert raw.response() == (200, b"ok\n")
            with edge.connect() as refused:
                status, headers = refused.head()
                assert (status, headers["retry-after"]) == (503, "5")
            admitted[0].socket.close()
            admitted[0].file.close()
            until("a place to be free", lambda: edge.edge.guard.connections == 2)
            with edge.connect() as raw:
                raw.send(HEALTH)
                assert raw.response() == (200, b"ok\n")
            assert edge.metric("mcpgateway_connections_refused_total", reason="total") == 1

    def test_the_connections_of_one_address_at_the_bound_and_beyond(self, tmp_path: Path) -> None:
        with edge_with(tmp_path, connections_per_address=2) as edge, edge.connect() as one, edge.connect() as two:
            for raw in (one, two):
                raw.send(HEALTH)
                assert raw.response() == (200, b"ok\n")
            with edge.connect() as refused:
                assert refused.response()[0] == 503
            with socket.create_connection(("127.0.0.1", edge.port), source_address=("127.0.0.2", 0), timeout=PATIENCE) as other:
                other.sendall(HEALTH)
                assert other.recv(15) == b"HTTP/1.1 200 OK"
            assert edge.metric("mcpgateway_connections_refused_total", reason="address") == 1

    def test_many_that_send_nothing_harm_no_other_and_are_closed(self, tmp_path: Path) -> None:
        with edge_with(tmp_path, head_deadline=3) as edge, contextlib.ExitStack() as stack:
            for number in range(300):
                stack.enter_context(edge.connect()).send(b"\r\nPOST /mcp"[: number % 12])
            until("all connections", lambda: edge.edge.guard.connections == 300)
            with edge.connect() as raw:
                raw.send(request(1))
                assert raw.response()[0] == 200
            until("all of them to be closed", lambda: edge.edge.guard.connections == 0)

    @pytest.mark.parametrize(
        ("peer", "address"),
        [
            (("10.0.0.1", 1), "10.0.0.1"),
            (("2001:db8:1:2:3:4:5:6", 1, 0, 0), "2001:db8:1:2::/64"),
            (("::ffff:10.0.0.1", 1, 0, 0), "10.0.0.1"),
            (("fe80::1%eth0", 1, 0, 2), "fe80::/64"),
            ("", ""),
            (None, ""),
        ],
    )
    def test_an_ipv6_network_counts_as_one_address(self, peer: object, address: str) -> None:
        assert peer_address(peer) == address


class TestWrongTokens:
    WRONG = request(1).replace(TOKEN.encode(), b"wrong")

    def test_refusals_wait_after_many_and_a_right_token_does_not(self, tmp_path: Path) -> None:
        with edge_with(tmp_path, failed_login_delay=3600) as edge, edge.connect() as wrong, edge.connect() as right:
            for _ in range(FREE):
                wrong.send(self.WRONG)
                assert wrong.response()[0] == 401
            wrong.send(self.WRONG)
            until("the refusal to wait", lambda: edge.metric("mcpgateway_auth_failures_total") == FREE + 1)
            right.send(request(1))
            assert right.response()[0] == 200
            assert not select.select([wrong.socket], [], [], 0)[0], "it is not answered yet"

    def test_a_refusal_that_waited_is_sent(self, tmp_path: Path) -> None:
        with edge_with(tmp_path, failed_login_delay=0.1) as edge, edge.connect() as raw:
            for _ in range(FREE + 3):
                raw.send(self.WRONG)
                assert raw.response()[0] == 401
            raw.send(request(1))
            assert raw.response()[0] == 200

    def test_a_count_decays_and_belongs_to_one_address(self) -> None:
        failed = FailedLogins(delay=1.5)
        assert [failed.record("a", 100.0) for _ in range(FREE + 2)] == [0.0] * FREE + [1.5, 1.5]
        assert failed.record("b", 100.0) == 0.0
        assert failed.record("a", 100.5) == 1.5
        assert [failed.record("a", 103.0) for _ in range(2)] == [0.0, 1.5]
        assert failed.record("a", 200.0) == 0.0


class TestMemory:
    def test_new_work_is_refused_while_memory_is_short(self, tmp_path: Path) -> None:
        with edge_with(tmp_path) as edge, edge.connect() as raw:
            edge.memory.shedding = True
            raw.send(request(1))
            status, headers = raw.head()
            assert (status, headers["retry-after"]) == (503, "5")
            raw.file.read(int(headers["content-length"]))
            for path in ("/mcp", "/sse"):
                raw.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
                assert raw.response()[0] == 503
            raw.send(HEALTH)
            assert raw.response() == (200, b"ok\n")
            raw.send(
                f"DELETE /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nMcp-Session-Id: x\r\n\r\n".encode()
            )
            assert raw.response()[0] == 404, "a session can be ended, if it exists"
            edge.memory.shedding = False
            raw.send(request(2))
            assert raw.response()[0] == 200
