"""The time after a gateway's start in which its servers have not all been asked what they offer.

A client that comes in that time, above all one whose session has just lost its gateway, must not be told that its tools do not
exist. So what cannot be answered yet waits, for a bounded time; what can is answered at once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from ..protocol import jsonrpc
from ..runtime.boundaries import Boundaries
from .responder import Responder

MAX_HELD: Final = 10_000  # requests; a further one is refused


class StartupGate:
    """Holds requests until all servers have answered, or have had their time."""

    def __init__(self, boundaries: Boundaries) -> None:
        self.over = False
        self._boundaries = boundaries
        self._held: dict[Responder, tuple[str, Callable[[], None]]] = {}

    def hold(self, answer: Responder, attempt: Callable[[], None], *, key: str = "") -> None:
        """Attempt a request of this session again later, which may hold it again. One whose client goes is forgotten."""
        if len(self._held) >= MAX_HELD:
            answer.fail(jsonrpc.INTERNAL_ERROR, f"the gateway is starting, and {MAX_HELD} requests wait: try again later")
            return
        self._held[answer] = key, attempt
        answer.exchange.on_disconnect = partial(self._drop, answer)

    def cancel(self, key: str, id: bytes) -> None:
        """A session wants no answer any more to a request, which may be held."""
        for answer in [answer for answer, (owner, _) in self._held.items() if (owner, answer.id) == (key, id)]:
            self._drop(answer)

    def advance(self) -> None:
        """A server has answered: attempt all again. What one attempt raises ends that request only."""
        held, self._held = self._held, {}
        for answer, (_, attempt) in held.items():
            answer.exchange.on_disconnect = None
            try:
                attempt()
            except Exception as error:
                self._boundaries.report("held request", error, method=answer.method)
                answer.fail(jsonrpc.INTERNAL_ERROR, "the request could not be served")

    def end(self) -> None:
        """Hold nothing any more."""
        self.over = True
        self.advance()

    def forget(self, key: str) -> None:
        """A session is over."""
        for answer in [answer for answer, (owner, _) in self._held.items() if owner == key]:
            self._drop(answer)

    def holds(self, key: str) -> bool:
        """Whether a request of a session is held."""
        return any(owner == key for owner, _ in self._held.values())

    def _drop(self, answer: Responder) -> None:
        del self._held[answer]
        answer.cancelled()
