"""The bounds of port 8811: what a client may send, and how long it may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_TARGET: Final = 8 << 10  # bytes of a request target (RFC 9112 section 3: at least 8000 octets)
MAX_HEAD: Final = 64 << 10  # bytes of a request line and its fields, and again of trailers and chunk extensions
MAX_FIELDS: Final = 128  # field lines of one request
MAX_BLANK: Final = 1 << 10  # bytes of empty lines between two requests
MAX_READ: Final = 32 << 10  # bytes that are read of a connection at once
MAX_AHEAD: Final = 16 << 10  # bytes that are read while an earlier request is being answered; then reading pauses
MAX_UNREAD_EVENTS: Final = 1 << 20  # bytes of a response stream that its client leaves unread; then events are dropped
MAX_LINGER: Final = 8 << 20  # bytes that are read and dropped after a refusal, so that the client can read the response


@dataclass(frozen=True, slots=True)
class Limits:
    """Deadlines in seconds, rates in bytes a second, and counts of connections. All hold for one process.

    A peer address is often a proxy that many clients share, so its share of the connections is large.
    """

    head_deadline: float = 10.0  # from the first byte of a request (or the connection) to the end of its fields
    body_grace: float = 10.0  # for a body of any size, and beyond that
    body_rate: int = 16 << 10  # so many bytes a second, over the whole body
    write_grace: float = 10.0  # in which a client reads something of a response, and at least
    write_rate: int = 4 << 10  # so many bytes a second
    idle_timeout: float = 75.0  # between two requests
    silence: float = 5.0  # after which, and before twice that, an unanswered request gets a stream if its client takes one
    failed_login_delay: float = 1.0  # that a refusal of wrong credentials waits, for an address that has sent many
    linger: float = 2.0  # in which a client that was refused can read why
    connections: int = 32_768
    connections_per_address: int = 16_384  # 0: no limit


DEFAULT_LIMITS: Final = Limits()
