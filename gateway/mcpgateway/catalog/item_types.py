"""The types of an item's nested members; what differs from them is left out, since some clients refuse the whole list for it.

Source: MCP specification 2025-11-25, schema: Icon, PromptArgument, ToolAnnotations, Annotations, ToolExecution.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Raw

from ..protocol import jsonrpc

MAX_NESTED: Final = 1000  # icons, or arguments of a prompt; a longer list is left out
_BOOLEANS: Final = (b"true", b"false")
_THEMES: Final = (b'"light"', b'"dark"')
_SUPPORT: Final = (b'"required"', b'"optional"', b'"forbidden"')
_ROLES: Final = frozenset({"user", "assistant"})
_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII
)

Check = Callable[[Raw], bool]


def is_text(raw: Raw) -> bool:
    """Whether it is a string."""
    return bytes(raw)[:1] == b'"'


def _is_boolean(raw: Raw) -> bool:
    return bytes(raw) in _BOOLEANS


def _is_audience(raw: Raw) -> bool:
    roles = jsonrpc.texts(raw)
    return roles is not None and _ROLES.issuperset(roles)


def _is_priority(raw: Raw) -> bool:
    body = bytes(raw)
    return body[:1] in b"0123456789" and 0 <= float(body) <= 1


def _is_time(raw: Raw) -> bool:
    text = jsonrpc.text(raw)
    if text is None or len(text) > 64 or not _TIME.fullmatch(text):
        return False
    try:
        datetime.date.fromisoformat(text[:10])
    except ValueError:
        return False
    return True


_ICON: Final[Mapping[str, Check]] = {
    "src": is_text,
    "mimeType": is_text,
    "sizes": lambda raw: jsonrpc.texts(raw) is not None,
    "theme": lambda raw: bytes(raw) in _THEMES,
}
_ARGUMENT: Final[Mapping[str, Check]] = {"name": is_text, "title": is_text, "description": is_text, "required": _is_boolean}
EXECUTION: Final[Mapping[str, Check]] = {"taskSupport": lambda raw: bytes(raw) in _SUPPORT}
TOOL_ANNOTATIONS: Final[Mapping[str, Check]] = {
    "title": is_text,
    "readOnlyHint": _is_boolean,
    "destructiveHint": _is_boolean,
    "idempotentHint": _is_boolean,
    "openWorldHint": _is_boolean,
}
ANNOTATIONS: Final[Mapping[str, Check]] = {"audience": _is_audience, "priority": _is_priority, "lastModified": _is_time}


def corrected(raw: Raw, checks: Mapping[str, Check]) -> Raw:
    """An object without the members that their check refuses; the same object where there are none."""
    fields = jsonrpc.members(raw)
    right = {name: value for name, value in fields.items() if name not in checks or checks[name](value)}
    return raw if len(right) == len(fields) else Raw(jsonrpc.dump(right))


def icons(raw: Raw) -> Raw | None:
    """The icons that have a source; None where the list is too long."""
    return _corrected_items(raw, _ICON, required="src")


def arguments(raw: Raw) -> Raw | None:
    """The arguments of a prompt that have a name; None where the list is too long."""
    return _corrected_items(raw, _ARGUMENT, required="name")


def _corrected_items(raw: Raw, checks: Mapping[str, Check], *, required: str) -> Raw | None:
    if bytes(raw).count(b"{") > MAX_NESTED or bytes(raw).count(b",") > 8 * MAX_NESTED:
        return None
    items = jsonrpc.items(raw)
    right = [item for item in (_usable(item, checks, required) for item in items) if item is not None]
    same = len(right) == len(items) and all(new is old for new, old in zip(right, items, strict=True))
    return raw if same else Raw(jsonrpc.dump(right))


def _usable(item: Raw, checks: Mapping[str, Check], required: str) -> Raw | None:
    fields = jsonrpc.members_or_none(item)
    if fields is None or required not in fields or not checks[required](fields[required]):
        return None
    return corrected(item, checks)
