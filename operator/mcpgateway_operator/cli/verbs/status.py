"""`mcpgw status`: conditions and servers, once or live."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from ..bad_input import NotHealthyError
from ..output.screen import Screen
from ..output.tables import table
from ..output.text import age, one_line
from ..target.choose import chosen
from ..target.model import Choice, Resource, Target

_GOOD = {"Ready": "good", "Pending": "doubtful", "Connecting": "doubtful", "Restarting": "doubtful", "Unknown": "doubtful"}


async def show_status(choice: Choice, screen: Screen, *, watch: bool) -> None:
    """Print the status, and again at each change if `watch`. Raises: BadInputError; NotHealthyError if it is not Ready."""
    async with chosen(choice) as target, contextlib.aclosing(target.watch()) as resources:
        async for resource in resources:
            _show(target, resource, screen, live=watch)
            if not watch:
                break
        else:
            return
    if not ready(resource):
        raise NotHealthyError


def ready(resource: Resource) -> bool:
    """Whether the condition Ready is True."""
    return condition(resource, "Ready").get("status") == "True"


def condition(resource: Resource, kind: str) -> Mapping[str, Any]:
    """A condition of the resource; empty if it has none of that type yet."""
    conditions = resource.get("status", {}).get("conditions") or ()
    return next((item for item in conditions if item["type"] == kind), {})


def _show(target: Target, resource: Resource, screen: Screen, *, live: bool) -> None:
    if not screen.for_people:
        screen.document({"name": target.name, "status": resource.get("status", {})})
        return
    lines = list(status_lines(resource, target.title, screen, now=datetime.now(UTC)))
    (screen.redraw if live else screen.lines)(lines)


def status_lines(resource: Resource, title: str, screen: Screen, *, now: datetime) -> Iterator[str]:
    """The status for people."""
    status = resource.get("status") or {}
    yield screen.paint(title, "strong")
    if not status:
        yield "no status yet: is the operator running? `kubectl get pods -A -l app.kubernetes.io/name=mcpgateway-operator`"
        return
    words = f"{status.get('readyServers', '0/0')} servers ready, {status.get('toolCount', 0)} tools"
    yield f"{status.get('url', 'no URL yet')}  {words}"
    yield ""
    yield from _conditions(status, screen, now)
    yield ""
    yield from _servers(status, screen)


def _conditions(status: Mapping[str, Any], screen: Screen, now: datetime) -> Iterator[str]:
    rows = [
        (item["type"], item["status"], item["reason"], age(item.get("lastTransitionTime", ""), now=now), item["message"])
        for item in status.get("conditions") or ()
    ]
    lines = table(("CONDITION", "STATUS", "REASON", "AGE", "MESSAGE"), rows, width=screen.width)
    yield from _coloured(lines, ["", *(_colour(row) for row in rows)], screen)


def _colour(row: tuple[str, ...]) -> str:
    wanted = "False" if row[0] in ("Stalled", "Reconciling") else "True"
    return "good" if row[1] == wanted else "doubtful" if row[1] == "Unknown" or row[0] == "Reconciling" else "bad"


def _servers(status: Mapping[str, Any], screen: Screen) -> Iterator[str]:
    servers = status.get("servers") or ()
    rows = [
        (
            row["name"],
            row["state"],
            row.get("tools", 0),
            row.get("processes", 0),
            row.get("restarts", 0),
            row.get("protocolVersion") or "-",
            _error(row),
        )
        for row in servers
    ]
    header = ("SERVER", "STATE", "TOOLS", "PROCESSES", "RESTARTS", "PROTOCOL", "LAST ERROR")
    lines = table(header, rows, width=screen.width)
    yield from _coloured(lines, ["", *(_GOOD.get(row["state"], "bad") for row in servers)], screen)


def _coloured(lines: Iterator[str], colours: list[str], screen: Screen) -> Iterator[str]:
    yield from (screen.paint(line, colour) for line, colour in zip(lines, colours, strict=True))


def _error(row: Mapping[str, Any]) -> str:
    error = row.get("lastError")
    return one_line(f"{error['reason']}: {error['message']}") if error else "-"
