"""A call in flight, as far as what its server sends meanwhile concerns it.

Source: MCP specification 2025-11-25, "Elicitation", "Sampling", "Roots"; 2026-07-28, "Multi Round-Trip Requests".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from msgspec import Raw


@dataclass(frozen=True, slots=True)
class Question:
    """A server's request, for a client that is asked by the result `input_required`."""

    method: str
    params: bytes | None
    answer: Callable[[bytes], None]  # takes the client's result
    refuse: Callable[[str], None]

    def shown(self) -> dict[str, Any]:
        """As a member of `inputRequests`."""
        return {"method": self.method, "params": Raw(self.params or b"{}")}


class ActiveCall(Protocol):
    """A call in flight, as far as the messages of its server concern it."""

    @property
    def key(self) -> str:
        """The session that it belongs to, or the identity without one."""

    @property
    def server(self) -> str:
        """The name of the server that it is for."""

    @property
    def capabilities(self) -> bytes:
        """What its client has declared, a JSON object."""

    @property
    def modern(self) -> bool:
        """Whether its client is of the modern era."""

    @property
    def level(self) -> int:
        """The index of the log level that its caller wants; -1: none."""

    def notify(self, message: bytes) -> bool:
        """Send the caller a message before the answer. False: it does not take one."""

    def ask(self, question: Question) -> bool:
        """Ask a modern caller. False: it cannot be asked now. Raises: ProtocolError, if too many calls wait."""

    def await_client(self) -> None:
        """The server waits for the caller to answer one more question. Raises: ProtocolError, if too many calls wait."""

    def go_on(self) -> None:
        """One of the questions needs no answer any more."""
