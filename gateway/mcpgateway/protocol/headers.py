"""`Mcp-Param-*`: arguments that a tool's schema wants repeated in headers, so that proxies can route by them.

Source: MCP specification 2026-07-28, "Streamable HTTP", custom headers (`x-mcp-header`).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from . import era, jsonrpc
from .jsonrpc import ProtocolError

KEYWORD: Final = b"x-mcp-header"  # of a property in a tool's input schema
_PREFIX: Final = "mcp-param-"
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PLAIN = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_TYPES: Final = frozenset({"string", "integer", "boolean"})

Path = tuple[str, ...]


class _Tool(msgspec.Struct, rename="camel"):
    input_schema: Any = None


@lru_cache(maxsize=4096)
def declared(tool: bytes) -> Mapping[str, tuple[Path, str]]:
    """Which headers a tool's JSON object wants, lower-case: the path of the argument and its type."""
    if KEYWORD not in tool:
        return {}
    try:
        schema = msgspec.json.decode(tool, type=_Tool).input_schema
    except (msgspec.MsgspecError, RecursionError):
        return {}
    found: dict[str, tuple[Path, str]] = {}
    for path, token, kind in _annotated(schema, ()):
        if _TOKEN.fullmatch(token) and kind in _TYPES:
            found.setdefault(_PREFIX + token.lower(), (path, kind))
    return found


def _annotated(schema: Any, path: Path) -> Iterator[tuple[Path, str, str]]:
    """The annotations that are reached through `properties` alone, as the specification wants."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict) or len(path) > 32:
        return
    for name, inner in properties.items():
        if isinstance(inner, dict):
            token = inner.get(KEYWORD.decode())
            if isinstance(token, str) and isinstance(inner.get("type"), str):
                yield (*path, name), token, inner["type"]
            yield from _annotated(inner, (*path, name))


def check(tool: bytes, arguments: bytes, headers: Mapping[bytes, bytes]) -> None:
    """Compare headers and arguments: each must be there and equal, or absent, in both. Raises: ProtocolError (-32020)."""
    wanted = declared(tool)
    if not wanted:
        return
    given = _decode(arguments)
    for name, (path, kind) in wanted.items():
        raw = headers.get(name.encode())
        value = _at(given, path)
        sent = None if raw is None else era.decode_header_value(raw)
        if (raw is None) != (value is None) or (raw is not None and not _equal(kind, sent, value)):
            where = ".".join(path)
            raise ProtocolError(
                jsonrpc.HEADER_MISMATCH, f"the header {name} is missing, malformed or differs from params.arguments.{where}"
            )


def mirrored(tool: bytes, arguments: bytes) -> dict[str, str]:
    """The headers of a call, for a server behind HTTP."""
    wanted = declared(tool)
    if not wanted:
        return {}
    given = _decode(arguments)
    values = {name: _at(given, path) for name, (path, _) in wanted.items()}
    return {name: encode(_text(value)) for name, value in values.items() if isinstance(value, bool | int | float | str)}


def encode(value: str) -> str:
    """A header's value: as it is, or marked as base64 of UTF-8 where it is not plain ASCII."""
    if _PLAIN.fullmatch(value) and not value.startswith("=?base64?"):
        return value
    return f"=?base64?{base64.b64encode(value.encode()).decode()}?="


def _decode(arguments: bytes) -> Any:
    try:
        return msgspec.json.decode(arguments) if arguments else {}
    except (msgspec.MsgspecError, RecursionError):
        return {}


def _at(arguments: Any, path: Path) -> Any:
    for name in path:
        arguments = arguments.get(name) if isinstance(arguments, dict) else None
    return arguments


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
