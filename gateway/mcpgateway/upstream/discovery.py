"""Finding out what a server speaks and what it offers.

Source: MCP specification 2026-07-28, "Versioning": probe with server/discover; any other error, or silence, means legacy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec import UNSET, Raw

from ..catalog.intake import Intake
from ..catalog.model import KINDS, Kind, Offer
from ..protocol import jsonrpc, request_meta, translation, versions
from ..protocol.errors import Failure, Reason, UpstreamError
from ..protocol.versions import Era
from ..protocol.visible_text import visible
from .connection import Connection

PROBE_TIMEOUT = 10.0  # seconds, from the start of the process: as the SDKs have it
INITIALIZE_TIMEOUT = 30.0
LIST_TIMEOUT = 30.0
_MAX_INSTRUCTIONS = 16 << 10  # characters
_NULL = Raw(b"null")


@dataclass(frozen=True, slots=True)
class Profile:
    """What a server turned out to be."""

    era: Era
    version: str
    capabilities: frozenset[str]
    instructions: str = ""
    extensions: Mapping[str, Raw] = field(default_factory=dict)


async def probe(connection: Connection, *, gateway: str) -> Profile:
    """Open a conversation in the era that the server prefers. Raises: UpstreamError."""
    try:
        answer = await connection.call("server/discover", _modern_params(gateway), timeout=PROBE_TIMEOUT)
    except jsonrpc.ProtocolError as error:
        if error.code == jsonrpc.UNSUPPORTED_VERSION and _shares_modern(error.data):
            words = "it refuses the version that it names itself"
            raise UpstreamError(Failure(connection.server, Reason.PROTOCOL_ERROR, words)) from error
    except UpstreamError as error:
        if error.failure.reason != Reason.TIMEOUT:
            raise
    else:
        fields = jsonrpc.members_or_none(answer)
        if fields is not None:  # else it does not know the method, and answers everything
            return _profile(connection, "modern", versions.MODERN_VERSIONS[-1], fields)
    return await initialize(connection, gateway=gateway)


def question(profile: Profile, *, gateway: str) -> tuple[str, bytes]:
    """What any server of that era answers at once, with its params."""
    return ("server/discover", _modern_params(gateway)) if profile.era == "modern" else ("ping", b"{}")


def _shares_modern(data: object) -> bool:
    supported = data.get("supported") if isinstance(data, dict) else None
    return isinstance(supported, list) and any(version in versions.MODERN_VERSIONS for version in supported)


async def initialize(connection: Connection, *, gateway: str, capabilities: bytes = b"{}") -> Profile:
    """The legacy handshake, for a client with these capabilities. Raises: UpstreamError."""
    params = {
        "protocolVersion": versions.LATEST_LEGACY,
        "capabilities": Raw(capabilities),
        "clientInfo": request_meta.server_info(gateway),
    }
    try:
        answer = await connection.call("initialize", jsonrpc.dump(params), timeout=INITIALIZE_TIMEOUT)
    except jsonrpc.ProtocolError as error:
        raise UpstreamError(Failure(connection.server, Reason.PROTOCOL_ERROR, f"it refused initialize: {error}")) from error
    fields = jsonrpc.members_or_none(answer)
    if fields is None:
        raise _malformed(connection, "the result of initialize must be an object")
    version = jsonrpc.text(fields.get("protocolVersion", UNSET)) or versions.LATEST_LEGACY
    profile = _profile(connection, "legacy", version, fields)
    connection.agreed(version)
    connection.notify("notifications/initialized")
    return profile


def _malformed(connection: Connection, words: str) -> UpstreamError:
    return UpstreamError(Failure(connection.server, Reason.PROTOCOL_ERROR, words))


def _profile(connection: Connection, era: Era, version: str, fields: Mapping[str, Raw]) -> Profile:
    """What a server's answer says of it. Raises: UpstreamError, if its capabilities are no object."""
    capabilities = _object(fields, "capabilities")
    if capabilities is None:
        raise _malformed(connection, "its capabilities must be an object")
    return Profile(era, version, _names(capabilities), _instructions(fields), _extensions(capabilities))


def _object(fields: Mapping[str, Raw], name: str) -> dict[str, Raw] | None:
    """An object's members; absent and null mean empty, and None that it is no object."""
    raw = fields.get(name, _NULL)
    return {} if bytes(raw) == b"null" else jsonrpc.members_or_none(raw)


def _instructions(fields: Mapping[str, Raw]) -> str:
    return visible((jsonrpc.text(fields.get("instructions", UNSET)) or "")[:_MAX_INSTRUCTIONS])


def _extensions(capabilities: Mapping[str, Raw]) -> dict[str, Raw]:
    """The extensions whose settings are objects: others would spoil what the gateway offers."""
    offered = _object(capabilities, "extensions") or {}
    return {
        name: Raw(jsonrpc.one_line(bytes(settings)))
        for name, settings in offered.items()
        if jsonrpc.members_or_none(settings) is not None
    }


def _names(capabilities: Mapping[str, Raw]) -> frozenset[str]:
    """Names of capabilities, and such as `resources.subscribe` for what is true inside them; null means absent."""
    offered = {name: raw for name, raw in capabilities.items() if bytes(raw) != b"null"}
    inner = {f"{name}.{flag}" for name, raw in offered.items() for flag in _flags(raw)}
    return frozenset({*offered, *inner})


def _flags(raw: Raw) -> list[str]:
    return [name for name, value in (jsonrpc.members_or_none(raw) or {}).items() if bytes(value) == b"true"]


async def list_all(connection: Connection, profile: Profile, *, gateway: str) -> Offer:
    """Everything that a server offers, within the bounds of `Intake`. Raises: UpstreamError."""
    intake = Intake(connection.server)
    for kind in KINDS.values():
        if kind.capability in profile.capabilities:
            await _list(connection, profile, kind, intake, gateway=gateway)
    return intake.offer()


async def _list(connection: Connection, profile: Profile, kind: Kind, intake: Intake, *, gateway: str) -> None:
    """All pages of one list; the caching hint of the last page applies to all."""
    cursor: Raw | None = None
    while True:
        try:
            page = await connection.call(kind.method, _page_params(profile, cursor, gateway), timeout=LIST_TIMEOUT)
            for _ in intake.read(kind, page):
                await asyncio.sleep(0)
            cursor = intake.following(kind, page)
        except jsonrpc.ProtocolError as error:
            if error.code == jsonrpc.METHOD_NOT_FOUND and kind.name == "resourceTemplates":
                return  # many servers with resources have no templates, and say it this way
            raise UpstreamError(Failure(connection.server, Reason.PROTOCOL_ERROR, f"{kind.method} failed: {error}")) from error
        if cursor is None:
            return


def _page_params(profile: Profile, cursor: Raw | None, gateway: str) -> bytes:
    params = {} if cursor is None else {"cursor": cursor}
    return jsonrpc.dump(translation.to_server(params, upstream=profile.era, gateway=gateway))


def _modern_params(gateway: str) -> bytes:
    return jsonrpc.dump(translation.to_server({}, upstream="modern", gateway=gateway))
