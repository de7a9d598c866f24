"""`mcpgw approve`: review a server's tools, and approve them in their present form (`spec.toolPinning`)."""

from __future__ import annotations

import difflib
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...api.group import KIND
from ...render.naming import PIN
from ..bad_input import BadInputError
from ..cluster.api import MERGE
from ..folders import STATE
from ..output.screen import Screen
from ..output.text import suggestion, visible
from ..target.choose import chosen
from ..target.cluster_target import ClusterTarget, path_of
from ..target.model import Choice, Resource
from .tools import list_tools

_APPROVED = STATE / ".approved"  # what was approved from this machine, to compare with later; no gateway has this name


async def approve(choice: Choice, screen: Screen, *, server: str, yes: bool) -> None:
    """Show what has changed since the last approval, and approve it. Raises: BadInputError, NotReachedError."""
    async with chosen(choice) as target:
        if not isinstance(target, ClusterTarget):
            annotation = f"the annotation {PIN}{server}"
            raise BadInputError(f"{target.title}: approve in its file: set {annotation} in {target.place['file']} to the digest")
        resource = await target.resource()
        digest = _digest(resource, server)
        approved = (resource["metadata"].get("annotations") or {}).get(f"{PIN}{server}")
        if approved == digest:
            screen.note(f"the tools of {server!r} are approved in their present form: {digest}")
            return
        tools = [tool for tool in await list_tools(target, screen) if tool["name"].startswith(server)]
        screen.lines(_review(tools, _kept(target, server), screen))
        _confirm(server, digest, yes=yes)
        version = resource["metadata"]["resourceVersion"]  # refused if somebody has changed the resource meanwhile
        body = {"metadata": {"resourceVersion": version, "annotations": {f"{PIN}{server}": digest}}}
        await target.api.request("PATCH", path_of(KIND, target.namespace, target.name), body=body, content=MERGE)
        _keep(target, server, tools)
    screen.note(f"approved: {server} {digest}")


def _digest(resource: Resource, server: str) -> str:
    rows = resource.get("status", {}).get("servers") or ()
    for row in rows:
        if row["name"] == server:
            if not row.get("digest"):
                raise BadInputError(f"server {server!r} has not listed its tools yet: `mcpgw doctor` says why")
            return str(row["digest"])
    raise BadInputError(f"there is no server {server!r}: {suggestion(server, [row['name'] for row in rows])}")


def _review(tools: Sequence[dict[str, Any]], before: Sequence[dict[str, Any]] | None, screen: Screen) -> Iterator[str]:
    """The definitions, or how they differ from those that were approved from this machine before."""
    if not tools:
        yield "its tools are not offered to clients until they are approved, so they cannot be shown: read them in its source"
    elif before is None:
        yield from _lines(tools)
    else:
        changes = list(difflib.unified_diff(list(_lines(before)), list(_lines(tools)), "approved", "now", lineterm="", n=2))
        colours = {"+": "good", "-": "bad"}
        yield from (screen.paint(line, colours.get(line[:1], "")) for line in changes)


def _lines(tools: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Everything that the model reads of a tool, and that a server could use to mislead it; one line each."""
    for tool in sorted(tools, key=lambda tool: str(tool["name"])):
        yield str(tool["name"])
        for key, value in sorted(tool.items()):
            if key != "name":
                text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
                yield from (f"  {key}: {visible(line)}" for line in text.splitlines() or [""])


def _confirm(server: str, digest: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise BadInputError(f"{server} {digest} is not approved: review it, and repeat with --yes")
    sys.stderr.write(f"Approve the tools of {server} in this form? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise BadInputError(f"{server} is not approved")


def _file(target: ClusterTarget, server: str) -> Path:
    place = json.dumps([target.api.access.server, target.namespace, target.name, server])
    return _APPROVED / f"{hashlib.sha256(place.encode()).hexdigest()[:24]}.json"


def _kept(target: ClusterTarget, server: str) -> list[dict[str, Any]] | None:
    try:
        kept: list[dict[str, Any]] = json.loads(_file(target, server).read_text())
    except (OSError, ValueError):
        return None
    return kept


def _keep(target: ClusterTarget, server: str, tools: Sequence[Mapping[str, Any]]) -> None:
    if tools:
        _APPROVED.mkdir(parents=True, exist_ok=True, mode=0o700)
        _file(target, server).write_text(json.dumps(tools))
