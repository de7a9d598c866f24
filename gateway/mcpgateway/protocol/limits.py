"""How much a peer may send in one piece, and the exception of a piece that is larger."""

from __future__ import annotations

from typing import Final

MAX_MESSAGE: Final = 16 << 20  # bytes of a server's line, event or response body
CUT_MESSAGE: Final = MAX_MESSAGE - (1 << 20)  # bytes: of what a bridge has cut off a larger line, there are at least so many
MAX_NOTIFICATION: Final = 256 << 10  # bytes of a server's notification
MAX_EVENT_LINES: Final = 1 << 16  # lines of one server-sent event, comments and empty values included


class LineTooLong(Exception):
    """A piece grew over the limit; the rest of its stream cannot be trusted."""
