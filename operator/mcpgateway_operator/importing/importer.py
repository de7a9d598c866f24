"""Sources → one MCPGateway with its Secret, and the report. Pure but for `resolve`, which looks versions up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import yaml

from ..api.pitfalls import pitfalls
from ..api.validation import spec_errors
from . import catalogs, clients
from .convert import convert
from .model import Package, RefusedError, Report, Server, UnreadableError
from .resource import resource
from .source import documents

MAX_SERVERS = 64
Resolve = Callable[[Package], Awaitable[Package]]  # with an exact version; as it was, if it cannot be looked up


@dataclass(frozen=True)
class Source:
    """A file's name, for messages, and its text."""

    name: str
    text: str


@dataclass(frozen=True)
class Imported:
    """The documents, and the report; without a server that can be converted there are no documents."""

    text: str
    servers: int
    report: Report


async def import_sources(sources: Sequence[Source], *, name: str, resolve: Resolve) -> Imported:
    """Convert. Raises: UnreadableError, if a source is in no form that is understood, or the result would not be valid."""
    report, servers = Report(), list[Server]()
    for source in sources:
        for server in _servers(source, report):
            if server in servers:
                report.add("changed", server.name, "it is in several sources, and in the resource once")
            else:
                servers.append(server)
    if len(servers) > MAX_SERVERS:
        raise UnreadableError(
            f"{', '.join(source.name for source in sources)}: {len(servers)} servers: want at most {MAX_SERVERS}"
        )
    servers = list(await asyncio.gather(*(_resolved(server, resolve, report) for server in servers)))
    if not servers:
        return Imported("", 0, report)
    servers = _valid(servers, report)
    return Imported(resource(servers, name=name, report=report) if servers else "", len(servers), report)


def has_servers(source: Source) -> bool:
    """Whether a source has servers, in any form."""
    try:
        return any(_listed(document) for document in documents(source.text))
    except UnreadableError:
        return False


def _servers(source: Source, report: Report) -> list[Server]:
    out = []
    try:
        listed = [item for document in documents(source.text) for item in _listed(document)]
    except UnreadableError as error:
        raise UnreadableError(f"{source.name} {error}") from None
    for name, make in listed:
        try:
            out.append(make(report))
        except RefusedError as error:
            report.add("refused", name, str(error))
    if not listed:
        raise UnreadableError(
            f"{source.name} has no MCP servers in it: want a client's configuration (mcpServers, servers, …), a catalog, a "
            "server.json, a Compose file, or an MCPServer of another operator"
        )
    return out


def _listed(document: Any) -> list[tuple[str, Callable[[Report], Server]]]:
    """The servers of a document, with what converts them."""
    in_catalog = catalogs.found_in(document)
    if in_catalog:
        return [(item.name, item.make) for item in in_catalog]
    return [(entry.name, partial(convert, entry)) for entry in clients.entries(document)]


async def _resolved(server: Server, resolve: Resolve, report: Report) -> Server:
    if server.package is None:
        return server
    package = await resolve(server.package)
    if package.version != server.package.version:
        report.add("changed", server.name, f"{package.name} is pinned to {package.version}, the newest version today")
    return replace(server, package=package)


def _valid(servers: Sequence[Server], report: Report) -> list[Server]:
    """The servers that make a valid resource, each by itself; the others are refused with the fields that are wrong."""
    out = []
    for server in servers:
        text = resource([server], name="check", report=Report())
        spec = next(yaml.load_all(text, Loader=yaml.CSafeLoader))["spec"]
        if errors := [*spec_errors(spec), *pitfalls(spec)]:
            report.add("refused", server.name, "; ".join(str(error).replace("spec.servers[0].", "") for error in errors[:3]))
        else:
            out.append(server)
    return out
