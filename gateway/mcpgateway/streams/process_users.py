"""Which sessions use the process of an identity: what that process sends by itself is for all of them."""

from __future__ import annotations

from collections.abc import Iterable


class ProcessUsers:
    """Sessions by the key of the process that they share, and the other way round."""

    def __init__(self) -> None:
        self._sessions: dict[str, dict[str, None]] = {}  # by process
        self._processes: dict[str, dict[str, None]] = {}  # by session

    def add(self, session: str, process: str) -> None:
        """A session uses a process that is not its own alone."""
        self._sessions.setdefault(process, {})[session] = None
        self._processes.setdefault(session, {})[process] = None

    def of(self, process: str) -> Iterable[str]:
        """The sessions that use a process."""
        return tuple(self._sessions.get(process, ()))

    def forget(self, session: str) -> None:
        """A session is over."""
        for process in self._processes.pop(session, ()):
            sessions = self._sessions[process]
            sessions.pop(session, None)
            if not sessions:
                del self._sessions[process]

    def holds(self, session: str) -> bool:
        """Whether something is kept for a session."""
        return session in self._processes
