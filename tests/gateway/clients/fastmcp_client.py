"""A client on fastmcp: URL TOKEN → what it has seen, as JSON."""

# mypy: ignore-errors
# (it runs in an environment of its own: tests/python/fastmcp.txt)

import asyncio
import json
import sys

from fastmcp import Client
from fastmcp.client.transports import SSETransport, StreamableHttpTransport


async def main(url: str, token: str) -> None:
    transport = (SSETransport if url.endswith("/sse") else StreamableHttpTransport)(url, auth=token)
    steps = []

    async def progress(done, total, message):
        steps.append(done)

    async def sample(messages, parameters, context):
        return "42"

    async with Client(transport, sampling_handler=sample, progress_handler=progress) as client:

        async def text(tool, arguments=None):
            return (await client.call_tool(tool, arguments or {})).content[0].text

        found = {
            "tools": sorted(tool.name for tool in await client.list_tools()),
            "counts": [await text("old_count"), await text("old_count")],
            "work": await text("old_work", {"steps": 3}),
            "think": await text("old_think"),
            "prompt": (await client.get_prompt("old_greet", {"whom": "Zoë"})).messages[0].content.text,
            "resource": (await client.read_resource("memo://fastmcp1/all"))[0].text,
        }
        found["steps"] = steps
    sys.stdout.write(json.dumps(found) + "\n")


asyncio.run(main(*sys.argv[1:]))
