"""A client on the Python SDK before its second version: PLAN URL TOKEN, or PLAN and a command → what it has seen, as JSON."""

# mypy: ignore-errors
# (it runs on other versions of the SDK than the one that is installed here)

import asyncio
import inspect
import json
import sys

from mcp import ClientSession, McpError, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client
from mcp.types import CreateMessageResult, TextContent


def known(function, **options):
    """Those options that this version of the SDK has."""
    return {name: value for name, value in options.items() if name in inspect.signature(function).parameters}


def dump(model):
    return model.model_dump(mode="json", by_alias=True)


async def elicit(context, params):
    from mcp.types import ElicitResult

    return ElicitResult(action="accept", content={"colour": "blue"})


async def sample(context, params):
    return CreateMessageResult(role="assistant", model="m", content=TextContent(type="text", text="42"))


async def attempt(request):
    try:
        return dump(await request)
    except McpError as error:
        return {"error": dump(error.error)}
    except ValueError as error:  # a result that this version of the SDK does not know
        return {"error": str(error)}


async def look(session, plan, logs):
    greeted = await session.initialize()
    if plan["level"]:
        await session.set_logging_level(plan["level"])

    async def call(asked):
        steps = []

        async def progress(done, total, message=None):
            steps.append([done, total, message])

        return await attempt(session.call_tool(**asked, **known(session.call_tool, progress_callback=progress))), steps

    called = [await call(asked) for asked in plan["calls"]]
    return {
        "version": greeted.protocolVersion,
        "tools": dump(await session.list_tools())["tools"],
        "prompts": dump(await session.list_prompts())["prompts"],
        "resources": dump(await session.list_resources())["resources"],
        "templates": dump(await session.list_resource_templates())["resourceTemplates"],
        "called": [result for result, _ in called],
        "progress": [steps for _, steps in called],
        "got": [await attempt(session.get_prompt(**asked)) for asked in plan["prompts"]],
        "read": [await attempt(session.read_resource(uri)) for uri in plan["resources"]],
        "logs": logs,
    }


def connect(target, *rest):
    if not target.startswith("http"):
        return stdio_client(StdioServerParameters(command=target, args=list(rest)))
    transport = sse_client if target.endswith("/sse") else streamablehttp_client
    return transport(target, headers={"Authorization": f"Bearer {rest[0]}"})


async def main(plan, *target):
    logs = []

    async def log(params):
        logs.append(dump(params))

    options = known(ClientSession, elicitation_callback=elicit, sampling_callback=sample, logging_callback=log)
    async with connect(*target) as streams, ClientSession(*streams[:2], **options) as session:
        seen = await look(session, json.loads(plan), logs)
    sys.stdout.write(json.dumps(seen) + "\n")


asyncio.run(main(*sys.argv[1:]))
