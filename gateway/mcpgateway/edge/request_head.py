"""The head of a request, from bytes to meaning, in one pure step.

httptools (llhttp) decides what is well-formed; what RFC 9110 and RFC 9112 demand beyond that is checked here. The parser is given
exactly one head and nothing after it, so that no field (`Upgrade`, for one) can change where the next request begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import httptools

from .limits import MAX_FIELDS, MAX_TARGET

HEAD_END: Final = b"\r\n\r\n"
CHUNKED: Final = -1  # in place of a body's length

# Fields with one value: a second line would leave open which of them counts (RFC 9110 section 5.3).
_SINGLE: Final = frozenset(
    {
        b"authorization",
        b"content-type",
        b"host",
        b"last-event-id",
        b"mcp-method",
        b"mcp-name",
        b"mcp-protocol-version",
        b"mcp-session-id",
        b"origin",
    }
)


class BadRequest(Exception):
    """A request that is refused before any handler sees it; nothing after it on its connection is read."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class RequestHead:
    """A request line and its fields."""

    __slots__ = (
        "body_length",
        "expect_continue",
        "fields",
        "keep_alive",
        "method",
        "origin",
        "path",
        "prefix",
        "query",
        "version",
    )

    def __init__(
        self,
        *,
        method: bytes,
        path: bytes,
        query: bytes,
        version: str,
        fields: Mapping[bytes, bytes],
        keep_alive: bool,
        body_length: int,
    ) -> None:
        self.method, self.path, self.query, self.version = method, path, query, version
        self.fields = fields  # by lower-case name; one that is repeated is joined by a comma
        self.prefix = b""  # before the path, outside of the proxies
        self.origin = fields.get(b"origin")  # of a web page, whose browser reads more in a response
        self.keep_alive = keep_alive
        self.body_length = body_length  # bytes, or CHUNKED
        self.expect_continue = version == "1.1" and fields.get(b"expect", b"").lower() == b"100-continue"


class _Collector:
    """What httptools calls back."""

    __slots__ = ("complete", "fields", "lines", "target")

    def __init__(self) -> None:
        self.target = b""
        self.lines = 0
        self.fields: dict[bytes, bytes] = {}
        self.complete = False

    def on_url(self, url: bytes) -> None:
        """The request target."""
        self.target = url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field line (RFC 9110 section 5.3: equal names are joined by a comma)."""
        self.lines += 1
        name, value, fields = name.lower(), value.strip(b" \t"), self.fields
        if name not in fields:
            fields[name] = value
        elif name in _SINGLE:
            raise BadRequest(400, f"the header {name.decode()} must occur once")
        else:
            fields[name] += b", " + value

    def on_headers_complete(self) -> None:
        """The head ends here."""
        self.complete = True


def parse(raw: bytes) -> RequestHead:
    """The meaning of a head, which ends with its empty line.

    Raises: BadRequest for what is not a well-formed HTTP/1.1 or HTTP/1.0 head (RFC 9112 sections 2 to 6), or beyond the bounds.
    """
    collector = _Collector()
    parser = httptools.HttpRequestParser(collector)
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass  # the fields Upgrade and Connection ask for another protocol: a server may ignore that (RFC 9110 section 7.8)
    except httptools.HttpParserCallbackError as error:
        if isinstance(error.__context__, BadRequest):
            raise error.__context__ from None
        raise
    except httptools.HttpParserError as error:
        raise BadRequest(400, f"the request is not well-formed HTTP: {error}") from None
    version: str = parser.get_http_version()
    method, target, fields = parser.get_method(), collector.target, collector.fields
    if not collector.complete or not raw.startswith(b"%b %b HTTP/%b\r\n" % (method, target, version.encode())):
        raise BadRequest(400, "the request is not well-formed HTTP: invalid request line")
    if version not in ("1.1", "1.0"):
        raise BadRequest(505, f"HTTP/{version} is not served here: use HTTP/1.1")
    if len(target) > MAX_TARGET:
        raise BadRequest(414, f"the request target is over {MAX_TARGET} bytes")
    if collector.lines > MAX_FIELDS:
        raise BadRequest(431, f"over {MAX_FIELDS} header lines")
    path, query = _target(method, target, fields)
    if version == "1.1" and b"host" not in fields:
        raise BadRequest(400, "the header Host is missing")
    return RequestHead(
        method=method,
        path=path,
        query=query,
        version=version,
        fields=fields,
        keep_alive=version == "1.1" and b"close" not in _tokens(fields.get(b"connection", b"")),
        body_length=_body_length(version, fields),
    )


def _target(method: bytes, target: bytes, fields: dict[bytes, bytes]) -> tuple[bytes, bytes]:
    """Path and query. The host of an absolute-form target replaces that of the field Host (RFC 9112 section 3.2.2)."""
    if method == b"CONNECT":
        raise BadRequest(501, "this is no proxy: CONNECT is not served here")
    if not target.startswith((b"/", b"*")):
        scheme, mark, rest = target.partition(b"://")
        if scheme.lower() not in (b"http", b"https") or not mark:
            raise BadRequest(400, "the request target must be a path or an http URL")
        end = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
        fields[b"host"], target = rest[:end], rest[end:]
        if not target.startswith(b"/"):
            target = b"/" + target
    path, _, query = target.partition(b"?")
    return path, query


def _body_length(version: str, fields: Mapping[bytes, bytes]) -> int:
    """RFC 9112 section 6.3. The parser has checked that Content-Length is one number, and not beside Transfer-Encoding."""
    coding = fields.get(b"transfer-encoding")
    if coding is None:
        return int(fields.get(b"content-length", b"0"))
    if version != "1.1":
        raise BadRequest(400, "HTTP/1.0 has no Transfer-Encoding")
    if coding.lower() != b"chunked":
        raise BadRequest(501, "the only Transfer-Encoding that is served here is chunked")
    return CHUNKED


def _tokens(value: bytes) -> list[bytes]:
    return [token.strip(b" \t").lower() for token in value.split(b",")]
