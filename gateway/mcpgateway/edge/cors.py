"""Web pages of other origins: what a browser must read in a response before it gives it to such a page.

Only the origins that admission accepts get these fields. There are no cookies, so credentials in the sense of the standard are
never allowed: a page sends its token in the header Authorization, as other clients do.
Source: Fetch standard, "CORS protocol"; RFC 9110 section 12.5.5 (Vary).
"""

from __future__ import annotations

import re
from typing import Final

from ..access.admission import Admission, Denied
from ..protocol.exchange import JSON, Headers, RequestHeaders
from .exchange import Handler, HttpExchange

REQUESTED_METHOD: Final = b"access-control-request-method"
_REQUESTED_HEADERS: Final = b"access-control-request-headers"
_NAMES: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*")  # RFC 9110 section 5.6.2
_MAX_AGE: Final = b"600"  # seconds for which a browser remembers a preflight; an origin can be withdrawn
_VARY: Final[Headers] = [(b"vary", b"Origin")]
_EXPOSED: Final[Headers] = [(b"access-control-expose-headers", b"Mcp-Session-Id, WWW-Authenticate, Retry-After, Allow")]


def fields(headers: RequestHeaders, admission: Admission) -> Headers:
    """What a response to a request with the header Origin has in addition."""
    if not admission.accepts_origin(headers):
        return _VARY
    return [(b"access-control-allow-origin", headers[b"origin"]), *_EXPOSED, *_VARY]


def preflight(allow: bytes, admission: Admission) -> Handler:
    """What answers a browser that asks whether a page may send a request; `allow` lists the methods of the path."""

    def answer(exchange: HttpExchange) -> None:
        headers = exchange.headers
        try:
            admission.check_source(headers)
        except Denied as denied:
            exchange.reply(denied.status, admission.refusal(denied), JSON + denied.headers)
            return
        permitted: Headers = [(b"access-control-allow-methods", allow), (b"access-control-max-age", _MAX_AGE)]
        names = headers.get(_REQUESTED_HEADERS, b"")
        if _NAMES.fullmatch(names):  # any name: Mcp-Param-* has no end, and no header gives a right but Authorization
            permitted.append((b"access-control-allow-headers", names))
        exchange.reply(204, b"", permitted)

    return answer
