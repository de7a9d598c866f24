"""What the HTTP edge and everything behind it agree on: one request, and the means to answer it once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

Headers = list[tuple[bytes, bytes]]  # of a response
RequestHeaders = Mapping[bytes, bytes]  # by lower-case name; one that is repeated is joined by a comma
JSON: Final[Headers] = [(b"content-type", b"application/json")]


class Exchange(Protocol):
    """One HTTP request and the means to answer it once."""

    headers: RequestHeaders
    body: bytes
    on_disconnect: Callable[[], None] | None

    @property
    def takes_streams(self) -> bool:
        """Whether its client reads streams of events."""

    @property
    def offered(self) -> tuple[str, ...]:
        """The legacy versions that `initialize` may agree on over this transport."""

    def reply(self, status: int, body: bytes = b"", headers: Headers = ..., *, event: str = "") -> None:
        """Answer; a second answer, or one to a client that is gone, is dropped. `event` is the id of its event in a stream."""

    def notify(self, message: bytes, event: str = "") -> bool:
        """Send a message before the answer, which makes the response a stream. False: the client does not take it.

        An empty message is an event with nothing but its id.
        """
