"""`mcpgw tools`: what a client of the gateway may call."""

from __future__ import annotations

from typing import Any

from ..output.screen import Screen
from ..output.tables import table
from ..output.text import one_line
from ..target.choose import chosen
from ..target.model import Choice, Target
from .arguments import describe
from .session import session


async def list_tools(target: Target, screen: Screen) -> list[dict[str, Any]]:
    """The tools, by an MCP client. Raises: BadInputError."""
    async with session(target, screen) as client:
        return await client.tools()


async def show_tools(choice: Choice, screen: Screen) -> None:
    """Print the tools. Raises: BadInputError."""
    async with chosen(choice) as target:
        tools = await list_tools(target, screen)
    if not screen.for_people:
        screen.document({"gateway": target.name, "tools": tools})
        return
    if not tools:
        screen.note(f"{target.title} offers no tools: `mcpgw status` says why")
        return
    rows = [(tool["name"], _flags(tool), one_line(tool.get("description") or tool.get("title") or "")) for tool in tools]
    screen.lines(table(("TOOL", "ARGUMENTS", "DESCRIPTION"), rows, width=screen.width))


def _flags(tool: dict[str, Any]) -> str:
    """The required flags, and how many others there are."""
    flags = list(describe(tool.get("inputSchema") or {}))
    required = [flag for flag, _, words in flags if words.startswith("(required)")]
    more = len(flags) - len(required)
    return " ".join([*required, *([f"[+{more}]"] if more else [])]) or "-"
