"""What clients would refuse in an item of a server's list, put right or refused: one bad item makes some refuse the whole list.

Put right: members that are null or of another type than the specification's, numbers beyond a double's range (RFC 8259 section
6), unpaired surrogates, hidden characters (visible_text), and schemas that say too little (no `type`, boolean properties). An
output schema that clients could not compile is left out.
Refused: what is too large, too deep or has too many members, has no usable key, or a schema that no arguments can fit.
Source: MCP specification 2025-11-25, schema: Tool, Prompt, Resource, ResourceTemplate.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from typing import Final

from msgspec import UNSET, Raw

from ..protocol import decoder, jsonrpc
from ..protocol.visible_text import hidden_count, visible, visible_json
from .item_types import ANNOTATIONS, EXECUTION, TOOL_ANNOTATIONS, arguments, corrected, icons
from .model import Kind
from .output_schema import compilable
from .uri_templates import MAX_URI

MAX_ITEM: Final = 256 << 10  # bytes of one item, its schemas included
MAX_NESTING: Final = 60  # levels of one item: some clients read at most 64, of which the message around it takes 3
MAX_MEMBERS: Final = 2000  # of each object of an item that is looked into: itself, its schemas, their properties
MAX_REPAIRS: Final = 1000  # hidden characters, surrogates or numbers that are replaced in one item
MAX_KEY: Final = MAX_URI  # characters of a name, URI or URI template

_TYPES: Final[Mapping[str, bytes]] = {  # first bytes of the JSON that a member may have
    "title": b'"',
    "description": b'"',
    "mimeType": b'"',
    "annotations": b"{",
    "execution": b"{",
    "_meta": b"{",
    "icons": b"[",
    "arguments": b"[",
    "size": b"-0123456789",
}
_SCHEMAS: Final = frozenset({"inputSchema", "outputSchema"})
_BOOLEAN_SCHEMAS: Final[Mapping[bytes, Raw]] = {b"true": Raw(b"{}"), b"null": Raw(b"{}"), b"false": Raw(b'{"not":{}}')}

_LARGE_EXPONENT: Final = re.compile(rb"[eE]\+?[0-9]{3}")
_LONG_NUMBER: Final = re.compile(rb"(?<![0-9])[0-9]{300}")
_NUMBER: Final = rb"-?[0-9][0-9.]*+(?:[eE][+-]?+[0-9]++)?+"
# What is before the next number that may be too large, and the number; nothing is tried twice, so it is linear.
_UP_TO_LARGE: Final = re.compile(
    rb"((?:[^\"0-9-]*+(?:-?[0-9]{1,99}+(?![0-9.eE])|"
    + decoder.STRING
    + rb"|(?!-?[0-9.]*+(?:(?<=[0-9]{300})|[eE]\+?[0-9]{3}))"
    + _NUMBER
    + rb"))*+[^\"0-9-]*+)("
    + _NUMBER
    + rb"|\Z)",
    re.DOTALL,
)
_LARGEST: Final = b"1.7976931348623157e308"


class UnusableItemError(Exception):
    """An item that cannot be offered; the message says why, in words for `status`."""


def key_of(kind: Kind, fields: Mapping[str, Raw]) -> str:
    """The name, URI or URI template that an item is asked for by. Raises: UnusableItemError."""
    key = jsonrpc.text(fields.get(kind.key, UNSET))
    if not key:
        raise UnusableItemError(f"its {kind.key} is missing, empty or no text")
    if len(key) > MAX_KEY:
        raise UnusableItemError(f"its {kind.key} has over {MAX_KEY} characters")
    if not kind.renamed and visible(key) != key:
        raise UnusableItemError(f"its {kind.key} has control or invisible characters, which a URI cannot have (RFC 3986)")
    return key


def repaired(kind: Kind, raw: Raw) -> Generator[None, None, tuple[str, Raw]]:
    """An item as every client takes it; its own bytes on one line where nothing is wrong.

    Between two of its steps others may get their turn: each is linear in the item's length, and what it does for a single value
    is bounded by MAX_MEMBERS and MAX_REPAIRS.

    Returns: the key that the item is asked for by, and the item. Raises: UnusableItemError.
    """
    body = bytes(raw)
    check_size(body)
    yield
    paired = _paired(body)
    yield
    fields = members_of(Raw(paired), "it is not an object, or the name of a member is not valid")
    key = key_of(kind, fields)
    if paired is not body and "\ufffd" in key:
        raise UnusableItemError(f"its {kind.key} has an unpaired surrogate")
    right = _typed(kind, fields)
    yield
    if "outputSchema" in right and not (yield from compilable(right["outputSchema"])):
        del right["outputSchema"]
        yield
    body = paired if _same(right, fields) else jsonrpc.dump(right)
    if _has_large(body):
        yield
        body = _UP_TO_LARGE.sub(_nearest, body)
    yield
    return key, Raw(jsonrpc.one_line(_shown(body)))


def check_size(body: bytes) -> None:
    """Whether an item is within the bounds of bytes and levels. Raises: UnusableItemError."""
    if len(body) > MAX_ITEM:
        raise UnusableItemError(f"it has over {MAX_ITEM >> 10} KiB")
    if decoder.deeper_than(body, MAX_NESTING):
        raise UnusableItemError(f"it is nested over {MAX_NESTING} levels deep")


def _paired(body: bytes) -> bytes:
    """U+FFFD for each unpaired surrogate; the very same object where there is none. Raises: UnusableItemError for too many."""
    unpaired = decoder.unpaired_count(body)
    if unpaired > MAX_REPAIRS:
        raise UnusableItemError(f"it has over {MAX_REPAIRS} unpaired surrogates")
    stand_in = decoder.StandIn.of(body) if unpaired else None
    return body if stand_in is None else stand_in.repaired()


def members_of(raw: Raw, refusal: str) -> dict[str, Raw]:
    """The members of an object within the bound; `refusal` says that it is none. Raises: UnusableItemError."""
    fields = jsonrpc.members_or_none(raw)
    if fields is None:
        raise UnusableItemError(refusal)
    if len(fields) > MAX_MEMBERS:
        raise UnusableItemError(f"an object in it has over {MAX_MEMBERS} members")
    return fields


def _typed(kind: Kind, fields: Mapping[str, Raw]) -> dict[str, Raw]:
    """The members with the types that the specification has. Raises: UnusableItemError."""
    right = {name: value for name, value in fields.items() if _has_type(name, value)}
    if not kind.renamed and jsonrpc.text(right.get("name", UNSET)) is None:
        right["name"] = right[kind.key]
    _correct_nested(kind, right)
    if kind.name == "tools":
        right["inputSchema"] = _schema(right.get("inputSchema", Raw(b"{}")), what="its inputSchema")
        if "outputSchema" in right:
            right["outputSchema"] = _schema(right["outputSchema"], what="its outputSchema")
    return right


def _shown(body: bytes) -> bytes:
    """Hidden characters made visible. Raises: UnusableItemError for too many."""
    hidden = hidden_count(body)
    if hidden > MAX_REPAIRS:
        raise UnusableItemError(f"it has over {MAX_REPAIRS} control or invisible characters")
    return visible_json(body) if hidden else body


def _same(right: Mapping[str, Raw], fields: Mapping[str, Raw]) -> bool:
    return right.keys() == fields.keys() and all(value is fields[name] for name, value in right.items())


def _has_type(name: str, value: Raw) -> bool:
    first = bytes(value)[:1]
    return first in _TYPES[name] if name in _TYPES else name not in _SCHEMAS or first != b"n"


def _correct_nested(kind: Kind, right: dict[str, Raw]) -> None:
    """Icons, arguments of prompts, annotations and the like with the types that they have by the specification."""
    objects = {"annotations": TOOL_ANNOTATIONS if kind.name == "tools" else ANNOTATIONS, "execution": EXECUTION}
    for name, checks in objects.items():
        if name in right:
            members_of(right[name], f"its {name} are not an object")
            right[name] = corrected(right[name], checks)
    for name, correct in (("icons", icons), ("arguments", arguments)):
        if name in right:
            value = correct(right.pop(name))
            if value is not None:
                right[name] = value


def _schema(raw: Raw, *, what: str) -> Raw:
    """A schema of an object: `type` says so, `properties` are schemas, `required` is a list of names."""
    fields = members_of(raw, f"{what} is not an object")
    right = {name: value for name, value in fields.items() if bytes(value)[:1] != b"n"}
    kind = right.setdefault("type", Raw(b'"object"'))
    if jsonrpc.text(kind) != "object":
        raise UnusableItemError(f'the type in {what} is not "object"')
    if "required" in right and jsonrpc.texts(right["required"]) is None:
        del right["required"]
    if "properties" in right:
        right["properties"] = _properties(right["properties"], what=what)
    return raw if _same(right, fields) else Raw(jsonrpc.dump(right))


def _properties(raw: Raw, *, what: str) -> Raw:
    """Schemas by name; a boolean one is written as the object that means the same (JSON Schema 2020-12, section 4.3.2)."""
    fields = members_of(raw, f"the properties in {what} are not an object")
    right = {name: _property(value) for name, value in fields.items()}
    if any(bytes(value)[:1] != b"{" for value in right.values()):
        raise UnusableItemError(f"a property in {what} is not a schema")
    return raw if _same(right, fields) else Raw(jsonrpc.dump(right))


def _property(raw: Raw) -> Raw:
    return _BOOLEAN_SCHEMAS.get(bytes(raw), raw)


def _has_large(body: bytes) -> bool:
    """Whether there are numbers that some decoders refuse. Raises: UnusableItemError for too many."""
    if not (_LARGE_EXPONENT.search(body) or _LONG_NUMBER.search(body)):
        return False
    outside = decoder.without_strings(body)
    large = len(_LARGE_EXPONENT.findall(outside)) + len(_LONG_NUMBER.findall(outside))
    if large > MAX_REPAIRS:
        raise UnusableItemError(f"it has over {MAX_REPAIRS} numbers beyond the range of a double")
    return large > 0


def _nearest(match: re.Match[bytes]) -> bytes:
    """A number that is too large becomes the nearest that a double holds."""
    before, token = match.groups(b"")
    if not token or float(token) not in (float("inf"), float("-inf")):
        return match[0]
    return before + (b"-" if token[:1] == b"-" else b"") + _LARGEST
