"""What is offered, and by whom: an immutable snapshot, built whenever a server comes, goes or changes.

The MCP specification leaves the merging to aggregators; names follow its "Tools" page (1 to 128 of A-Z a-z 0-9 _ - .), cut to the
64 characters of [A-Za-z0-9_-] that model providers accept.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import UNSET, Raw

from . import era, jsonrpc
from .config import ToolNames

MAX_NAME = 64
_FORBIDDEN = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as its server offers it; `raw` is the server's own JSON object."""

    server: str
    name: str
    raw: Raw


@dataclass(frozen=True, slots=True)
class Catalog:
    """The merged lists, ready to be sent."""

    tools: Mapping[str, Tool] = field(default_factory=dict)  # by exposed name
    legacy_list: bytes = b'{"tools":[]}'
    modern_list: bytes = b'{"tools":[]}'
    hidden: tuple[str, ...] = ()  # "server/tool" whose exposed name was taken
    away: Mapping[str, str] = field(default_factory=dict)  # exposed name -> server that is away: named, but not offered

    def count(self, server: str) -> int:
        """How many tools of a server are offered."""
        return sum(tool.server == server for tool in self.tools.values())


def build(offers: Sequence[Tool], *, naming: ToolNames, gateway: str, absent: Collection[str] = ()) -> Catalog:
    """Merge the servers' tools; the order of servers and of their tools is kept, and the same input gives the same bytes.

    The tools of servers in `absent` keep their names, so that nobody else's change meanwhile, but are not offered.
    """
    times = Counter(tool.name for tool in offers)
    exposed: dict[str, Tool] = {}
    hidden = []
    for tool in offers:
        prefixed = naming.prefix == "Always" or (naming.prefix == "OnConflict" and times[tool.name] > 1)
        name = exposed_name(tool.server, tool.name, separator=naming.separator) if prefixed else fit(tool.name)
        if name in exposed:
            hidden.append(f"{tool.server}/{tool.name}")
        else:
            exposed[name] = tool
    away = {name: tool.server for name, tool in exposed.items() if tool.server in absent}
    exposed = {name: tool for name, tool in exposed.items() if name not in away}
    listed = b"[" + b",".join(_renamed(tool, name) for name, tool in exposed.items()) + b"]"
    stamp = jsonrpc.dump({era.SERVER_INFO_KEY: era.server_info(gateway)})
    modern = b'{"tools":' + listed + b',"resultType":"complete","ttlMs":0,"cacheScope":"private","_meta":' + stamp + b"}"
    return Catalog(tools=exposed, legacy_list=b'{"tools":' + listed + b"}", modern_list=modern, hidden=tuple(hidden), away=away)


def exposed_name(server: str, tool: str, *, separator: str) -> str:
    """`<server><separator><tool>`, made to fit."""
    return fit(f"{server}{separator}{tool}")


def fit(name: str) -> str:
    """A name that every client accepts; one that had to be changed ends in a hash of the original, so that it stays unique."""
    clean = _FORBIDDEN.sub("_", name)
    if clean == name and len(name) <= MAX_NAME:
        return name
    mark = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{clean[: MAX_NAME - 9]}_{mark}"


def _renamed(tool: Tool, name: str) -> bytes:
    if name == tool.name:
        return jsonrpc.one_line(bytes(tool.raw))
    fields = jsonrpc.members(tool.raw)
    return jsonrpc.dump({key: Raw(jsonrpc.dump(name)) if key == "name" else value for key, value in fields.items()})


def parse_tools(server: str, raw: Raw) -> list[Tool]:
    """The tools of one page of tools/list. Raises: ProtocolError when the page is not what the specification says."""
    listing = jsonrpc.members(raw).get("tools", UNSET)
    if listing is UNSET:
        raise jsonrpc.ProtocolError(jsonrpc.INTERNAL_ERROR, "tools/list answered without a list of tools")
    tools = []
    for item in jsonrpc.items(listing):
        name = jsonrpc.text(jsonrpc.members(item).get("name", UNSET))
        if name:
            tools.append(Tool(server=server, name=name, raw=item))
    return tools
