"""A server on the Python SDK before its second version, with state, progress, logging, sampling and elicitation.

fastmcp1.py                          over stdio
fastmcp1.py streamable-http|sse PORT over HTTP, at /mcp or /sse
"""

# mypy: ignore-errors
# (it runs on another version of the SDK than the one that is installed here)

import asyncio
import sys
from weakref import WeakKeyDictionary

from mcp.server.fastmcp import Context, FastMCP
from mcp.types import SamplingMessage, TextContent
from pydantic import BaseModel

server = FastMCP("fastmcp1")
counted = WeakKeyDictionary()  # by session: over HTTP, one process has several


class Answer(BaseModel):
    """What a person is asked for."""

    colour: str


@server.tool(meta={"ui": {"resourceUri": "ui://fastmcp1/count", "visibility": ["model", "app"]}})
def count(context: Context) -> int:
    """One more."""
    counted[context.session] = counted.get(context.session, 0) + 1
    return counted[context.session]


@server.tool()
async def work(steps: int, context: Context) -> str:
    """Report progress."""
    for step in range(steps):
        await context.report_progress(step + 1, steps, f"step {step + 1}")
        await asyncio.sleep(0.1)  # a client may take a reply before the notifications that came with it
    await context.info("worked")
    return f"{steps} steps"


@server.tool()
async def paint(context: Context) -> str:
    """Ask the person."""
    asked = await context.elicit("Which colour?", Answer)
    return f"{asked.action}: {asked.data.colour}" if asked.action == "accept" else asked.action


@server.tool()
async def think(context: Context) -> str:
    """Ask the model."""
    message = SamplingMessage(role="user", content=TextContent(type="text", text="What is 6 times 7?"))
    reply = await context.session.create_message([message], max_tokens=10)
    return reply.content.text if isinstance(reply.content, TextContent) else "?"


@server.prompt()
def greet(whom: str) -> str:
    """A greeting."""
    return f"Greet {whom}"


@server.resource("memo://fastmcp1/all")
def memo() -> str:
    """A text."""
    return "grüße"


@server.resource("ui://fastmcp1/count", mime_type="text/html;profile=mcp-app", meta={"ui": {"prefersBorder": True}})
def view() -> str:
    """How a host shows the count (MCP Apps)."""
    return "<!doctype html><title>Count</title>"


if __name__ == "__main__":
    transport, port = sys.argv[1:] or ("stdio", "0")
    server.settings.port = int(port)
    server.run(transport)
