"""The URIs of resources that a server gives a client in a result, apart from its lists.

Source: MCP specification 2025-11-25, "Tool Result": resource links, embedded resources; "Data Types" of prompts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Final

from msgspec import UNSET, Raw

from .decoder import items, members_or_none, text
from .jsonrpc import ProtocolError

MARK: Final = b'"resource'  # is in every result that gives a URI: `"resource_link"`, `"resource"`
MAX_URIS: Final = 1000  # of one result; further ones are not noted
MAX_VALUES: Final = 250_000  # of a result that is searched, counted by its commas
_EMPTY: Final = Raw(b"[]")


def given_uris(result: bytes) -> Iterator[str]:
    """The URIs of links and embedded resources in a result of tools/call, prompts/get or tasks/get, if they are well formed."""
    if result.count(b",") > MAX_VALUES:
        return iter(())
    fields = members_or_none(result) or {}
    if "result" in fields:  # of a task
        fields = members_or_none(fields["result"]) or {}
    messages = [members_or_none(message) or {} for message in _list(fields.get("messages"))]
    contents = chain(_list(fields.get("content")), *(_contents(message.get("content")) for message in messages))
    return islice((uri for uri in map(_uri, contents) if uri is not None), MAX_URIS)


def _list(raw: Raw | None) -> Sequence[Raw]:
    try:
        return items(_EMPTY if raw is None else raw)
    except ProtocolError:
        return ()


def _contents(raw: Raw | None) -> Sequence[Raw]:
    """The content of a prompt's message: one block, or several."""
    return _list(raw) or ((raw,) if raw is not None else ())


def _uri(block: Raw) -> str | None:
    fields = members_or_none(block) or {}
    type = text(fields.get("type", UNSET))
    if type == "resource":
        fields = members_or_none(fields.get("resource", UNSET)) or {}
    return text(fields.get("uri", UNSET)) if type in ("resource_link", "resource") else None
