"""What changes in results, errors and params when a message passes from one era to the other.

Source: MCP specification 2026-07-28, "Metadata", "Multi Round-Trip Requests" and "Caching"; 2025-11-25, "Elicitation".
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from msgspec import UNSET, Raw

from . import jsonrpc
from .request_meta import CAPABILITIES_KEY, CLIENT_INFO_KEY, LOG_LEVEL_KEY, META, REQUEST_KEYS, VERSION_KEY, server_info
from .versions import MODERN_VERSIONS, Era

# Requests that a modern server may answer by a question.
MULTI_ROUND: Final = frozenset({"tools/call", "prompts/get", "resources/read"})


# --- towards clients ------------------------------------------------------------------------------------------------------


# Results of a modern server that carry how long they may be kept.
CACHEABLE: Final = frozenset({"resources/read"})
_NOT_CACHEABLE: Final = b'"ttlMs":0,"cacheScope":"private"'


def to_client(raw: bytes, *, client: Era, upstream: Era, cacheable: bool = False) -> bytes:
    """A result in the form of the client's era: modern ones have `resultType` and, if cacheable, `ttlMs` and `cacheScope`.

    A result is searched, not parsed, unless the word occurs in a legacy server's; absent means complete.
    """
    if client == "legacy" or not raw.startswith(b"{"):
        return raw
    added = []
    if not _has(raw, "resultType", upstream):
        added.append(b'"resultType":"complete"')
    if cacheable and upstream == "legacy" and not _has(raw, "ttlMs", upstream):
        added.append(_NOT_CACHEABLE)
    if not added:
        return raw
    rest = raw[1:].lstrip()
    return b"{" + b",".join(added) + (b"" if rest.startswith(b"}") else b",") + rest


def _has(raw: bytes, member: str, upstream: Era) -> bool:
    return b'"' + member.encode() + b'"' in raw and (upstream == "modern" or member in jsonrpc.members(raw))


def error_to_client(raw: bytes, *, client: Era) -> bytes:
    """A server's error object in the form of the client's era: the modern era has no separate code for a missing resource."""
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
    """Request params in the form of the server's era: the per-request keys are added or removed, all else stays.

    `capabilities` and `level` are those of a legacy client, which declares them once for its session.
    """
    if upstream == "legacy":
        return _without_request_keys(params)
    if "_meta" not in params and level is None:
        return {**params, "_meta": _encoded_request_keys(gateway, capabilities)}
    meta = jsonrpc.members(params.get("_meta", UNSET))
    if VERSION_KEY in meta:
        return params
    complete = {**meta, **_request_keys(gateway, capabilities)}
    if level is not None:
        complete[LOG_LEVEL_KEY] = level
    return {**params, "_meta": Raw(jsonrpc.dump(complete))}


def _without_request_keys(params: dict[str, Raw]) -> dict[str, Raw]:
    if "_meta" not in params or META.encode() not in bytes(params["_meta"]):
        return params
    meta = {key: value for key, value in jsonrpc.members(params["_meta"]).items() if key not in REQUEST_KEYS}
    out = {key: value for key, value in params.items() if key not in ("_meta", "inputResponses", "requestState")}
    if meta:
        out["_meta"] = Raw(jsonrpc.dump(meta))
    return out


@lru_cache(maxsize=1024)
def _request_keys(gateway: str, capabilities: bytes) -> Mapping[str, Raw]:
    """The members of `_meta` that every modern request carries."""
    return {
        VERSION_KEY: Raw(jsonrpc.dump(MODERN_VERSIONS[-1])),
        CAPABILITIES_KEY: Raw(capabilities),
        CLIENT_INFO_KEY: Raw(jsonrpc.dump(server_info(gateway))),
    }


@lru_cache(maxsize=1024)
def _encoded_request_keys(gateway: str, capabilities: bytes) -> Raw:
    return Raw(jsonrpc.dump(_request_keys(gateway, capabilities)))


def question_to_legacy(method: str, params: Raw, *, id: str) -> bytes:
    """The params of a modern server's request in the legacy form, in which an elicitation by URL has an id."""
    if method != "elicitation/create" or b'"url"' not in bytes(params):
        return bytes(params)
    fields = jsonrpc.members(params)
    if jsonrpc.text(fields.get("mode", UNSET)) != "url" or "elicitationId" in fields:
        return bytes(params)
    return jsonrpc.dump({**fields, "elicitationId": id})
