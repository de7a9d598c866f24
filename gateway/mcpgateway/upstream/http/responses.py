"""What goes into requests to remote servers, and what their responses say."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
from msgspec import UNSET, Raw, UnsetType
from yarl import URL

from ...config import Header
from ...protocol import jsonrpc
from ...protocol.decoder import Decoder
from ...protocol.errors import Failure, Reason, UpstreamError
from ...protocol.limits import LineTooLong
from ...protocol.sse_events import Event, EventParser
from ..addresses import check_host, invalid_address
from ..pacing import TURN_MESSAGES

AWAY: Final = frozenset({408, 429, 502, 503, 504})  # answers of proxies without a server, and of servers that cannot serve now
PROXY_CREDENTIALS: Final = 407  # RFC 9110 section 15.5.8
_MAX_HEADER: Final = 16 << 10
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
_PIECE: Final = 16 << 10  # bytes of a stream that are parsed in one turn of the event loop


class _Refusal(msgspec.Struct):
    error: Raw | UnsetType = UNSET


_refusal = Decoder(_Refusal)


def read_headers(server: str, configured: Sequence[Header]) -> dict[str, str]:
    """The headers of a request, with secret values from their files. Raises: UpstreamError (MissingReference)."""
    headers = {}
    for header in configured:
        if not _TOKEN.fullmatch(header.name):
            raise UpstreamError(Failure(server, Reason.INVALID_HEADER, f"{header.name[:80]!r} is no name of a header (RFC 9110)"))
        value = header.value
        if header.file:
            try:
                value = Path(header.file).read_text(encoding="latin-1")[:_MAX_HEADER].strip()
            except (OSError, ValueError):  # a path with a NUL is no path
                words = f"not there: {header.reference or header.file}"
                raise UpstreamError(Failure(server, Reason.MISSING_REFERENCE, words)) from None
        if any(ord(char) < 32 or ord(char) == 127 for char in value):
            words = f"the value of the header {header.name} has a control character"
            raise UpstreamError(Failure(server, Reason.INVALID_HEADER, words))
        headers[header.name] = value
    return headers


def unreachable(server: str, url: URL, error: Exception) -> Failure:
    """The error for a place that cannot be talked to; no header and no query is repeated in it."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        if error.status in (401, PROXY_CREDENTIALS):  # tinyproxy 1.11 answers 401
            return proxy_refusal(server, error.status)
        return Failure(server, Reason.UNREACHABLE, f"{place(url)}: the proxy answers {error.status}: spec.remotes.proxy")
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        words = f"no connection to the proxy {error.host}:{error.port}: {error.strerror or type(error).__name__}"
    elif isinstance(error, aiohttp.ClientConnectorCertificateError):
        words = f"its certificate is not valid: {error.certificate_error}"
    elif isinstance(error, TimeoutError):
        words = "no answer in time"
    else:
        words = getattr(error, "strerror", None) or type(error).__name__
    return Failure(server, Reason.UNREACHABLE, f"{place(url)}: {words}")


def proxy_refusal(server: str, status: int = PROXY_CREDENTIALS) -> Failure:
    """The proxy wants other credentials."""
    words = f"the proxy answers {status}: check spec.remotes.proxy.credentials"
    return Failure(server, Reason.ACCESS_DENIED, words)


def parse_url(server: str, text: str) -> URL:
    """A server's URL. Raises: UpstreamError (InvalidAddress)."""
    try:
        url = URL(text)
        origin = url.origin()
    except ValueError as error:
        raise invalid_address(server, text, f"it is no URL: {error}") from None
    if origin.scheme not in ("http", "https"):
        raise invalid_address(server, text, "its scheme must be http or https")
    check_host(server, text, origin.raw_host or "")
    return url


def place(url: URL) -> str:
    return str(url.origin())


def error_of(body: bytes) -> Raw | None:
    """The JSON-RPC error in a body, if it is one; its id may be null, since a refused message has not been read."""
    try:
        error = _refusal.decode(body).error
    except jsonrpc.ProtocolError:
        return None
    return None if error is UNSET or not bytes(error).startswith(b"{") else Raw(jsonrpc.one_line(bytes(error)))


def redirection(response: aiohttp.ClientResponse) -> str:
    """Who sends us where; a query is not repeated: it may be secret."""
    try:
        target = str(response.url.join(URL(response.headers.get("Location", ""))).with_query(None))[:200]
    except ValueError:
        target = "nowhere"
    return f"{place(response.url)} redirects to {target}"


def is_stream(response: aiohttp.ClientResponse) -> bool:
    return response.status == 200 and response.content_type == "text/event-stream"


async def read_body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """All of a body. Raises: LineTooLong."""
    parts, size = [], 0
    async for chunk in response.content.iter_any():
        parts.append(chunk)
        size += len(chunk)
        if size > limit:
            raise LineTooLong(f"a response of over {limit} bytes")
    return b"".join(parts)


async def read_events(response: aiohttp.ClientResponse, parser: EventParser) -> AsyncIterator[Event]:
    """The events of a stream, after decompression; the event loop gets a turn after so much of them. Raises: LineTooLong."""
    async for chunk in response.content.iter_any():
        for start in range(0, len(chunk), _PIECE):
            if start:
                await asyncio.sleep(0)
            for number, event in enumerate(parser.feed(chunk[start : start + _PIECE]), 1):
                yield event
                if not number % TURN_MESSAGES:
                    await asyncio.sleep(0)
