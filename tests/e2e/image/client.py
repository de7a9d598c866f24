"""An MCP client that is driven line by line: one JSON command a line on stdin, one JSON answer a line on stdout.

{"do": "open", "url": …, "token": …, "mode": "legacy" | "auto"}   {"do": "list"}   {"do": "call", "name": …, "arguments": {…}}
{"do": "get", "url": …, "token": …}                                {"do": "close"}  {"do": "wait"} keeps the pod alive
"""

from __future__ import annotations

import json
import sys
from contextlib import AsyncExitStack
from typing import Any

import anyio
import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client


class Driver:
    def __init__(self) -> None:
        self.stack = AsyncExitStack()
        self.client: Any = None

    async def open(self, *, url: str, token: str = "", mode: str = "auto") -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        http = await self.stack.enter_async_context(httpx2.AsyncClient(headers=headers, timeout=90))
        transport = streamable_http_client(url, http_client=http)
        self.client = await self.stack.enter_async_context(Client(transport, mode=mode))
        return {"version": str(self.client.session.protocol_version) if hasattr(self.client.session, "protocol_version") else ""}

    async def list(self) -> dict[str, Any]:
        return {"tools": [tool.name for tool in (await self.client.list_tools()).tools]}

    async def call(self, *, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        result = await self.client.call_tool(name, arguments)
        return {"text": "".join(getattr(block, "text", "") for block in result.content), "isError": result.is_error}

    async def get(self, *, url: str, token: str = "") -> dict[str, Any]:
        async with httpx2.AsyncClient(timeout=10) as http:
            answer = await http.get(url, headers={"Authorization": f"Bearer {token}"} if token else {})
        return {"status": answer.status_code, "body": answer.text}

    async def post(
        self, *, url: str, token: str = "", body: Any = None, more: dict[str, str] | None = None, patience: float = 10
    ) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", **(more or {})}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        async with httpx2.AsyncClient(timeout=patience) as http:
            answer = await http.post(url, headers=headers, content=json.dumps(body))
        return {"status": answer.status_code, "body": body_of(answer.text), "headers": dict(answer.headers)}

    async def close(self) -> dict[str, Any]:
        await self.stack.aclose()
        self.client = None
        return {}


def body_of(text: str) -> str:
    """The body of a response; of a stream that the gateway has begun because the answer was long in coming, its only message."""
    data = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return data[0] if text.startswith(": keep-alive") and len(data) == 1 else text


def cause(error: BaseException) -> BaseException:
    """The first real error in a group of groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def main() -> None:
    driver = Driver()
    while line := await anyio.to_thread.run_sync(sys.stdin.readline):
        command = json.loads(line)
        do = command.pop("do")
        try:
            answer = await getattr(driver, do)(**command)
        except Exception as error:
            first = cause(error)
            code = getattr(first, "code", None)
            answer = {"error": f"{type(first).__name__}: {first}", "code": code, "data": getattr(first, "data", None)}
        print(json.dumps(answer, default=str), flush=True)


if sys.argv[1:] == ["wait"]:
    anyio.run(anyio.sleep_forever)
else:
    anyio.run(main)
