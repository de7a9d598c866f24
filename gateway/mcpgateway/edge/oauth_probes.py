"""Paths at which clients look for an OAuth server when they have no token: here they learn that there is none.

A client that has got 401 looks for metadata, finds none, and then tries to register. It shows the description of an error in
OAuth's own form, and of anything else at best its bytes.
Source: MCP specification, "Authorization"; RFC 9728 section 3; RFC 8414 section 3; RFC 7591 section 3.2.2; RFC 6749 section 5.2.
"""

from __future__ import annotations

from typing import Final

from ..access.challenges import NO_OAUTH
from ..protocol import jsonrpc
from ..protocol.exchange import JSON
from .exchange import HttpExchange

_METADATA: Final = (
    b"/.well-known/oauth-protected-resource",
    b"/.well-known/oauth-authorization-server",
    b"/.well-known/openid-configuration",
)
_ENDPOINTS: Final = (b"/register", b"/authorize", b"/token")  # where earlier versions expect them without metadata
_BODY: Final = jsonrpc.dump({"error": "invalid_request", "error_description": NO_OAUTH})


def is_probe(path: bytes) -> bool:
    """Whether a path is one of those; the path of the endpoint may come before or after the well-known one."""
    return path in _ENDPOINTS or any(name in path for name in _METADATA)


def answer(exchange: HttpExchange) -> None:
    """There is no OAuth server."""
    exchange.reply(404, _BODY, JSON)
