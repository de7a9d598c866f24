"""A client on the Python SDK 1.9, of protocol version 2025-03-26: URL TOKEN → what it has seen, as JSON."""

# mypy: ignore-errors
# (it runs on another version of the SDK than the one that is installed here)

import asyncio
import json
import sys
from typing import Any

from mcp import ClientSession
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamablehttp_client
from mcp.types import CreateMessageResult, TextContent


async def sample(context: Any, params: Any) -> CreateMessageResult:
    return CreateMessageResult(role="assistant", model="m", content=TextContent(type="text", text="42"))


async def main(url: str, token: str) -> None:
    transport = sse_client if url.endswith("/sse") else streamablehttp_client
    async with (
        transport(url, headers={"Authorization": f"Bearer {token}"}) as streams,
        ClientSession(*streams[:2], sampling_callback=sample) as session,
    ):

        async def text(tool: str, arguments: dict[str, Any] | None = None) -> str:
            result = await session.call_tool(tool, arguments or {})
            return result.content[0].text

        greeted = await session.initialize()
        prompt = await session.get_prompt("old_greet", {"whom": "Zoë"})
        resource = await session.read_resource("memo://fastmcp1/all")
        found = {
            "version": greeted.protocolVersion,
            "tools": sorted(tool.name for tool in (await session.list_tools()).tools),
            "counts": [await text("old_count"), await text("old_count")],
            "work": await text("old_work", {"steps": 3}),
            "think": await text("old_think"),
            "prompt": prompt.messages[0].content.text,
            "resource": resource.contents[0].text,
        }
    sys.stdout.write(json.dumps(found) + "\n")


asyncio.run(main(*sys.argv[1:]))
