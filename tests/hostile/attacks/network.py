"""Attacks by bytes: requests that two parsers could read in two ways, and connections that cost more than they bring."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

from tests.hostile.world import World

from .registry import attack
from .sockets import BOMB, connected, exchange, head, post, pushed, received, said

CLOSE = "Connection: close"
LAST = post(b'{"jsonrpc":"2.0","id":9,"method":"ping"}', CLOSE)
INNER = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"


def _upgraded(token: str) -> bytes:
    return post(INNER, "Connection: Upgrade", f"Upgrade: {token}")


@attack("E1", "`Upgrade: h2c` on a request whose body holds another request", expects="^400 ...$")
def upgrade_h2c(world: World) -> str:
    return exchange(world, _upgraded("h2c"), LAST)


@attack("E1", "`Upgrade: websocket`, the same", expects="^400 ...$")
def upgrade_websocket(world: World) -> str:
    return exchange(world, _upgraded("websocket"), LAST)


@attack("E1", "`GET /health` with `Upgrade` and a body that holds a request", expects="^200 ...$|^4.. ...$|^400$")
def upgrade_health(world: World) -> str:
    request = head("GET", "/health", f"Content-Length: {len(INNER)}", "Connection: Upgrade", "Upgrade: h2c") + INNER
    return exchange(world, request, LAST)


@attack("E1", "`Content-Length` beside `Transfer-Encoding`", expects="^400")
def two_lengths(world: World) -> str:
    return exchange(world, head("POST", "/mcp", "Content-Length: 4", "Transfer-Encoding: chunked", CLOSE) + b"0\r\n\r\n" + INNER)


@attack("E1", "two different `Content-Length`", expects="^400")
def two_content_lengths(world: World) -> str:
    return exchange(world, head("POST", "/mcp", "Content-Length: 40", "Content-Length: 2", CLOSE) + INNER)


@attack(
    "E2", "requests are sent for as long as the gateway reads, answers never read", expects="^(reading stops|cut|still reads)"
)
def never_reads(world: World) -> str:
    return _flood(world, post(token="wrong"))


@attack("E2", "the same with good tokens", expects="^(reading stops|cut|still reads)")
def never_reads_answers(world: World) -> str:
    return _flood(world, post())


def _flood(world: World, request: bytes) -> str:
    block, sent = request * 200, 0
    with connected(world) as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        link.settimeout(1.0)
        deadline = time.monotonic() + 3.0
        try:
            while time.monotonic() < deadline and sent < 64 << 20:
                sent += link.send(block)
        except TimeoutError:
            return "reading stops"
        except OSError:
            return "cut"
    return "still reads, what is unread is bounded"


@contextlib.contextmanager
def many(world: World, count: int) -> Iterator[list[socket.socket]]:
    """So many connections at once, as far as the gateway takes them."""
    with contextlib.ExitStack() as stack:
        links = []
        for _ in range(count):
            with contextlib.suppress(OSError):
                links.append(stack.enter_context(connected(world)))
        yield links


@attack("E3", "a request target of 20 MiB", expects="^(414|400|431|no response)$")
def long_target(world: World) -> str:
    return pushed(world, b"GET /" + b"a" * (20 << 20))


@attack("E3", "one header of 20 MiB", expects="^(431|400|no response)$")
def long_header(world: World) -> str:
    return pushed(world, b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * (20 << 20))


@attack("E3", "100,000 headers", expects="^(431|400|no response)$")
def many_headers(world: World) -> str:
    return pushed(world, b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"a: b\r\n" * 100_000)


@attack("E3", "a chunk extension of 8 MiB", expects="^(4..|no response|cut)")
def long_chunk_extension(world: World) -> str:
    return pushed(world, head("POST", "/mcp", "Transfer-Encoding: chunked") + b"1;" + b"a" * (8 << 20))


@attack("E3", "100,000 trailers", expects="^(4..|no response|cut)")
def many_trailers(world: World) -> str:
    return pushed(world, head("POST", "/mcp", "Transfer-Encoding: chunked") + b"1\r\n{\r\n0\r\n" + b"a: b\r\n" * 100_000)


@attack("E3", "a body of 200,000 chunks of one byte", expects="^4..")
def tiny_chunks(world: World) -> str:
    return pushed(world, head("POST", "/mcp", "Transfer-Encoding: chunked", CLOSE) + b"1\r\n \r\n" * 200_000 + b"0\r\n\r\n")


@attack("E3", "a body beyond the limit", expects="^413")
def large_body(world: World) -> str:
    return pushed(world, head("POST", "/mcp", f"Content-Length: {64 << 20}", CLOSE) + b" " * (8 << 20))


@attack("E4", "200 connections that send CRLF for ever", expects="^200 connections")
def line_ends(world: World) -> str:
    with many(world, 200) as links:
        for _ in range(10):
            for link in links:
                with contextlib.suppress(OSError):
                    link.sendall(b"\r\n")
            time.sleep(0.1)
        return f"{len(links)} connections, cut later"


@attack("E4", "200 bodies of one byte a second", expects="^200 connections")
def slow_bodies(world: World) -> str:
    with many(world, 200) as links:
        for link in links:
            link.sendall(head("POST", "/mcp", "Content-Length: 1000"))
        for _ in range(2):
            for link in links:
                with contextlib.suppress(OSError):
                    link.sendall(b" ")
            time.sleep(1)
        return f"{len(links)} connections, cut later"


@attack("E4", "200 heads of one byte at a time", expects="^200 connections")
def slow_heads(world: World) -> str:
    with many(world, 200) as links:
        for byte in b"POST /mcp HT":
            for link in links:
                with contextlib.suppress(OSError):
                    link.sendall(bytes([byte]))
            time.sleep(0.1)
        return f"{len(links)} connections, cut later"


@attack("E4", "1,500 connections that say nothing", expects="^[0-9]+ connections")
def silent_connections(world: World) -> str:
    with many(world, 1_500) as links:
        time.sleep(1)
        return f"{len(links)} connections, cut later"


@attack("E4", "2,000 connections, each closed at once", expects="^2000 connections")
def short_connections(world: World) -> str:
    count = 0
    for _ in range(2_000):
        with contextlib.suppress(OSError), connected(world):
            count += 1
    return f"{count} connections"


@attack("E5", "two requests, cut in the middle of the first one's body", expects="^(200|400|404) (200|400|404)$")
def split_pipeline(world: World) -> str:
    first = post()
    with connected(world) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.sendall(first[:-10])
        time.sleep(0.05)
        link.sendall(first[-10:] + LAST)
        return said(received(link))


@attack("E5", "1,000 requests in one segment", expects="^([0-9]{3} ?)+")
def long_pipeline(world: World) -> str:
    with connected(world) as link:
        with contextlib.suppress(OSError):
            link.sendall(post() * 1_000 + LAST)
        statuses = said(received(link)).split()
    return " ".join(dict.fromkeys(statuses))


@attack("E6", "`HEAD /mcp`, then a request", expects="^(405|4..) ")
def head_then_request(world: World) -> str:
    return exchange(world, head("HEAD"), LAST)


@attack("E6", "`HEAD /sse`, then a request", expects="^(405|4..) ")
def head_sse_then_request(world: World) -> str:
    return exchange(world, head("HEAD", "/sse"), LAST)


@attack("E6", "two `Host`", expects="^400")
def two_hosts(world: World) -> str:
    return exchange(world, post(b"{}", "Host: evil.example", CLOSE))


@attack("E6", r"`Host: evil\@127.0.0.1`", expects="^(400|403|421)")
def host_with_backslash(world: World) -> str:
    return exchange(world, post(b"{}", CLOSE, host="evil\\@127.0.0.1"))


@attack("E6", "two `Origin`, the second one good", expects="^(400|403)")
def two_origins(world: World) -> str:
    return exchange(world, post(b"{}", "Origin: http://evil.example", "Origin: http://localhost", CLOSE))


@attack("E6", "`/mcp/` with a foreign `Host`", expects="^(400|403|421)")
def foreign_host_with_slash(world: World) -> str:
    return exchange(world, post(b"{}", CLOSE, host="evil.example", target="/mcp/"))


@attack("E6", "chunked coding in HTTP/1.0", expects="^(400|505|[0-9]{3}|no response)")
def chunked_in_1_0(world: World) -> str:
    return exchange(world, head("POST", "/mcp", "Transfer-Encoding: chunked").replace(b"HTTP/1.1", b"HTTP/1.0") + b"0\r\n\r\n")


@attack("E6", "bytes that are no HTTP: a TLS hello, binary, an HTTP/2 preface", expects="^(400|no response|505)")
def no_http(world: World) -> str:
    words = [
        exchange(world, raw) for raw in (b"\x16\x03\x01\x02\x00\x01" * 50, bytes(range(256)), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    ]
    return " / ".join(words)


@attack("E7", "100 wrong tokens at once", expects="^(401|429)$")
def wrong_tokens(world: World) -> str:
    """The answers of the first ones: those after them are delayed, and their clients go."""
    with many(world, 100) as links:
        for number, link in enumerate(links):
            link.sendall(post(b"{}", CLOSE, token=f"wrong-{number}"))
        return " ".join(sorted({said(received(link)) for link in links[:10]}))


@attack("body", "3 MiB of `[`", expects="^400$")
def deep_body(world: World) -> str:
    return pushed(world, post(BOMB, CLOSE))


@attack("body", "an id of 3 million digits", expects="^(400|200)$")
def long_id(world: World) -> str:
    return pushed(world, post(b'{"jsonrpc":"2.0","id":' + b"1" * 3_000_000 + b',"method":"ping"}', CLOSE))


@attack("body", "3 MiB that are not UTF-8", expects="^400$")
def no_utf8(world: World) -> str:
    return pushed(world, post(b"\xff" * (3 << 20), CLOSE))


@attack("body", "an object of 250,000 members", expects="^(400|200|404)$")
def many_members(world: World) -> str:
    members = b",".join(b'"k%d":1' % number for number in range(250_000))
    return pushed(world, post(b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{' + members + b"}}", CLOSE))
