"""What goes into requests to remote servers, and what their responses say."""

from __future__ import annotations

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

AWAY: Final = frozenset({408, 429, 502, 503, 504})  # what proxies answer when nobody is there, and servers that cannot now
_MAX_HEADER: Final = 16 << 10


class _Refusal(msgspec.Struct):
    error: Raw | UnsetType = UNSET


_refusal = Decoder(_Refusal)


def read_headers(server: str, configured: Sequence[Header]) -> dict[str, str]:
    """The headers of a request, with secret values from their files. Raises: UpstreamError (MissingReference)."""
    found = {}
    for header in configured:
        value = header.value
        if header.file:
            try:
                value = Path(header.file).read_text(encoding="latin-1")[:_MAX_HEADER].strip()
            except OSError:
                words = f"not there: {header.reference or header.file}"
                raise UpstreamError(Failure(server, Reason.MISSING_REFERENCE, words)) from None
        if any(ord(char) < 32 or ord(char) == 127 for char in value):
            words = f"the value of the header {header.name} has a control character"
            raise UpstreamError(Failure(server, Reason.INVALID_HEADER, words))
        found[header.name] = value
    return found


def unreachable(server: str, url: URL, error: Exception) -> Failure:
    """The error for a place that cannot be talked to; no header and no query is repeated in it."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        words = f"its certificate is not valid: {error.certificate_error}"
    elif isinstance(error, TimeoutError):
        words = "no answer in time"
    else:
        words = getattr(error, "strerror", None) or type(error).__name__
    return Failure(server, Reason.UNREACHABLE, f"{place(url)}: {words}")


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
    async for chunk in response.content.iter_any():
        for event in parser.feed(chunk):
            yield event
