"""`mcpgw doctor`: looks at everything on the way of a call, and ends in one sentence and one command."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import aiohttp

from ..bad_input import BadInputError, NotHealthyError
from ..output.screen import Screen
from ..output.tables import table
from ..target.choose import chosen
from ..target.model import Choice, Reference, Resource, Target
from .diagnosis import Evidence, findings, steps
from .status import ready
from .tools import list_tools

_TIMEOUT = aiohttp.ClientTimeout(total=10)
_REFERENCES = {
    "secretKeyRef": "Secret",
    "configMapKeyRef": "ConfigMap",
    "secretRef": "Secret",
    "configMapRef": "ConfigMap",
}
_MARKS = {"good": "ok", "bad": "BAD", "doubtful": "?"}


async def doctor(choice: Choice, screen: Screen) -> None:
    """Print what was looked at, and the cause. Raises: BadInputError; NotHealthyError if something is broken."""
    async with chosen(choice) as target:
        with screen.progress(f"examining {target.title}"):
            evidence = await _evidence(target, screen)
    causes = findings(evidence)
    if screen.for_people:
        rows = [(_MARKS[step.state], step.subject, step.words) for step in steps(evidence)]
        screen.lines(table(("", "EXAMINED", "FOUND"), rows, width=screen.width))
        screen.lines(("", screen.paint(causes[0].sentence, "bad" if causes[0].broken else "good"), f"  {causes[0].command}"))
    else:
        looked = [asdict(step) for step in steps(evidence)]
        screen.document({"gateway": target.name, "findings": [asdict(cause) for cause in causes], "steps": looked})
    if causes[0].broken:
        raise NotHealthyError


async def _evidence(target: Target, screen: Screen) -> Evidence:
    resource = await target.resource()
    exits = await _exits(target, resource)
    absent = await target.absent(list(references(resource["spec"])))
    call, tools = None, 0
    if ready(resource):  # else the conditions say why a call would fail
        call, tools = await _called(target, screen)
    return Evidence(resource, target.place, absent=tuple(absent), exits=exits, call=call, tools=tools)


async def _called(target: Target, screen: Screen) -> tuple[str | None, int]:
    """Why a client cannot list the tools, or how many there are."""
    try:
        return None, len(await list_tools(target, screen))
    except BadInputError as error:
        return str(error), 0


async def _exits(target: Target, resource: Resource) -> dict[str, dict[str, Any]]:
    """How the processes of servers with an error have ended, in the words of their bridges."""
    servers = [row["name"] for row in resource.get("status", {}).get("servers") or () if row.get("lastError")]
    exits = {}
    with contextlib.suppress(BadInputError, aiohttp.ClientError, TimeoutError, OSError, ValueError):
        async with target.internal_urls() as urls, aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            for server in servers if urls else ():
                async with session.get(f"{urls[0]}/status/{server}") as answer:
                    detail = await answer.json()
                if report := (detail.get("lastError") or {}).get("exit"):
                    exits[server] = report
    return exits


def references(value: Any) -> Iterator[Reference]:
    """All keys of Secrets and ConfigMaps that a spec needs; not those that are optional."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name in _REFERENCES and isinstance(item, dict) and not item.get("optional"):
                kind: Any = _REFERENCES[name]
                yield Reference(kind, str(item.get("name")), str(item.get("key") or ""))
            else:
                yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)
