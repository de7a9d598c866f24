"""One client that lists tools and calls them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import httpx2
from mcp import MCPError
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import Implementation
from pydantic import ValidationError

from ... import __version__
from ..bad_input import BadInputError, NotReachedError, ToolFailedError

_TIMEOUT = httpx2.Timeout(30.0, read=600.0)  # seconds: a tool may take long; the gateway has a limit of its own
_MAX_PAGES = 1000  # of a list

Progress = Callable[[str], None]


class McpClient:
    """A connected client. Every method raises NotReachedError or ToolFailedError."""

    def __init__(self, client: Client, url: str) -> None:
        self._client, self._url = client, url

    @property
    def protocol_version(self) -> str:
        """The negotiated version."""
        return self._client.protocol_version

    async def tools(self) -> list[dict[str, Any]]:
        """All tools, as the gateway lists them."""
        tools: list[dict[str, Any]] = []
        cursor: str | None = None
        with _words(self._url):
            for _ in range(_MAX_PAGES):
                page = await self._client.list_tools(cursor=cursor)
                tools += [tool.model_dump(mode="json", by_alias=True, exclude_unset=True) for tool in page.tools]
                cursor = page.next_cursor
                if cursor is None:
                    break
        return tools

    async def call(self, name: str, arguments: Mapping[str, Any], *, on_progress: Progress) -> dict[str, Any]:
        """The result of a call, an error of the tool included."""

        async def report(progress: float, total: float | None, message: str | None) -> None:
            amount = f"{progress:g}/{total:g}" if total else f"{progress:g}"
            on_progress(f"{amount} {message or ''}".rstrip())

        with _words(self._url):
            result = await self._client.call_tool(name, dict(arguments), progress_callback=report)
        return result.model_dump(mode="json", by_alias=True, exclude_unset=True)


@contextlib.asynccontextmanager
async def connected(url: str, token: str | None) -> AsyncIterator[McpClient]:
    """A client of the gateway. Raises: NotReachedError."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    refused: list[int] = []

    async def look(response: httpx2.Response) -> None:
        refused[:] = [response.status_code] if response.status_code in (401, 403) else []

    info = Implementation(name="mcpgw", version=__version__)
    async with httpx2.AsyncClient(headers=headers, timeout=_TIMEOUT, event_hooks={"response": [look]}, trust_env=False) as http:
        client = Client(streamable_http_client(url, http_client=http), client_info=info)
        try:
            async with client:
                yield McpClient(client, url)
        except* (MCPError, httpx2.HTTPError, OSError) as errors:
            raise _reached(errors, url, refused) from None
        except* BadInputError as errors:
            raise _first(errors) from None


def _reached(errors: BaseExceptionGroup[Any], url: str, refused: list[int]) -> BadInputError:
    """What went wrong before there was a connection."""
    if refused:
        words = "the token is wrong or missing: `mcpgw doctor` looks for the cause"
        return NotReachedError(f"the gateway at {url} refuses its clients with {refused[0]}: {words}")
    return NotReachedError(f"no MCP gateway answers at {url}: {_first(errors)}")


def _first(error: BaseException) -> Any:
    """The first error of nested groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@contextlib.contextmanager
def _words(url: str) -> Any:
    try:
        yield
    except MCPError as error:
        raise ToolFailedError(f"the gateway answers with error {error.code}: {error.message}") from None
    except ValidationError as error:
        raise ToolFailedError(f"the answer is no valid MCP: {error.errors()[0]['msg']}") from None
    except (httpx2.HTTPError, OSError) as error:
        raise NotReachedError(f"the connection to {url} has been lost: {error}") from None
