"""Whether clients can compile an output schema: the TypeScript SDK compiles all of a list, and one that it cannot makes it
refuse the tools of all servers.

Decided without a compiler, on the safe side: keywords have the values that JSON Schema demands, references stay inside, and
patterns are regular expressions that all dialects share. Source: JSON Schema draft 07, which that SDK's compiler reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from typing import Any, Final
from urllib.parse import unquote

from msgspec import Raw

from ..protocol import jsonrpc

_STEP: Final = 500  # schemas after which others get a turn
_TYPES: Final = frozenset({"string", "number", "integer", "boolean", "object", "array", "null"})
_META: Final = frozenset({"http://json-schema.org/draft-07/schema", "https://json-schema.org/draft/2020-12/schema"})
# What is a regular expression for Python and, with the flag `u`, for JavaScript: literals, classes, groups, common quantifiers.
_ATOM: Final = (
    r"(?:[^\\^$.*+?()\[\]{}|]|[.^$|]|\\[dDwWsSnrt^$\\.*+?()\[\]{}|/]|\(\?[:=!]|[()]|\[\^?(?:[A-Za-z0-9_ .@,/-]|\\[dws])+\])"
)
_PATTERN: Final = re.compile(_ATOM + r"?(?:" + _ATOM + r"|(?<=[^(|*+?}^])(?:[*+?]|\{\d{1,3}(?:,\d{0,3})?\}))*", re.ASCII)
_MAX_PATTERN: Final = 500  # characters

Check = Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value) and len(set(value)) == len(value)


def _is_type(value: Any) -> bool:
    return value in _TYPES if isinstance(value, str) else _is_names(value) and bool(value) and _TYPES.issuperset(value)


def is_pattern(value: Any) -> bool:
    """Whether it is a regular expression in every dialect; false where that is not certain."""
    if not isinstance(value, str) or len(value) > _MAX_PATTERN or not _PATTERN.fullmatch(value):
        return False
    try:
        re.compile(value)
    except (re.error, OverflowError, RecursionError):
        return False
    return True


_VALUES: Final[Mapping[str, Check]] = {
    "$comment": lambda value: True,
    "$schema": lambda value: isinstance(value, str) and value.removesuffix("#") in _META,
    "type": _is_type,
    "enum": lambda value: isinstance(value, list) and bool(value),
    "required": _is_names,
    "pattern": is_pattern,
    "format": lambda value: isinstance(value, str),
    "multipleOf": lambda value: _is_number(value) and value > 0,
    "nullable": lambda value: False,
    "uniqueItems": lambda value: isinstance(value, bool),
    **dict.fromkeys(("maximum", "minimum", "exclusiveMaximum", "exclusiveMinimum"), _is_number),
    **dict.fromkeys(
        ("maxLength", "minLength", "maxItems", "minItems", "maxProperties", "minProperties", "maxContains", "minContains"),
        _is_count,
    ),
}
_ONE: Final = ("additionalItems", "additionalProperties", "contains", "else", "if", "not", "propertyNames", "then")
_SEVERAL: Final = ("allOf", "anyOf", "oneOf")
_BY_NAME: Final = ("$defs", "definitions", "properties", "patternProperties")
_UNCERTAIN: Final = frozenset(
    {"$id", "id", "$anchor", "$recursiveRef", "$recursiveAnchor", "$dynamicRef", "$dynamicAnchor", "$vocabulary"}
    | {"dependencies", "dependentRequired", "dependentSchemas", "discriminator", "$async", "$data", "__proto__"}
)


def compilable(raw: Raw) -> Generator[None, None, bool]:
    """Whether a schema can be compiled, in steps between which others may get their turn."""
    try:
        root = jsonrpc.value(raw)
    except jsonrpc.ProtocolError:
        return False
    yield
    pending, count = [root], 0
    while pending:
        schema = pending.pop()
        if not _add_parts(schema, root, pending):
            return False
        count += 1
        if count % _STEP == 0:
            yield
    return True


def _add_parts(schema: Any, root: Any, pending: list[Any]) -> bool:
    """Whether a schema's own keywords are sound; the schemas in it are added to `pending`."""
    if isinstance(schema, bool):
        return True
    if not isinstance(schema, dict) or not _UNCERTAIN.isdisjoint(schema):
        return False
    for name, value in schema.items():
        if name in _VALUES and not _VALUES[name](value):
            return False
        if name == "$ref" and not _is_inside(value, root):
            return False
        parts = _parts(name, value)
        if parts is None:
            return False
        pending += parts
    return True


def _parts(name: str, value: Any) -> list[Any] | None:
    """The schemas in the value of a keyword; None where it has another type."""
    if name in _ONE:
        return [value]
    if name == "items":
        return value if isinstance(value, list) and value else [value]
    if name in _SEVERAL:
        return value if isinstance(value, list) and value else None
    if name not in _BY_NAME:
        return []
    if not isinstance(value, dict) or "__proto__" in value:
        return None
    return list(value.values()) if name != "patternProperties" or all(map(is_pattern, value)) else None


def _is_inside(reference: Any, root: Any) -> bool:
    """Whether a reference is to a schema of the same document, by a JSON pointer (RFC 6901) to where schemas are."""
    if reference == "#":
        return True
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return False
    target = root
    for name in reference[2:].split("/"):
        key = unquote(name).replace("~1", "/").replace("~0", "~")
        if not isinstance(target, dict) or key not in target:
            return False
        target = target[key]
    return isinstance(target, (dict, bool))
