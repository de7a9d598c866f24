"""The headers that repeat parts of a modern request's body, so that proxies can route by them.

`Mcp-Method` and `Mcp-Name` are in every request; `Mcp-Param-*` are arguments that a tool's schema requires to be repeated.
Source: MCP specification 2026-07-28, "Streamable HTTP", "Standard Request Headers" and custom headers (`x-mcp-header`).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from msgspec import UNSET, Raw

from . import jsonrpc
from .jsonrpc import ProtocolError

KEYWORD: Final = b"x-mcp-header"  # of a property in a tool's input schema
_PREFIX: Final = "mcp-param-"
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PLAIN = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_TYPES: Final = frozenset({"string", "integer", "boolean"})

Path = tuple[str, ...]


_MAX_CACHED: Final = 256  # bytes of a header's value that are worth remembering
_MAX_DEPTH: Final = 32  # levels of `properties` that are searched for annotations

# Which body member the header Mcp-Name repeats, by method.
NAMED_BY: Final[Mapping[str, str]] = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    **dict.fromkeys(("tasks/get", "tasks/update", "tasks/cancel"), "taskId"),
}


def name_of(method: str, params: Mapping[str, Raw]) -> str | None:
    """What the header `Mcp-Name` of a request has to say, if it has to be there."""
    member = NAMED_BY.get(method)
    return None if member is None else jsonrpc.text(params.get(member, UNSET))


def check_same(header: str, sent: bytes | None, body: str | None) -> None:
    """Raises: ProtocolError (-32020), unless a header says what the body does."""
    if sent is None or body is None or decode_header_value(sent) != body:
        raise ProtocolError(jsonrpc.HEADER_MISMATCH, f"the header {header} is missing or differs from the body")


def decode_header_value(raw: bytes) -> str | None:
    """The text of a routing header; `=?base64?…?=` marks UTF-8 that is not plain ASCII. None: malformed."""
    return (_cached_header_value if len(raw) <= _MAX_CACHED else _decode_header_value)(raw)


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


_cached_header_value = lru_cache(maxsize=4096)(_decode_header_value)  # the same few are sent with every request


@lru_cache(maxsize=4096)
def declared(tool: bytes) -> Mapping[str, tuple[Path, str]]:
    """Which headers a tool's JSON object declares, in lower case: the path of the argument and its type."""
    if KEYWORD not in tool:
        return {}
    schema = _members(_members(Raw(tool)).get("inputSchema"))
    annotations: dict[str, tuple[Path, str]] = {}
    for path, token, kind in _annotated(schema, ()):
        if _TOKEN.fullmatch(token) and kind in _TYPES:
            annotations.setdefault(_PREFIX + token.lower(), (path, kind))
    return annotations


def _annotated(schema: Mapping[str, Raw], path: Path) -> Iterator[tuple[Path, str, str]]:
    """The annotations that are reached through `properties` alone, as the specification requires."""
    properties = schema.get("properties")
    if properties is None or KEYWORD not in bytes(properties) or len(path) > _MAX_DEPTH:
        return
    for name, raw in _members(properties).items():
        inner = _members(raw)
        token, kind = (jsonrpc.text(inner.get(member, UNSET)) for member in (KEYWORD.decode(), "type"))
        if token is not None and kind is not None:
            yield (*path, name), token, kind
        yield from _annotated(inner, (*path, name))


def _members(raw: Raw | None) -> Mapping[str, Raw]:
    """The members of what may be an object; none of anything else."""
    return {} if raw is None else jsonrpc.members_or_none(raw) or {}


def check(tool: bytes, arguments: bytes, headers: Mapping[bytes, bytes]) -> None:
    """Compare headers and arguments: each must be there and equal, or absent, in both. Raises: ProtocolError (-32020)."""
    headers_of_tool = declared(tool)
    if not headers_of_tool:
        return
    given = Raw(arguments or b"{}")
    for name, (path, kind) in headers_of_tool.items():
        raw = headers.get(name.encode())
        value = _at(given, path)
        sent = None if raw is None else decode_header_value(raw)
        if (raw is None) != (value is None) or (raw is not None and not _equal(kind, sent, value)):
            where = ".".join(path)
            raise ProtocolError(
                jsonrpc.HEADER_MISMATCH, f"the header {name} is missing, malformed or differs from params.arguments.{where}"
            )


def mirrored(tool: bytes, arguments: bytes) -> dict[str, str]:
    """The headers of a call, for a server behind HTTP."""
    headers_of_tool = declared(tool)
    if not headers_of_tool:
        return {}
    given = Raw(arguments or b"{}")
    values = {name: _at(given, path) for name, (path, _) in headers_of_tool.items()}
    return {name: encode(_text(value)) for name, value in values.items() if isinstance(value, bool | int | float | str)}


def encode(value: str) -> str:
    """A header's value: as it is, or marked as base64 of UTF-8 where it is not plain ASCII."""
    if _PLAIN.fullmatch(value) and not value.startswith("=?base64?"):
        return value
    return f"=?base64?{base64.b64encode(value.encode()).decode()}?="


def _at(arguments: Raw, path: Path) -> Any:
    """The value of an argument; None where it is absent or cannot be decoded. Arrays and objects are not decoded: empty ones."""
    inner: Raw | None = arguments
    for name in path:
        inner = _members(inner).get(name)
    if inner is not None and bytes(inner)[:1] in (b"[", b"{"):
        return ()
    try:
        return None if inner is None else jsonrpc.value(inner)
    except ProtocolError:
        return None


def _text(value: bool | float | str) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _equal(kind: str, sent: str | None, value: Any) -> bool:
    if sent is None or not isinstance(value, bool | int | float | str):
        return False
    if kind == "integer" and not isinstance(value, bool | str):
        try:
            return float(sent) == value
        except (ValueError, OverflowError):
            return False
    return sent == _text(value)
