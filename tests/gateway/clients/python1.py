"""A client on the Python SDK before its second version: URL TOKEN → what it has seen, as JSON."""

# mypy: ignore-errors
# (it runs on another version of the SDK than the one that is installed here)

import asyncio
import json
import sys
from typing import Any

from mcp import ClientSession
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamablehttp_client
from mcp.types import CreateMessageResult, ElicitResult, TextContent


async def elicit(context: Any, params: Any) -> ElicitResult:
    return ElicitResult(action="accept", content={"colour": "blue"})


async def sample(context: Any, params: Any) -> CreateMessageResult:
    return CreateMessageResult(role="assistant", model="m", content=TextContent(type="text", text="42"))


async def look(session: ClientSession) -> dict[str, Any]:
    steps: list[float] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        steps.append(done)

    async def text(tool: str, arguments: dict[str, Any] | None = None, **more: Any) -> str:
        result = await session.call_tool(tool, arguments or {}, **more)
        return result.content[0].text

    greeted = await session.initialize()
    prompt = await session.get_prompt("old_greet", {"whom": "Zoë"})
    resource = await session.read_resource("memo://fastmcp1/all")
    return {
        "version": greeted.protocolVersion,
        "tools": sorted(tool.name for tool in (await session.list_tools()).tools),
        "counts": [await text("old_count"), await text("old_count")],
        "work": await text("old_work", {"steps": 3}, progress_callback=progress),
        "steps": steps,
        "paint": await text("old_paint"),
        "think": await text("old_think"),
        "prompt": prompt.messages[0].content.text,
        "resource": resource.contents[0].text,
    }


async def main(url: str, token: str) -> None:
    transport = sse_client if url.endswith("/sse") else streamablehttp_client
    async with (
        transport(url, headers={"Authorization": f"Bearer {token}"}) as streams,
        ClientSession(*streams[:2], elicitation_callback=elicit, sampling_callback=sample) as session,
    ):
        found = await look(session)
    sys.stdout.write(json.dumps(found) + "\n")


asyncio.run(main(*sys.argv[1:]))
