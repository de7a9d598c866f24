"""A client on the Python SDK, version 2: PLAN URL TOKEN MODE → what it has seen, as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
import warnings
from collections.abc import Awaitable
from typing import Any

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp_types import CreateMessageResult, ElicitResult, TextContent
from pydantic import BaseModel

warnings.simplefilter("ignore", MCPDeprecationWarning)


def dump(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(mode="json", by_alias=True)


async def elicit(context: Any, params: Any) -> ElicitResult:
    return ElicitResult(action="accept", content={"colour": "blue"})


async def sample(context: Any, params: Any) -> CreateMessageResult:
    return CreateMessageResult(role="assistant", model="m", content=TextContent(type="text", text="42"))


async def attempt(request: Awaitable[Any]) -> dict[str, Any]:
    try:
        return dump(await request)
    except MCPError as error:
        return {"error": dump(error.error)}


async def look(client: Client, plan: dict[str, Any], logs: list[Any]) -> dict[str, Any]:
    if plan["level"] and client.protocol_version < "2026":
        await client.set_logging_level(plan["level"])
    meta = {"io.modelcontextprotocol/logLevel": plan["level"]} if plan["level"] and client.protocol_version > "2026" else None

    async def call(asked: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
        steps: list[Any] = []

        async def progress(done: float, total: float | None, message: str | None) -> None:
            steps.append([done, total, message])

        return await attempt(client.call_tool(**asked, progress_callback=progress, meta=meta)), steps  # type: ignore[arg-type]

    called = [await call(asked) for asked in plan["calls"]]
    return {
        "version": client.protocol_version,
        "tools": dump(await client.list_tools())["tools"],
        "prompts": dump(await client.list_prompts())["prompts"],
        "resources": dump(await client.list_resources())["resources"],
        "templates": dump(await client.list_resource_templates())["resourceTemplates"],
        "called": [result for result, _ in called],
        "progress": [steps for _, steps in called],
        "got": [await attempt(client.get_prompt(**asked)) for asked in plan["prompts"]],
        "read": [await attempt(client.read_resource(uri)) for uri in plan["resources"]],
        "logs": logs,
    }


async def main(plan: str, url: str, token: str, mode: Any) -> None:
    logs: list[Any] = []

    async def log(params: Any) -> None:
        logs.append(dump(params))

    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=180) as http,
        Client(
            streamable_http_client(url, http_client=http),
            mode=mode,
            sampling_callback=sample,
            elicitation_callback=elicit,
            logging_callback=log,
        ) as client,
    ):
        seen = await look(client, json.loads(plan), logs)
    sys.stdout.write(json.dumps(seen) + "\n")


asyncio.run(main(*sys.argv[1:]))
