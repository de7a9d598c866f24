"""How a server is reached: through bridges, or at a URL. The backend supervises both in the same way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from ..config import Server
from ..protocol.errors import Failure
from .bridge.connection import Control
from .connection import Connection


class Watch:
    """What is heard of a place itself, apart from what its servers say; `closed` ends the life of all that is there."""

    def __init__(self) -> None:
        self.control = Control()
        self.news = asyncio.Event()
        self.closed: asyncio.Future[Failure] = asyncio.get_running_loop().create_future()
        self.close: Callable[[], object] = lambda: None
        self.answered: Callable[[], object] = lambda: None  # tells the place that its server has answered

    def receive(self, control: Control) -> None:
        """Everything is as this line says."""
        self.control = control
        self.news.set()

    def lose(self, error: Failure) -> None:
        """Nothing more is heard."""
        if not self.closed.done():
            self.closed.set_result(error)


class Transport(Protocol):
    """Opens connections to one server. All coroutines raise UpstreamError."""

    @property
    def place(self) -> str:
        """The place of the present watch, as connections name it."""

    @property
    def moved(self) -> bool:
        """Whether the place of the present watch is not the server's any more."""

    @property
    def elsewhere(self) -> bool:
        """Whether there is another place than that of the present watch."""

    @property
    def places(self) -> int:
        """At how many places it can be reached at once."""

    def update(self, server: Server, addresses: Sequence[str]) -> None:
        """Take a changed configuration."""

    def missed(self, error: Failure) -> None:
        """How the last life ended: after some misses another place is tried."""

    async def watch(self) -> Watch:
        """Choose a place and watch it."""

    async def shared(self, number: int) -> Connection:
        """A connection for everybody: number 0 at the place that is watched, the others in turn at all of them."""

    async def own(self, key: str, *, lasting: bool) -> Connection:
        """A connection for one key. A `lasting` connection resumes the process of an earlier connection with that key."""

    async def close(self, *, patience: float) -> None:
        """Nothing more will be opened; what is in flight may take so many seconds."""
