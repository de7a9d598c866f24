"""A client on fastmcp: PLAN URL TOKEN → what it has seen, as JSON."""

# mypy: ignore-errors
# (it runs in an environment of its own: tests/python/fastmcp.txt)

import asyncio
import json
import sys

from fastmcp import Client
from fastmcp.client.transports import SSETransport, StreamableHttpTransport
from mcp.shared.exceptions import MCPError


def dump(model):
    return model.model_dump(mode="json", by_alias=True)


async def attempt(request):
    try:
        return dump(await request)
    except MCPError as error:
        return {"error": dump(error.error)}


async def look(client, plan, logs):
    version = client.session.protocol_version or ""
    if plan["level"] and version < "2026":
        await client.set_logging_level(plan["level"])

    async def call(asked):
        steps = []

        async def progress(done, total, message):
            steps.append([done, total, message])

        return await attempt(client.call_tool_mcp(**asked, progress_handler=progress)), steps

    called = [await call(asked) for asked in plan["calls"]]
    return {
        "version": version,
        "tools": [dump(tool) for tool in await client.list_tools()],
        "prompts": [dump(prompt) for prompt in await client.list_prompts()],
        "resources": [dump(resource) for resource in await client.list_resources()],
        "templates": [dump(template) for template in await client.list_resource_templates()],
        "called": [result for result, _ in called],
        "progress": [steps for _, steps in called],
        "got": [await attempt(client.get_prompt_mcp(**asked)) for asked in plan["prompts"]],
        "read": [await attempt(client.read_resource_mcp(uri)) for uri in plan["resources"]],
        "logs": logs,
    }


async def main(plan, url, token):
    transport = (SSETransport if url.endswith("/sse") else StreamableHttpTransport)(url, auth=token)
    logs = []

    async def sample(messages, parameters, context):
        return "42"

    async def elicit(message, kind, parameters, context):
        return {"colour": "blue"}

    async def log(message):
        logs.append(dump(message))

    async with Client(transport, sampling_handler=sample, elicitation_handler=elicit, log_handler=log) as client:
        seen = await look(client, json.loads(plan), logs)
    sys.stdout.write(json.dumps(seen) + "\n")


asyncio.run(main(*sys.argv[1:]))
