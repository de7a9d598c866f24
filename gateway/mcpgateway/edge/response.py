"""The bytes of a response (RFC 9112 sections 4, 6 and 7). Pure."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from ..protocol.exchange import Headers

JOINED: Final = 1 << 16  # bytes: a body below that is sent in one write with its head
LAST_CHUNK: Final = b"0\r\n\r\n"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_CLOSE: Final = b"connection: close\r\n"
_STREAM: Final = b"content-type: text/event-stream\r\ncache-control: no-store\r\nx-accel-buffering: no\r\n"


def json_head(date: bytes) -> bytes:
    """The head of the most frequent response, 200 with a JSON body on a connection that stays open; `%d` is its length."""
    return _STATUS_LINES[200] + date + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n"


def head(status: int, headers: Headers, date: bytes, *, length: int, close: bool) -> bytes:
    """The head of a response whose body has a length; 204 has no body (RFC 9110 section 8.6). `date` is a field line."""
    lines = [_STATUS_LINES[status], date, _field_lines(headers)]
    if close:
        lines.append(_CLOSE)
    if status != HTTPStatus.NO_CONTENT:
        lines.append(b"content-length: %d\r\n" % length)
    lines.append(b"\r\n")
    return b"".join(lines)


def stream_head(headers: Headers, date: bytes, *, chunked: bool, close: bool) -> bytes:
    """The head of a stream of events."""
    coding = b"transfer-encoding: chunked\r\n" if chunked else b""
    return _STATUS_LINES[200] + date + _STREAM + _field_lines(headers) + coding + (_CLOSE if close else b"") + b"\r\n"


def _field_lines(headers: Headers) -> bytes:
    return b"".join([name + b": " + value + b"\r\n" for name, value in headers])


def chunk(data: bytes) -> bytes:
    """A chunk of a body whose length is not announced; `data` is not empty."""
    return b"%x\r\n%b\r\n" % (len(data), data)
