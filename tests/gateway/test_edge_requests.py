"""Requests as clients and proxies really send them: RFC 9110 and RFC 9112 at the gateway's edge."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcpgateway.edge.exchange import HttpExchange
from mcpgateway.edge.limits import MAX_BLANK, MAX_FIELDS, MAX_HEAD, MAX_TARGET
from mcpgateway.edge.shared import Route
from tests.support.edges import RawConnection, RunningEdge, running_edge
from tests.support.gateways import TOKEN

META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEdge]:
    with running_edge(tmp_path_factory.mktemp("edge")) as edge:
        yield edge


@pytest.fixture
def raw(edge: RunningEdge) -> Iterator[RawConnection]:
    with edge.connect() as raw:
        yield raw


def body_of(id: int) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": id, "method": "tools/list", "params": {"_meta": META}}).encode()


def request(id: int, *fields: str, target: str = "/mcp", version: str = "1.1", body: bytes | None = None) -> bytes:
    content = body_of(id) if body is None else body
    lines = [
        f"POST {target} HTTP/{version}",
        "Host: localhost",
        f"Authorization: Bearer {TOKEN}",
        "Content-Type: application/json",
        "MCP-Protocol-Version: 2026-07-28",
        "Mcp-Method: tools/list",
        *fields,
        f"Content-Length: {len(content)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + content


def chunked(id: int, size: int) -> bytes:
    body = body_of(id)
    head = b"\r\n".join(line for line in request(id).partition(b"\r\n\r\n")[0].split(b"\r\n") if b"Length" not in line)
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[at : at + size] for at in range(0, len(body), size)))
    return head + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


def answered(raw: RawConnection, *ids: int) -> None:
    for id in ids:
        status, body = raw.response()
        assert (status, json.loads(body)["id"]) == (200, id)


class TestUpgrade:
    """RFC 9110 section 7.8: a server may ignore Upgrade; it then serves the request as if the field were absent."""

    @pytest.mark.parametrize("protocol", ["h2c", "websocket", "HTTP/2.0, SHTTP/1.3"])
    @pytest.mark.parametrize("served_before", [0, 1, 2])
    def test_the_body_of_a_request_to_upgrade_is_not_served_as_a_request(
        self, raw: RawConnection, protocol: str, served_before: int
    ) -> None:
        for id in range(served_before):
            raw.send(request(id))
            answered(raw, id)
        smuggled = request(66)
        raw.send(request(1, "Connection: Upgrade, HTTP2-Settings", f"Upgrade: {protocol}", body=smuggled) + request(2))
        status, body = raw.response()
        assert (status, json.loads(body)["error"]["code"]) == (400, -32700), "the body is no JSON"
        answered(raw, 2)
        raw.send(request(3, "Connection: Upgrade", f"Upgrade: {protocol}"))
        answered(raw, 3)

    def test_a_body_of_another_path_is_not_served_as_a_request(self, raw: RawConnection) -> None:
        smuggled = request(66)
        head = (
            f"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: {len(smuggled)}"
        )
        raw.send(head.encode() + b"\r\n\r\n" + smuggled + request(1))
        assert raw.response() == (200, b"ok\n")
        answered(raw, 1)

    def test_chunks_of_a_request_to_upgrade_are_its_body(self, raw: RawConnection) -> None:
        raw.send(chunked(1, 7).replace(b"\r\nTransfer", b"\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nTransfer") + request(2))
        answered(raw, 1, 2)

    def test_connect_is_refused(self, raw: RawConnection) -> None:
        raw.send(b"CONNECT internal:443 HTTP/1.1\r\nHost: internal:443\r\n\r\n")
        assert raw.response()[0] == 501
        assert raw.at_end()


class TestPipelines:
    """RFC 9112 section 9.3.2."""

    def test_the_body_of_one_request_may_come_together_with_the_next_request(self, raw: RawConnection) -> None:
        first = request(1)
        head = first.index(b"\r\n\r\n") + 4
        raw.send(first[:head])
        raw.send(first[head:] + request(2))
        answered(raw, 1, 2)

    def test_two_requests_cut_at_every_byte(self, edge: RunningEdge) -> None:
        data = request(1) + HEALTH + chunked(2, 50)
        for cut in range(1, len(data), 3):
            with edge.connect() as raw:
                raw.send(data[:cut])
                raw.send(data[cut:])
                answered(raw, 1)
                assert raw.response() == (200, b"ok\n")
                answered(raw, 2)

    def test_any_number_of_requests_is_answered_in_order(self, raw: RawConnection) -> None:
        for begin in range(0, 1000, 100):
            raw.send(b"".join(map(request, range(begin, begin + 100))))
        answered(raw, *range(1000))

    def test_requests_after_the_last_one_are_not_served(self, edge: RunningEdge, raw: RawConnection) -> None:
        before = edge.server.server_state.total_requests
        raw.send(request(1, "Connection: close") + request(2))
        answered(raw, 1)
        assert raw.at_end()
        assert edge.server.server_state.total_requests == before + 1

    def test_chunks_of_one_byte(self, raw: RawConnection) -> None:
        raw.send(chunked(1, 1) + request(2))
        answered(raw, 1, 2)

    def test_a_line_break_after_a_body_is_ignored(self, raw: RawConnection) -> None:
        raw.send(b"\r\n" + request(1) + b"\r\n" + request(2) + b"\r\n")
        answered(raw, 1, 2)
        raw.send(request(3))
        answered(raw, 3)


class TestBounds:
    def test_a_request_target_at_the_bound_and_beyond(self, raw: RawConnection) -> None:
        query = "?" + "q" * (MAX_TARGET - len("/mcp?"))
        raw.send(request(1, target="/mcp" + query))
        answered(raw, 1)
        raw.send(request(1, target="/mcp" + query + "q"))
        assert raw.response()[0] == 414
        assert raw.at_end()

    def test_a_request_target_without_end_is_refused_early(self, edge: RunningEdge) -> None:
        with edge.connect() as raw, edge.connect() as other:
            raw.send(b"GET /")
            with pytest.raises(OSError, match=r"reset|Broken pipe"):  # noqa: PT012 - it may take some pieces
                for _ in range(400):
                    raw.send(b"x" * (1 << 18))
                    other.send(HEALTH)
                    assert other.response() == (200, b"ok\n")
            assert raw.response()[0] == 414

    def test_one_header_without_end_is_refused_early(self, raw: RawConnection) -> None:
        raw.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * (MAX_HEAD + 1))
        assert raw.response()[0] == 431

    def test_the_number_of_headers_at_the_bound_and_beyond(self, raw: RawConnection) -> None:
        most = [f"X-{n}: 1" for n in range(MAX_FIELDS - 6)]
        raw.send(request(1, *most))
        answered(raw, 1)
        raw.send(request(1, *most, "X-More: 1"))
        assert raw.response()[0] == 431

    def test_empty_lines_at_the_bound_and_beyond(self, raw: RawConnection) -> None:
        raw.send(b"\r\n" * (MAX_BLANK // 2) + request(1))
        answered(raw, 1)
        raw.send(b"\r\n" * (MAX_BLANK // 2) + b"\r\n")
        assert raw.response()[0] == 400

    def test_a_body_at_the_bound_and_beyond(self, edge: RunningEdge) -> None:
        limit = edge.edge.router.config.request_bytes
        with edge.connect() as raw:
            padding = b" " * (limit - len(body_of(1)))
            raw.send(request(1, body=body_of(1) + padding))
            answered(raw, 1)
            raw.send(request(1, body=b"").replace(b"Content-Length: 0", b"Content-Length: %d" % (limit + 1)))
            assert raw.response()[0] == 413
            assert raw.at_end()

    def test_a_body_in_chunks_beyond_the_bound(self, edge: RunningEdge, raw: RawConnection) -> None:
        limit = edge.edge.router.config.request_bytes
        head = chunked(1, 100).partition(b"\r\n\r\n")[0]
        raw.send(head + b"\r\n\r\n%x\r\n" % limit + b" " * limit + b"\r\n1\r\n")
        assert raw.response()[0] == 413

    def test_extensions_of_chunks_are_bounded_in_sum(self, raw: RawConnection) -> None:
        head = chunked(1, 100).partition(b"\r\n\r\n")[0]
        raw.send(head + b"\r\n\r\n" + (b"1;" + b"x" * 1000 + b"\r\n \r\n") * (MAX_HEAD // 1000 + 1))
        assert raw.response()[0] == 431

    def test_a_body_is_refused_before_it_is_sent_if_the_credentials_are_wrong(self, raw: RawConnection) -> None:
        data = request(1, "Expect: 100-continue").replace(TOKEN.encode(), b"wrong")
        raw.send(data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
        status, headers = raw.head()
        assert (status, headers["connection"]) == (401, "close")

    def test_a_client_that_sends_a_large_body_can_read_why_it_is_refused(self, raw: RawConnection) -> None:
        size = 5 << 20
        raw.send(request(1, body=b"").replace(b"Content-Length: 0", b"Content-Length: %d" % size) + b" " * size)
        assert raw.response()[0] == 413
        assert raw.at_end()


class TestHead:
    @pytest.mark.parametrize("path", ["/mcp", "/sse", "/sse/messages", "/mcp/"])
    def test_head_of_a_stream_is_not_served_and_the_next_request_is(self, raw: RawConnection, path: str) -> None:
        raw.send(f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode() + request(1))
        status, headers = raw.head()
        assert status == 405
        assert "HEAD" not in headers["allow"]
        answered(raw, 1)

    def test_head_of_health_has_no_body(self, raw: RawConnection) -> None:
        raw.send(HEALTH.replace(b"GET", b"HEAD") + HEALTH)
        status, headers = raw.head()
        assert (status, headers["content-length"]) == (200, "3")
        assert raw.response() == (200, b"ok\n")


class TestHosts:
    @pytest.mark.parametrize("name", ["Host", "Origin", "Authorization", "Mcp-Session-Id", "Content-Type"])
    def test_a_field_with_one_value_must_occur_once(self, raw: RawConnection, name: str) -> None:
        raw.send(request(1, f"{name}: http://localhost", f"{name}: http://localhost"))
        status, body = raw.response()
        assert status == 400
        assert name.lower() in json.loads(body)["error"]["message"]
        assert raw.at_end()

    @pytest.mark.parametrize("host", ["evil\\@127.0.0.1", "evil@127.0.0.1", "localhost/", "localhost:x", "localhost evil", ""])
    def test_an_odd_host_is_refused(self, raw: RawConnection, host: str) -> None:
        raw.send(request(1).replace(b"Host: localhost", f"Host: {host}".encode()))
        assert raw.response()[0] == 400

    def test_another_host_is_refused(self, raw: RawConnection) -> None:
        raw.send(request(1).replace(b"Host: localhost", b"Host: evil.example.com") + request(2))
        assert raw.response()[0] == 421
        answered(raw, 2)

    def test_a_request_without_host_is_refused(self, raw: RawConnection) -> None:
        raw.send(request(1).replace(b"Host: localhost\r\n", b""))
        assert raw.response()[0] == 400

    def test_an_absolute_target_is_served_and_its_host_counts(self, raw: RawConnection) -> None:
        raw.send(request(1, target="http://localhost:8811/mcp").replace(b"Host: localhost", b"Host: evil.example.com"))
        answered(raw, 1)
        raw.send(request(2, target="HTTP://evil.example.com/mcp"))
        assert raw.response()[0] == 421
        raw.send(HEALTH.replace(b"/health", b"http://localhost/health?probe=1"))
        assert raw.response() == (200, b"ok\n")

    @pytest.mark.parametrize("target", ["ftp://localhost/mcp", "localhost:8811", "mcp"])
    def test_another_form_of_target_is_refused(self, raw: RawConnection, target: str) -> None:
        raw.send(request(1, target=target))
        assert raw.response()[0] == 400

    def test_a_trailing_slash_is_served_and_not_redirected(self, raw: RawConnection) -> None:
        raw.send(request(1, target="/mcp/") + request(2, target="/mcp/").replace(b"localhost", b"evil.example.com"))
        answered(raw, 1)
        assert raw.response()[0] == 421


class TestVersions:
    def test_a_response_to_http_1_0_is_not_in_chunks_and_ends_the_connection(self, raw: RawConnection) -> None:
        raw.send(request(1, version="1.0"))
        status, headers = raw.head()
        assert (status, headers["connection"]) == (200, "close")
        assert json.loads(raw.file.read())["id"] == 1

    def test_a_stream_to_http_1_0_is_not_in_chunks(self, raw: RawConnection) -> None:
        raw.send(f"GET /sse HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
        status, headers = raw.head()
        assert (status, headers["connection"]) == (200, "close")
        assert "transfer-encoding" not in headers
        assert raw.file.readline() == b"event: endpoint\n"

    def test_chunks_are_not_part_of_http_1_0(self, raw: RawConnection) -> None:
        raw.send(chunked(1, 50).replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert raw.response()[0] == 400

    @pytest.mark.parametrize(
        ("line", "status"), [("GET / HTTP/2.0", 505), ("GET /", 400), ("GET  / HTTP/1.1", 400), ("get / HTTP/1.1", 400)]
    )
    def test_another_request_line_is_refused(self, raw: RawConnection, line: str, status: int) -> None:
        raw.send(f"{line}\r\nHost: localhost\r\n\r\n".encode())
        assert raw.response()[0] == status

    @pytest.mark.parametrize("coding", ["gzip, chunked", "gzip", "identity", "chunked, chunked"])
    def test_another_transfer_coding_is_refused(self, raw: RawConnection, coding: str) -> None:
        raw.send(chunked(1, 50).replace(b": chunked", f": {coding}".encode()) + request(66))
        assert raw.response()[0] in (400, 501)
        assert raw.at_end()

    @pytest.mark.parametrize(
        "more", ["Content-Length: 5", "Transfer-Encoding: chunked", "Content-Length: +5", "Content-Length: 5, 5"]
    )
    def test_an_ambiguous_length_is_refused(self, raw: RawConnection, more: str) -> None:
        raw.send(request(1, more))
        assert raw.response()[0] == 400
        assert raw.at_end()

    @pytest.mark.parametrize("field", ["Accept: Application/JSON", "ACCEPT: Text/Event-Stream, APPLICATION/*"])
    def test_media_types_are_case_insensitive(self, raw: RawConnection, field: str) -> None:
        raw.send(request(1, field).replace(b"application/json", b"Application/JSON; charset=UTF-8"))
        answered(raw, 1)

    def test_a_response_has_a_date(self, raw: RawConnection) -> None:
        raw.send(HEALTH)
        assert raw.head()[1]["date"].endswith(" GMT")


class TestRoutes:
    @pytest.mark.parametrize(
        ("method", "path", "allow"),
        [
            ("PUT", "/mcp", "DELETE, GET, POST"),
            ("OPTIONS", "/mcp/", "DELETE, GET, POST"),
            ("POST", "/sse", "GET"),
            ("GET", "/sse/messages?id=1", "POST"),
            ("DELETE", "/health", "GET, HEAD"),
        ],
    )
    def test_a_method_that_a_path_does_not_have(self, raw: RawConnection, method: str, path: str, allow: str) -> None:
        raw.send(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode() + HEALTH)
        status, headers = raw.head()
        assert (status, headers["allow"]) == (405, allow)
        raw.file.read(int(headers["content-length"]))
        assert raw.response() == (200, b"ok\n")

    @pytest.mark.parametrize("path", ["/", "/mcp/x", "/MCP", "/mcp%2f", "//mcp", "/../mcp", "*"])
    def test_a_path_that_does_not_exist(self, raw: RawConnection, path: str) -> None:
        raw.send(f"OPTIONS {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() + HEALTH)
        assert raw.response()[0] == 404
        assert raw.response() == (200, b"ok\n")

    @pytest.mark.parametrize("query", ["", "?id=", "?id=1&id=2", "?" + "&".join(f"p{n}=1" for n in range(100)), "?id=%ff"])
    def test_a_message_to_no_stream_is_refused(self, raw: RawConnection, query: str) -> None:
        raw.send(request(1, target="/sse/messages" + query))
        assert raw.response()[0] == 404


def test_an_exception_of_a_handler_is_a_response_with_the_id_of_its_request(tmp_path: Path) -> None:
    def broken(exchange: HttpExchange) -> None:
        raise RuntimeError("planted")

    with running_edge(tmp_path) as edge, edge.connect() as raw:
        edge.edge._routes = {**edge.edge._routes, b"/mcp": Route({b"POST": broken})}
        raw.send(request(41) + HEALTH)
        status, body = raw.response()
        assert (status, json.loads(body)["id"], json.loads(body)["error"]) == (
            500,
            41,
            {"code": -32603, "message": "internal error"},
        )
        assert raw.response() == (200, b"ok\n"), "the connection still serves"
        assert edge.metric("mcpgateway_internal_errors_total", boundary="exchange") == 1


def test_an_exception_of_a_connection_ends_that_connection_only(tmp_path: Path) -> None:
    with running_edge(tmp_path) as edge, edge.connect() as raw, edge.connect() as other:
        routes, edge.edge._routes = edge.edge._routes, None  # type: ignore[assignment]
        raw.send(HEALTH)
        status, body = raw.response()
        assert (status, b"Traceback" in body) == (500, False)
        assert raw.at_end()
        edge.edge._routes = routes
        other.send(HEALTH)
        assert other.response() == (200, b"ok\n")
        assert edge.metric("mcpgateway_internal_errors_total", boundary="connection") == 1
