"""The two eras of MCP: which one a request belongs to, and what changes between them.

*modern* is 2026-07-28 and later (every request carries its metadata), *legacy* is 2025-11-25 and earlier (initialize, sessions).
Source: MCP specification 2026-07-28, "Streamable HTTP", "Versioning" and "Metadata"; 2025-11-25, "Lifecycle".
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from .. import __version__
from . import jsonrpc
from .jsonrpc import Envelope, ProtocolError

Era = Literal["legacy", "modern"]

MODERN_VERSIONS: Final = ("2026-07-28",)
LEGACY_VERSIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
LATEST_LEGACY: Final = LEGACY_VERSIONS[-1]
# What initialize may agree on. 2025-03-26 would oblige us to take batches, 2024-11-05 is for another transport.
OFFERED_LEGACY: Final = ("2025-06-18", "2025-11-25")
OFFERED_SSE: Final = ("2024-11-05", *OFFERED_LEGACY)  # over that other transport, HTTP with SSE

META: Final = "io.modelcontextprotocol/"
VERSION_KEY: Final = META + "protocolVersion"
CAPABILITIES_KEY: Final = META + "clientCapabilities"
CLIENT_INFO_KEY: Final = META + "clientInfo"
SERVER_INFO_KEY: Final = META + "serverInfo"
_LEVEL_KEY: Final = META + "logLevel"
_REQUEST_KEYS: Final = (VERSION_KEY, CAPABILITIES_KEY, CLIENT_INFO_KEY, _LEVEL_KEY)

# Which capability of a client a server's request needs.
_ASKS_FOR: Final[Mapping[str, str]] = {
    "elicitation/create": "elicitation",
    "sampling/createMessage": "sampling",
    "roots/list": "roots",
}
# Requests that a modern server may answer by a question.
MULTI_ROUND: Final = frozenset({"tools/call", "prompts/get", "resources/read"})

_MAX_KNOWN: Final = 256  # bytes of a header's value that are worth remembering

LOG_LEVELS: Final = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")

# HTTP status by error code in the modern era; everything else is 200.
HTTP_STATUS: Final[Mapping[int, int]] = {
    jsonrpc.PARSE_ERROR: 400,
    jsonrpc.INVALID_REQUEST: 400,
    jsonrpc.INVALID_PARAMS: 400,
    jsonrpc.METHOD_NOT_FOUND: 404,
    jsonrpc.HEADER_MISMATCH: 400,
    jsonrpc.MISSING_CAPABILITY: 400,
    jsonrpc.UNSUPPORTED_VERSION: 400,
}

# Which body member the header Mcp-Name repeats, by method.
_NAMED_BY: Final[Mapping[str, str]] = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    **dict.fromkeys(("tasks/get", "tasks/update", "tasks/cancel"), "taskId"),
}


class Stamp(msgspec.Struct, gc=False):
    """What a request says of itself, in `params._meta`."""

    version: Raw | UnsetType = msgspec.field(default=UNSET, name=VERSION_KEY)
    capabilities: Raw | UnsetType = msgspec.field(default=UNSET, name=CAPABILITIES_KEY)
    level: Raw | UnsetType = msgspec.field(default=UNSET, name=_LEVEL_KEY)
    progress: Raw | UnsetType = msgspec.field(default=UNSET, name="progressToken")  # of both eras


_stamp_decoder = msgspec.json.Decoder(Stamp)


def server_info(gateway: str) -> dict[str, str]:
    """The gateway's self-description, an `Implementation`."""
    return {"name": gateway, "version": __version__}


def stamp_of(params: Mapping[str, Raw] | None) -> Stamp:
    """What a request says of itself; nothing if it is a legacy one, or malformed."""
    meta = params.get("_meta") if params is not None else None
    if meta is None:
        return Stamp()
    try:
        return _stamp_decoder.decode(meta)
    except (msgspec.MsgspecError, RecursionError):
        return Stamp()  # the handler of the method says what is wrong with it


def classify(envelope: Envelope, headers: Mapping[bytes, bytes], *, params: Mapping[str, Raw] | None, stamp: Stamp) -> Era:
    """Decide the era of one request by its headers and body, and check in the modern era that both agree.

    `headers` has lower-case names; a routing header sent twice is joined by a comma and so never equals the body. `params`
    are None where they are no object. Raises: ProtocolError (-32020, -32022 or -32602).
    """
    version = headers.get(b"mcp-protocol-version", b"").decode("latin-1").strip()
    stamped = stamp.version is not UNSET
    if envelope.method == "initialize" and version not in MODERN_VERSIONS and not stamped:
        return "legacy"
    if version in LEGACY_VERSIONS or not version:
        if stamped and envelope.id is not UNSET:
            raise ProtocolError(jsonrpc.HEADER_MISMATCH, "MCP-Protocol-Version is missing or differs from the body's _meta")
        return "legacy"
    if version not in MODERN_VERSIONS:
        raise unsupported(version)
    if envelope.id is not UNSET and envelope.method is not UNSET:
        _check_modern(envelope.method, version, params or {}, stamp, headers)
    return "modern"


