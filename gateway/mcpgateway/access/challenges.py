"""What a client without valid credentials is told: in the header that programs read, and in words for who configures it.

Source: RFC 6750 section 3 (a request without credentials gets no error code); RFC 9110 section 11.6.1.
"""

from __future__ import annotations

from typing import Final

NO_OAUTH: Final = (
    "this gateway has no OAuth: configure the client to send the header Authorization: Bearer TOKEN, "
    "with a token that the gateway's administrator gave you"
)
_REALM: Final = b'Bearer realm="mcp"'
_INVALID: Final = "the bearer token is not valid here"
_SCHEME: Final = "the header Authorization must have the scheme Bearer"
_MISSING: Final = "a valid bearer token is needed"


def challenge(authorization: bytes) -> tuple[str, bytes]:
    """The message of a refusal, and the value of its header WWW-Authenticate, for what the header Authorization is."""
    if not authorization:
        return f"{_MISSING}; {NO_OAUTH}", _REALM
    if authorization.partition(b" ")[0].lower() != b"bearer":
        return f"{_SCHEME}; {NO_OAUTH}", _with_error("invalid_request", _SCHEME)
    return f"{_INVALID}; {NO_OAUTH}", _with_error("invalid_token", _INVALID)


def _with_error(code: str, description: str) -> bytes:
    return _REALM + f', error="{code}", error_description="{description}"'.encode()
