"""Heads come out of a stream of requests as they went in, wherever the stream is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgateway.edge.limits import MAX_BLANK, MAX_HEAD, MAX_TARGET
from mcpgateway.edge.reading_pace import ReadingPace
from mcpgateway.edge.request_buffer import RequestBuffer
from mcpgateway.edge.request_head import BadRequest

LINES = st.lists(
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1).map(str.encode), min_size=1, max_size=5
)
HEADS = LINES.map(lambda lines: b"\r\n".join(lines) + b"\r\n\r\n")


def heads_of(pieces: list[bytes]) -> list[bytes]:
    """What is cut out of a stream that comes in these pieces."""
    buffer, heads = RequestBuffer(), []
    for piece in pieces:
        buffer.data += piece
        while buffer.begun() and (head := buffer.take_head()) is not None:
            heads.append(head)
    assert not buffer.begun()
    return heads


@given(st.lists(st.tuples(st.integers(0, 3), HEADS), min_size=1, max_size=4), st.data())
def test_every_cut_of_a_stream_gives_the_same_heads(requests: list[tuple[int, bytes]], data: st.DataObject) -> None:
    stream = b"".join(b"\r\n" * empty + head for empty, head in requests)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=8)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert heads_of(pieces) == [head for _, head in requests]


@given(st.integers(0, 2 * MAX_BLANK))
def test_empty_lines_are_dropped_up_to_their_bound(size: int) -> None:
    buffer = RequestBuffer()
    buffer.data += b"\r\n" * (size // 2)
    if size // 2 * 2 <= MAX_BLANK:
        assert not buffer.begun()
    else:
        with pytest.raises(BadRequest, match="empty lines"):
            buffer.begun()


@pytest.mark.parametrize("start", [b"\n", b"\r\r", b"\r\n\r\r\n", b"\rGET"])
def test_line_ends_that_parsers_read_differently_are_refused(start: bytes) -> None:
    buffer = RequestBuffer()
    buffer.data += start
    with pytest.raises(BadRequest, match="CR and LF"):
        buffer.begun()


@pytest.mark.parametrize(
    ("line", "status"), [(b"GET /" + b"a" * MAX_HEAD, 414), (b"GET / HTTP/1.1\r\nA: " + b"a" * MAX_HEAD, 431)]
)
@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"])
def test_a_head_over_its_bound_is_refused_whether_its_end_is_there_or_not(line: bytes, status: int, end: bytes) -> None:
    assert MAX_TARGET < MAX_HEAD
    buffer = RequestBuffer()
    buffer.data += line + end
    assert buffer.begun()
    with pytest.raises(BadRequest) as refused:
        buffer.take_head()
    assert refused.value.status == status


@given(st.integers(0, 1 << 20), st.integers(0, 1 << 20), st.integers(0, 1 << 20), st.integers(0, 100))
def test_a_client_keeps_the_pace_if_it_has_read_that_much_and_something_is_left(
    unread: int, written: int, left: int, seconds: int
) -> None:
    pace = ReadingPace()
    pace.measure(10.0, unread)
    pace.wrote(written)
    assert pace.keeps(1000.0, now=10.0 + seconds, unread=left) is (left > 0 and unread + written - left >= 1000 * seconds)
