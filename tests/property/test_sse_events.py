"""Server-sent events: how a stream is cut into chunks changes nothing."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgateway.protocol import sse_events
from mcpgateway.protocol.limits import LineTooLong
from mcpgateway.protocol.sse_events import Event, EventParser

LINES = st.lists(
    st.sampled_from([b"data: a", b"data:b", b"data", b"event: x", b"id: 7", b"id: \0", b"retry: 50", b": hi", b"junk", b""])
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


def parse(*chunks: bytes) -> list[Event]:
    parser = EventParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


@given(st.lists(st.tuples(LINES, ENDS)), st.lists(st.integers(0, 200)))
def test_chunks_change_nothing(parts: list[tuple[list[bytes], bytes]], cuts: list[int]) -> None:
    stream = b"".join(line + end for lines, end in parts for line in lines) + b"\n\n"
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    chunks = [stream[start:end] for start, end in pairwise(places)]
    assert parse(*chunks) == parse(stream)


@given(st.binary(max_size=300))
def test_any_bytes_are_survived(stream: bytes) -> None:
    assert parse(*(bytes([byte]) for byte in stream)) == parse(stream)


def test_what_an_event_is() -> None:
    stream = b"\xef: comment\nid: 1\nevent: endpoint\ndata: /m\n\ndata: one\ndata: two\n\nevent: empty\n\ndata: cut"
    assert parse(stream) == [Event("endpoint", b"/m", "1"), Event("message", b"one\ntwo", "1")]


def test_an_event_has_a_limit() -> None:
    parser = EventParser(limit=100)
    for _ in range(9):
        parser.feed(b"data: " + b"x" * 10 + b"\n")
    with pytest.raises(LineTooLong, match="an event of over 100 bytes"):
        parser.feed(b"data: " + b"x" * 60)


def test_lines_without_content_count_too() -> None:
    parser = EventParser(limit=100)
    with pytest.raises(LineTooLong, match="an event of over 100 bytes"):
        parser.feed(b"data:\n" * 101)
    for line in (b": comment\n", b"id: 7\n", b"data:\n"):
        parser = EventParser(max_lines=100)
        parser.feed(line * 100 + b"\n")
        parser.feed(line * 100)
        with pytest.raises(LineTooLong, match="an event of over 100 lines"):
            parser.feed(line)


@given(st.binary(max_size=60).map(lambda data: data.replace(b"\0", b"")), st.text("0123456789-", max_size=8))
def test_a_message_that_is_written_is_read_back_on_one_line(message: bytes, id: str) -> None:
    message = b"{" + message
    flat = message.replace(b"\r", b" ").replace(b"\n", b" ")
    assert parse(sse_events.message_event(message, id=id)) == [Event("message", flat, id)]
    assert parse(sse_events.priming_event(id), sse_events.KEEP_ALIVE_COMMENT) == [Event("message", b"", id)]
    assert parse(sse_events.named_event("endpoint", "/m?s=1")) == [Event("endpoint", b"/m?s=1")]