def unsupported(version: str) -> ProtocolError:
    """The error for a version that is not served, with those that are."""
    return ProtocolError(
        jsonrpc.UNSUPPORTED_VERSION,
        f"protocol version {version[:32]!r} is not supported",
        data={"supported": list(MODERN_VERSIONS), "requested": version[:32]},
    )


def _check_modern(method: str, version: str, params: Mapping[str, Raw], stamp: Stamp, headers: Mapping[bytes, bytes]) -> None:
    if stamp.version is UNSET or stamp.capabilities is UNSET:
        missing = VERSION_KEY if stamp.version is UNSET else CAPABILITIES_KEY
        raise ProtocolError(jsonrpc.INVALID_PARAMS, f"params._meta lacks {missing!r}, which every request must carry")
    if not bytes(stamp.capabilities).startswith(b"{"):
        raise ProtocolError(jsonrpc.INVALID_PARAMS, f"params._meta[{CAPABILITIES_KEY!r}] must be an object")
    _same("MCP-Protocol-Version", headers.get(b"mcp-protocol-version"), jsonrpc.text(stamp.version))
    _same("Mcp-Method", headers.get(b"mcp-method"), method)
    if method in _NAMED_BY:
        _same("Mcp-Name", headers.get(b"mcp-name"), name_of(method, params))


def name_of(method: str, params: Mapping[str, Raw]) -> str | None:
    """What the header `Mcp-Name` of a request has to say, if it has to be there."""
    member = _NAMED_BY.get(method)
    return None if member is None else jsonrpc.text(params.get(member, UNSET))


def _same(header: str, sent: bytes | None, body: str | None) -> None:
    if sent is None or body is None or decode_header_value(sent) != body:
        raise ProtocolError(jsonrpc.HEADER_MISMATCH, f"the header {header} is missing or differs from the body")


def decode_header_value(raw: bytes) -> str | None:
    """The text of a routing header; `=?base64?…?=` marks UTF-8 that is not plain ASCII. None: malformed."""
    return (_known_header_value if len(raw) <= _MAX_KNOWN else _decode_header_value)(raw)


