"""A head that is known again says what the parser would say of it."""

from __future__ import annotations

import httptools
from hypothesis import assume, given
from hypothesis import strategies as st

from mcpgateway.edge.known_head import KnownHead, learn
from mcpgateway.edge.request_head import parse

NAMES = st.lists(st.sampled_from(["Authorization", "Mcp-Session-Id", "Content-Type"]), unique=True)
REPEATED = st.lists(st.sampled_from(["Accept", "X-A", "x-b"]), max_size=4)
VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=0, max_size=12)
LENGTH = st.sampled_from(["Content-Length: ", "content-length:", "CONTENT-LENGTH:   "])


class Parsed:
    """What httptools makes of a request."""

    def __init__(self, data: bytes) -> None:
        self.fields: list[tuple[bytes, bytes]] = []
        self.url = self.body = b""
        self.complete = 0
        self.parser = httptools.HttpRequestParser(self)
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete += 1

    @property
    def said(self) -> tuple[bytes, bytes, list[tuple[bytes, bytes]]]:
        """All but the length of the body."""
        return self.parser.get_method(), self.url, [field for field in self.fields if field[0] != b"content-length"]


@st.composite
def heads(draw: st.DrawFn) -> tuple[bytes, bytes, bytes]:
    """A head in three parts, the digits of Content-Length in the middle."""
    names = draw(st.permutations(["Host", *draw(NAMES), *draw(REPEATED)]))
    fields = [f"{name}: {draw(VALUES)}".encode() for name in names]
    at = draw(st.integers(0, len(fields)))
    before = b"\r\n".join([b"POST /mcp HTTP/1.1", *fields[:at], draw(LENGTH).encode()])
    after = b"\r\n".join([b"", *fields[at:], b"", b""])
    return before, b"%d" % draw(st.integers(0, 10**6)), after


def known(parts: tuple[bytes, bytes, bytes]) -> KnownHead:
    raw = b"".join(parts)
    head = parse(raw)
    known = learn(raw, head)
    assert known is not None
    assert known.head is head
    return known


@given(heads(), st.binary(max_size=300))
def test_the_same_head_before_another_body(parts: tuple[bytes, bytes, bytes], body: bytes) -> None:
    head = known(parts)
    data = parts[0] + b"%d" % len(body) + parts[2] + body
    span = head.body(data)
    assert span is not None
    assert data[slice(*span)] == Parsed(data).body == body


@given(heads(), st.binary(max_size=40), st.data())
def test_a_head_that_differs_is_not_taken_for_it(parts: tuple[bytes, bytes, bytes], body: bytes, data: st.DataObject) -> None:
    head = known(parts)
    raw = bytearray(parts[0] + b"%d" % len(body) + parts[2] + body)
    at = data.draw(st.integers(0, len(raw) - len(body) - 1))
    byte = data.draw(st.integers(0, 255))
    assume(raw[at] != byte)
    raw[at] = byte
    span = head.body(bytes(raw))
    if span is None:
        return
    changed = Parsed(bytes(raw[: span[1]]))  # only the digits can have changed: it is another length
    assert changed.said == Parsed(b"".join(parts)).said
    assert changed.body == raw[slice(*span)]


@given(heads(), st.binary(max_size=40), st.data())
def test_part_of_a_head_is_not_known(parts: tuple[bytes, bytes, bytes], body: bytes, data: st.DataObject) -> None:
    raw = b"".join(parts)
    assert known(parts).body(raw[: data.draw(st.integers(0, len(raw) - 1))]) is None


@given(st.binary(max_size=200))
def test_any_bytes_may_be_tried(data: bytes) -> None:
    head = parse(b"POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
    known = learn(data, head)
    assert known is None or known.body(data) is not None
