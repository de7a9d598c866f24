"""`mcpgw logs`: what a server, or the gateway, writes on standard error, wherever it runs."""

from __future__ import annotations

import asyncio
import contextlib
import sys

from ..bad_input import BadInputError
from ..output.screen import Screen
from ..output.text import suggestion, visible
from ..target.choose import chosen
from ..target.model import GATEWAY_LOG, Choice, LogSource, Target


async def show_logs(choice: Choice, screen: Screen, *, component: str, follow: bool, tail: int, previous: bool) -> None:
    """Print the logs of a server, or of the gateway. Raises: BadInputError, NotReachedError."""
    async with chosen(choice) as target:
        await _require_component(target, component)
        sources = await target.log_sources(component, follow=follow, tail=tail, previous=previous)
        if not sources:
            raise BadInputError(f"{component!r} has no pods: `mcpgw doctor {target.place['mcpgw']}` says why")
        async with asyncio.TaskGroup() as group:
            for source in sources:
                group.create_task(_print(source, screen, named=len(sources) > 1))


async def _require_component(target: Target, component: str) -> None:
    servers = (await target.resource())["spec"].get("servers") or ()
    names = [GATEWAY_LOG, *(server["name"] for server in servers if "url" not in server)]
    if component not in names:
        remote = any(server["name"] == component for server in servers)
        words = "is a remote server: its logs are where it runs" if remote else f"is no server: {suggestion(component, names)}"
        raise BadInputError(f"{component!r} {words}")


async def _print(source: LogSource, screen: Screen, *, named: bool) -> None:
    mark = f"{source.name}  " if named else ""
    rest = b""
    async with contextlib.aclosing(source.chunks) as chunks:
        async for chunk in chunks:
            *lines, rest = (rest + chunk).split(b"\n")
            screen.lines(mark + _text(line) for line in lines)
    if rest:
        screen.lines([mark + _text(rest)])


def _text(line: bytes) -> str:
    text = line.decode(errors="replace")
    return visible(text) if sys.stdout.isatty() else text
