"""Requests that a server may send to a client: which capability each needs, and how they name the server that asks.

A client is asked only for what it has declared, in both eras; anything else is refused to the server.
Source: MCP specification 2025-11-25, "Lifecycle" (capability negotiation), "Elicitation", "Sampling" and "Roots".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, Raw, UnsetType

from . import jsonrpc
from .decoder import Decoder
from .jsonrpc import ProtocolError
from .visible_text import visible

# The client capability that a server's request needs.
CAPABILITY: Final[Mapping[str, str]] = {
    "elicitation/create": "elicitation",
    "sampling/createMessage": "sampling",
    "roots/list": "roots",
}
_SCHEMES: Final = frozenset({"http", "https"})
MAX_URL: Final = 2048  # characters
MAX_ELICITATION: Final = 256 << 10  # bytes of its params
MAX_QUESTIONS_BYTES: Final = 1 << 20  # of a result that asks


class _Sampling(msgspec.Struct, rename="camel"):
    tools: Raw | UnsetType = UNSET
    tool_choice: Raw | UnsetType = UNSET


class _Result(msgspec.Struct, rename="camel"):
    result_type: Raw | UnsetType = UNSET


_sampling = Decoder(_Sampling)
_result = Decoder(_Result)


def checked(method: str, params: Raw | bytes | UnsetType, *, server: str, capabilities: bytes) -> Raw | UnsetType:
    """The params that a client gets, with the name of the server that asks in an elicitation's message.

    Hidden characters of that message are made visible.

    Raises: ProtocolError, for the server: -32601 for what the client has not declared, -32602 for params that it may not be sent.
    """
    declared = _declared(method, capabilities)
    body = b"{}" if params is UNSET else bytes(params)
    if method == "elicitation/create":
        if len(body) > MAX_ELICITATION:
            raise ProtocolError(jsonrpc.INVALID_PARAMS, f"params of an elicitation may have {MAX_ELICITATION >> 10} KiB")
        return _elicitation(jsonrpc.members(body), server=server, declared=declared)
    asked = _sampling.decode(body, what="params must be an object")
    if method == "sampling/createMessage" and (asked.tools, asked.tool_choice) != (UNSET, UNSET) and "tools" not in declared:
        raise _undeclared("sampling/createMessage with tools", "sampling.tools")
    return UNSET if params is UNSET else Raw(body)


def checked_result(raw: bytes, *, server: str, capabilities: bytes) -> bytes:
    """A modern server's result for a modern client: if it asks something, checked as `checked` does. Raises: ProtocolError."""
    if b"input_required" not in raw:
        return raw
    if not is_input_required(raw):
        return raw
    fields = jsonrpc.members(raw)
    requests = jsonrpc.members(fields.get("inputRequests", UNSET))
    checked_requests = {key: _checked_request(request, server, capabilities) for key, request in requests.items()}
    return jsonrpc.dump({**fields, "inputRequests": checked_requests}) if requests else raw


def is_input_required(result: Raw | bytes) -> bool:
    """Whether a modern server's result asks the client something. Raises: ProtocolError, if it is no object, or too large."""
    if jsonrpc.text(_result.decode(result, what="the result must be an object").result_type) != "input_required":
        return False
    if len(bytes(result)) > MAX_QUESTIONS_BYTES:
        raise ProtocolError(jsonrpc.INVALID_PARAMS, f"a result that asks has over {MAX_QUESTIONS_BYTES >> 20} MiB")
    return True


def _checked_request(raw: Raw, server: str, capabilities: bytes) -> dict[str, Raw]:
    request = jsonrpc.members(raw)
    method = jsonrpc.text(request.get("method", UNSET)) or ""
    params = checked(method, request.get("params", UNSET), server=server, capabilities=capabilities)
    return request if params is UNSET else {**request, "params": params}


def _declared(method: str, capabilities: bytes) -> Mapping[str, Raw]:
    """What a client has declared of the capability that a request needs. Raises: ProtocolError (-32601)."""
    needed = CAPABILITY.get(method)
    if needed is None:
        raise ProtocolError(jsonrpc.METHOD_NOT_FOUND, f"{method[:80]}: no client is asked this")
    declared = jsonrpc.members(capabilities).get(needed)
    if declared is None or not bytes(declared).startswith(b"{"):
        raise _undeclared(method, needed)
    return jsonrpc.members(declared)


def _undeclared(what: str, capability: str) -> ProtocolError:
    return ProtocolError(jsonrpc.METHOD_NOT_FOUND, f"{what}: the client has not declared the capability {capability}")


def _elicitation(fields: dict[str, Raw], *, server: str, declared: Mapping[str, Raw]) -> Raw:
    message = jsonrpc.text(fields.get("message", UNSET))
    if message is None:
        raise ProtocolError(jsonrpc.INVALID_PARAMS, "params.message must be a string: what the person is asked")
    mode = jsonrpc.text(fields.get("mode", UNSET)) if "mode" in fields else "form"
    if mode not in ("form", "url"):
        raise ProtocolError(jsonrpc.INVALID_PARAMS, "params.mode must be form or url")
    if mode not in declared and (mode == "url" or "url" in declared):  # a capability that names no mode means forms
        raise _undeclared(f"elicitation/create in mode {mode}", f"elicitation.{mode}")
    if mode == "url":
        _check_url(fields.get("url", UNSET))
    return Raw(jsonrpc.dump({**fields, "message": f"[{server}] {visible(message)}"}))


def _check_url(raw: Raw | UnsetType) -> None:
    """Raises: ProtocolError unless it is a URL that a browser may open for a person: http or https, with a host (RFC 3986)."""
    url = jsonrpc.text(raw)
    if url is None or len(url) > MAX_URL:
        raise ProtocolError(jsonrpc.INVALID_PARAMS, f"params.url must be a string of at most {MAX_URL} characters")
    try:
        parts = urlsplit(url)
        valid = parts.scheme in _SCHEMES and bool(parts.hostname) and url.isprintable() and " " not in url and "\\" not in url
    except ValueError:
        valid = False
    if not valid:
        raise ProtocolError(jsonrpc.INVALID_PARAMS, f"params.url must be an http or https URL: {url[:80]!r}")
