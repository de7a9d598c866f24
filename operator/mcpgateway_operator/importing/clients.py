"""The servers of client configurations, in whichever place and spelling a program keeps them. Pure.

Sources: the documentation of Claude Desktop, Claude Code, VS Code, Cursor, Windsurf, Cline, Roo Code, Kiro, Zed, Codex, Gemini
CLI, opencode, Goose, LibreChat, Continue, Amp, Crush and LM Studio.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from .model import Entry

_PLACES: Final = (  # where programs keep their servers
    ("mcpServers",),
    ("mcp_servers",),
    ("servers",),
    ("context_servers",),
    ("extensions",),
    ("mcp", "servers"),
    ("mcp", "mcpServers"),
    ("amp.mcpServers",),
    ("mcp.servers",),
    ("mcp",),
    ("experimental", "modelContextProtocolServers"),
    ("augment.advanced", "mcpServers"),
    ("tools", "mcpServers"),
)
_SERVER: Final = frozenset(
    {"command", "cmd", "url", "serverUrl", "httpUrl", "uri", "endpoint", "link", "transport", "settings", "args", "type"}
)


def entries(document: Any) -> list[Entry]:
    """The servers of a client's configuration; none if it is none."""
    if not isinstance(document, Mapping):
        return []
    inputs: Mapping[str, Any] = _inputs(document)
    out: list[Entry] = []
    for place in _PLACES:
        out += [entry for entry in _at(document, place, inputs) if entry not in out]
        if out:
            break
    projects = document.get("projects")
    for project in projects.values() if isinstance(projects, Mapping) else ():  # Claude Code's own file
        out += [entry for entry in entries(project) if entry not in out]
    return out or list(_named(document, inputs))


def _at(document: Mapping[str, Any], place: tuple[str, ...], inputs: Mapping[str, Any]) -> Iterator[Entry]:
    value: Any = document
    for step in place:
        value = value.get(step) if isinstance(value, Mapping) else None
    if isinstance(value, Mapping):
        yield from _named(value, {**inputs, **_inputs(value)})
    elif isinstance(value, list):
        for number, item in enumerate(value, start=1):
            if isinstance(item, Mapping):
                yield Entry(str(item.get("name") or f"server-{number}"), item, inputs)


def _named(servers: Mapping[Any, Any], inputs: Mapping[str, Any]) -> Iterator[Entry]:
    for name, fields in servers.items():
        if isinstance(fields, Mapping) and _SERVER & {str(key) for key in fields}:
            yield Entry(str(name), fields, inputs)


def _inputs(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What `${input:ID}` stands for (VS Code)."""
    inputs = document.get("inputs")
    items = [item for item in inputs if isinstance(item, Mapping)] if isinstance(inputs, list) else []
    return {str(item.get("id")): item for item in items}
