"""One tool call over HTTP, as a client of the gateway makes it."""

from __future__ import annotations

from typing import Any

import aiohttp

from .bad_input import BadInputError

_VERSION = "2026-07-28"


async def call_tool(url: str, *, token: str | None, name: str, arguments: Any) -> str:
    """Call a tool. Returns: the text of its result. Raises: BadInputError with the gateway's message."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": _VERSION,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "mcpgw", "version": "1"},
    }
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": name, "arguments": arguments, "_meta": meta},
    }
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": _VERSION,
        "Mcp-Method": "tools/call",
        "Mcp-Name": name,
    }
    if token:
        headers["Authorization"] = f"Bearer {token}"
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=90)) as session,
        session.post(url, json=body, headers=headers) as response,
    ):
        answer = await response.json()
    if "error" in answer:
        raise BadInputError(f"calling {name!r} failed: {answer['error']['message']}")
    return "".join(block.get("text", "") for block in answer["result"].get("content", ()))
