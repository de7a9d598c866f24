"""Server-sent events: how a stream is cut into chunks changes nothing."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgateway.protocol.sse_events import Event, EventParser
from mcpgateway.upstream.bridge.framing import LineTooLong

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