def _decode_header_value(raw: bytes) -> str | None:
    value = raw.strip(b" \t")
    if not value.startswith(b"=?") and value.isascii():
        return value.decode("ascii")
    if not (value.startswith(b"=?base64?") and value.endswith(b"?=")):
        return value.decode("ascii") if value.isascii() else None
    try:
        return base64.b64decode(value[9:-2], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


_known_header_value = lru_cache(maxsize=4096)(_decode_header_value)  # the same few are sent with every request


def negotiate(requested: object, offered: tuple[str, ...] = OFFERED_LEGACY) -> str:
    """The version that initialize agrees on: the asked one if it is offered, else the latest legacy one."""
    return requested if isinstance(requested, str) and requested in offered else LATEST_LEGACY


# --- towards clients ------------------------------------------------------------------------------------------------------


# Results of a modern server that carry how long they may be kept.
CACHEABLE: Final = frozenset({"resources/read"})
_NOT_TO_BE_KEPT: Final = b'"ttlMs":0,"cacheScope":"private"'


def to_client(raw: bytes, *, client: Era, upstream: Era, cacheable: bool = False) -> bytes:
    """A result as the client's era wants it: a modern one has `resultType` and, if it may be kept, `ttlMs` and `cacheScope`.

    A result is searched, not parsed, unless the word occurs in a legacy server's; absent means complete.
    """
    if client == "legacy" or not raw.startswith(b"{"):
        return raw
    added = []
    if not _has(raw, "resultType", upstream):
        added.append(b'"resultType":"complete"')
    if cacheable and upstream == "legacy" and not _has(raw, "ttlMs", upstream):
        added.append(_NOT_TO_BE_KEPT)
    if not added:
        return raw
    rest = raw[1:].lstrip()
    return b"{" + b",".join(added) + (b"" if rest.startswith(b"}") else b",") + rest


def _has(raw: bytes, member: str, upstream: Era) -> bool:
    return b'"' + member.encode() + b'"' in raw and (upstream == "modern" or member in jsonrpc.members(raw))


def error_to_client(raw: bytes, *, client: Era) -> bytes:
    """A server's error object as the client's era knows it: the modern one has no code of its own for a missing resource."""
    if client == "legacy" or b"-32002" not in raw:
        return raw
    fields = jsonrpc.members(raw)
    if bytes(fields.get("code", Raw(b""))) != b"%d" % jsonrpc.RESOURCE_NOT_FOUND:
        return raw
    return jsonrpc.dump({**fields, "code": jsonrpc.INVALID_PARAMS})


# --- towards servers ------------------------------------------------------------------------------------------------------


def to_server(
    params: dict[str, Raw], *, upstream: Era, gateway: str, capabilities: bytes = b"{}", level: Raw | None = None
) -> dict[str, Raw]:
    """Request params as the server's era wants them: the per-request keys are added or taken away, all else stays.

    `capabilities` and `level` are those of a legacy client, which has said them once and for all.
    """
    if upstream == "legacy":
        return _without_request_keys(params)
    if "_meta" not in params and level is None:
        return {**params, "_meta": _only_stamp(gateway, capabilities)}
    meta = jsonrpc.members(params.get("_meta", UNSET))
    if VERSION_KEY in meta:
        return params
    stamped = {**meta, **_stamp(gateway, capabilities)}
    if level is not None:
        stamped[_LEVEL_KEY] = level
    return {**params, "_meta": Raw(jsonrpc.dump(stamped))}


def _without_request_keys(params: dict[str, Raw]) -> dict[str, Raw]:
    if "_meta" not in params or META.encode() not in bytes(params["_meta"]):
        return params
    meta = {key: value for key, value in jsonrpc.members(params["_meta"]).items() if key not in _REQUEST_KEYS}
    out = {key: value for key, value in params.items() if key not in ("_meta", "inputResponses", "requestState")}
    if meta:
        out["_meta"] = Raw(jsonrpc.dump(meta))
    return out


@lru_cache(maxsize=1024)
def _stamp(gateway: str, capabilities: bytes) -> Mapping[str, Raw]:
    return {
        VERSION_KEY: Raw(jsonrpc.dump(MODERN_VERSIONS[-1])),
        CAPABILITIES_KEY: Raw(capabilities),
        CLIENT_INFO_KEY: Raw(jsonrpc.dump(server_info(gateway))),
    }


@lru_cache(maxsize=1024)
def _only_stamp(gateway: str, capabilities: bytes) -> Raw:
    return Raw(jsonrpc.dump(_stamp(gateway, capabilities)))


def log_level(stamp: Stamp) -> str | None:
    """From which level on the caller wants to be sent log messages with this request; None if it wants none."""
    level = jsonrpc.text(stamp.level)
    return level if level in LOG_LEVELS else None


def asking(capabilities: bytes) -> bytes:
    """Of a client's capabilities those that a server can make use of by asking, however their JSON is written."""
    declared = msgspec.json.decode(capabilities)
    return msgspec.json.encode({name: declared[name] for name in _ASKS_FOR.values() if name in declared}, order="sorted")


def can_be_asked(method: str, capabilities: bytes) -> bool:
    """Whether a client with these capabilities has said that it answers such a request."""
    needed = _ASKS_FOR.get(method)
    return needed is not None and needed in jsonrpc.members(capabilities)


def progress_token(stamp: Stamp) -> bytes | None:
    """The caller's progress token, as it is; None if it wants no progress."""
    if stamp.progress is UNSET:
        return None
    token = bytes(stamp.progress)
    return token if jsonrpc.valid_id(token) else None


def with_progress_token(params: dict[str, Raw], token: bytes) -> dict[str, Raw]:
    """The same params with another progress token: it must be unique among all that share the server's connection."""
    meta = {**jsonrpc.members(params["_meta"]), "progressToken": Raw(token)}
    return {**params, "_meta": Raw(jsonrpc.dump(meta))}


def question_to_legacy(method: str, params: Raw, *, id: str) -> bytes:
    """The params of a modern server's question as a legacy client knows them: there, an elicitation by URL has an id."""
    if method != "elicitation/create" or b'"url"' not in bytes(params):
        return bytes(params)
    fields = jsonrpc.members(params)
    if jsonrpc.text(fields.get("mode", UNSET)) != "url" or "elicitationId" in fields:
        return bytes(params)
    return jsonrpc.dump({**fields, "elicitationId": id})
