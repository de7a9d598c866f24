"""The opening of a conversation whose other side is gone before the first word."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from mcpgateway.catalog.model import Item
from mcpgateway.protocol.errors import Failure, Reason, UpstreamError
from mcpgateway.upstream.connection import Connection
from mcpgateway.upstream.handshake import Handshake, Profile

pytestmark = pytest.mark.anyio
GONE = Failure("files", Reason.EXITED, "its process ended, exit code 2: no database")


class Gone(Connection):
    """A connection whose process ended while it was opened, as one does that a busy machine lets start late."""

    def __init__(self) -> None:
        super().__init__("files")
        self.closed.set_result(GONE)

    def _obstacle(self) -> Failure:
        return GONE

    def _request(self, key: bytes, method: str, params: bytes, item: Item | None) -> None:
        raise AssertionError(method)

    def _tell(self, message: bytes) -> None:
        raise AssertionError(message)

    def close(self) -> None:
        pass


@pytest.mark.parametrize("begin", [Handshake.negotiate, Handshake.discover, Handshake.initialize])
async def test_a_process_that_is_gone_before_it_is_asked_is_reported_with_its_cause(
    begin: Callable[[Handshake], Awaitable[Profile]],
) -> None:
    with pytest.raises(UpstreamError) as raised:
        await begin(Handshake(Gone(), gateway="g", timeout=60))
    assert raised.value.failure == GONE
