"""An MCP client of a target: the SDK is imported here, when it is needed, and not before."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from ..bad_input import BadInputError
from ..output.screen import Screen
from ..target.model import Target

if TYPE_CHECKING:
    from ..mcp_client.client import McpClient


@contextlib.asynccontextmanager
async def session(target: Target, screen: Screen) -> AsyncIterator[McpClient]:
    """A connected client. Raises: BadInputError, NotReachedError, ToolFailedError."""
    async with contextlib.AsyncExitStack() as stack:
        with screen.progress(f"connecting to {target.title}"):
            token, url = await target.token(), await stack.enter_async_context(target.client_url())
            require_sdk()
            from ..mcp_client.client import connected

            client = await stack.enter_async_context(connected(url, token))
        yield client


def require_sdk() -> None:
    """Refuse an installation without the SDK. Raises: BadInputError."""
    if importlib.util.find_spec("mcp") is None:
        raise BadInputError("the MCP SDK is not installed, which this command needs: run `pip install 'mcpgateway[cli]'`")
