"""What is kept by legacy session, wherever it is kept, and its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from ..access.sessions import Session, Sessions


class SessionStore(Protocol):
    """Keeps something by session."""

    def forget(self, key: str) -> None:
        """A session is over."""

    def holds(self, key: str) -> bool:
        """Whether something is kept for a session."""


class SessionState:
    """Ends sessions: at their clients' word, or when they have been idle for too long."""

    def __init__(self, sessions: Sessions, stores: Sequence[SessionStore], busy: Callable[[], set[str]]) -> None:
        """`busy` gives the sessions that are in use now, even if their clients send nothing."""
        self.stores = tuple(stores)
        self._sessions, self._busy = sessions, busy

    def end(self, session: Session) -> None:
        """End a session: nothing of it is kept, and its processes are released."""
        self._sessions.end(session)
        for store in self.stores:
            store.forget(session.id)

    def end_idle(self) -> None:
        """End the sessions whose time is up."""
        for session in self._sessions.over(now=time.time(), busy=self._busy()):
            self.end(session)
