"""The metadata that a request carries in `params._meta`, and the client capabilities in it.

Source: MCP specification 2026-07-28, "Metadata"; progress tokens also 2025-11-25, "Progress".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from .. import __version__
from . import client_requests, jsonrpc
from .decoder import Decoder

META: Final = "io.modelcontextprotocol/"
VERSION_KEY: Final = META + "protocolVersion"
CAPABILITIES_KEY: Final = META + "clientCapabilities"
CLIENT_INFO_KEY: Final = META + "clientInfo"
SERVER_INFO_KEY: Final = META + "serverInfo"
LOG_LEVEL_KEY: Final = META + "logLevel"
REQUEST_KEYS: Final = (VERSION_KEY, CAPABILITIES_KEY, CLIENT_INFO_KEY, LOG_LEVEL_KEY)

MAX_BESIDE: Final = 128 << 10  # bytes of a request's params beside those that stay bytes
MAX_CAPABILITIES: Final = 64 << 10  # bytes of what a client declares

LOG_LEVELS: Final = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")


class RequestMeta(msgspec.Struct, gc=False):
    """The metadata of a request, in `params._meta`."""

    version: Raw | UnsetType = msgspec.field(default=UNSET, name=VERSION_KEY)
    capabilities: Raw | UnsetType = msgspec.field(default=UNSET, name=CAPABILITIES_KEY)
    level: Raw | UnsetType = msgspec.field(default=UNSET, name=LOG_LEVEL_KEY)
    progress: Raw | UnsetType = msgspec.field(default=UNSET, name="progressToken")  # of both eras


class _Large(msgspec.Struct, rename="camel"):
    """The members of params that may be large; they stay bytes."""

    arguments: Raw | UnsetType = UNSET
    input_responses: Raw | UnsetType = UNSET
    request_state: Raw | UnsetType = UNSET
    notifications: Raw | UnsetType = UNSET


_decoder = Decoder(RequestMeta)
_large = Decoder(_Large)


def check_params(raw: Raw | UnsetType) -> None:
    """Whether params are within the bound, before all their members are decoded. Raises: ProtocolError.

    To be called for messages that are larger than MAX_BESIDE.
    """
    if raw is UNSET:
        return
    large = _large.decode(raw, what="params must be an object")
    members = (large.arguments, large.input_responses, large.request_state, large.notifications)
    beside = len(bytes(raw)) - sum(len(bytes(member)) for member in members if member is not UNSET)
    if beside > MAX_BESIDE:
        words = f"params have over {MAX_BESIDE >> 10} KiB beside arguments, inputResponses, requestState and notifications"
        raise jsonrpc.ProtocolError(jsonrpc.INVALID_PARAMS, words)


def server_info(gateway: str) -> dict[str, str]:
    """The gateway's self-description, an `Implementation`."""
    return {"name": gateway, "version": __version__}


def request_meta_of(params: Mapping[str, Raw] | None) -> RequestMeta:
    """The metadata of a request; empty for a legacy request and for malformed metadata."""
    meta = params.get("_meta") if params is not None else None
    if meta is None:
        return RequestMeta()
    try:
        return _decoder.decode(meta)
    except jsonrpc.ProtocolError:
        return RequestMeta()  # the handler of the method says what is wrong with it


def log_level(meta: RequestMeta) -> str | None:
    """The lowest level of the log messages that the caller requests; None for no messages."""
    level = jsonrpc.text(meta.level)
    return level if level in LOG_LEVELS else None


def asking(capabilities: bytes) -> bytes:
    """Of a client's capabilities those that a server can make use of by asking, however their JSON is written.

    Raises: ProtocolError, if they are no object, or larger than MAX_CAPABILITIES.
    """
    if len(capabilities) > MAX_CAPABILITIES:
        raise jsonrpc.ProtocolError(jsonrpc.INVALID_PARAMS, f"the client's capabilities have over {MAX_CAPABILITIES >> 10} KiB")
    declared = jsonrpc.members(capabilities, what="the client's capabilities must be an object")
    return jsonrpc.canonical(
        jsonrpc.dump({name: declared[name] for name in client_requests.CAPABILITY.values() if name in declared})
    )


def progress_token(meta: RequestMeta) -> bytes | None:
    """The caller's progress token, unchanged; None if it requests no progress."""
    if meta.progress is UNSET:
        return None
    token = bytes(meta.progress)
    return token if jsonrpc.valid_id(token) else None


def with_progress_token(params: dict[str, Raw], token: bytes) -> dict[str, Raw]:
    """The same params with another progress token: it must be unique among all that share the server's connection."""
    meta = {**jsonrpc.members(params["_meta"]), "progressToken": Raw(token)}
    return {**params, "_meta": Raw(jsonrpc.dump(meta))}
