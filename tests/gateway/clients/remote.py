"""A client that speaks stdio only, through a program that speaks to URLs (mcp-remote): COMMAND … → what it has seen, as JSON."""

# mypy: ignore-errors
# (it runs on another version of the SDK than the one that is installed here)

import asyncio
import json
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


async def main(command: str, *args: str) -> None:
    parameters = StdioServerParameters(command=command, args=list(args))
    async with stdio_client(parameters) as streams, ClientSession(*streams) as session:

        async def text(tool, arguments=None, **more):
            return (await session.call_tool(tool, arguments or {}, **more)).content[0].text

        greeted = await session.initialize()
        prompt = await session.get_prompt("old_greet", {"whom": "Zoë"})
        resource = await session.read_resource("memo://fastmcp1/all")
        found = {
            "version": greeted.protocolVersion,
            "tools": sorted(tool.name for tool in (await session.list_tools()).tools),
            "counts": [await text("old_count"), await text("old_count")],
            "work": await text("old_work", {"steps": 3}),
            "prompt": prompt.messages[0].content.text,
            "resource": resource.contents[0].text,
        }
    sys.stdout.write(json.dumps(found) + "\n")


asyncio.run(main(*sys.argv[1:]))
