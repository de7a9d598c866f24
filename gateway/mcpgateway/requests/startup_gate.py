"""A gateway's first moments: what it offers is not known before its servers have been asked.

A client that comes in these moments, above all one whose session has just lost its gateway, must not be told that its tools do
not exist. So what cannot be answered yet waits, for a bounded time; what can is answered at once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from .responder import Responder

PATIENCE: Final = 10.0  # seconds for which a server that is not there keeps others waiting


class StartupGate:
    """Holds requests until all servers are known, or have had their time."""

    def __init__(self) -> None:
        self.over = False
        self._held: dict[Responder, tuple[str, Callable[[], None]]] = {}

    def hold(self, answer: Responder, attempt: Callable[[], None], *, key: str = "") -> None:
        """Attempt a request of this session again later, which may hold it again. One whose client goes is forgotten."""
        self._held[answer] = key, attempt
        answer.exchange.on_disconnect = partial(self._drop, answer)

    def cancel(self, key: str, id: bytes) -> None:
        """A session wants no answer any more to a request, which may be held."""
        for answer in [answer for answer, (of, _) in self._held.items() if (of, answer.id) == (key, id)]:
            self._drop(answer)
            answer.exchange.reply(202)

    def advance(self) -> None:
        """More is known now."""
        held, self._held = self._held, {}
        for answer, (_, attempt) in held.items():
            answer.exchange.on_disconnect = None
            attempt()

    def end(self) -> None:
        """Hold nothing any more."""
        self.over = True
        self.advance()

    def _drop(self, answer: Responder) -> None:
        del self._held[answer]
        answer.over("cancelled")
