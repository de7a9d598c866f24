"""The text of a configuration → its document: JSON, JSON with comments and trailing commas, TOML, or YAML. Pure."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

from ..api.yaml_documents import InvalidYamlError, load
from .model import UnreadableError

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/|,(?=\s*(?://[^\n]*\s*|/\*.*?\*/\s*)*[}\]])', re.DOTALL)
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_LARGEST = 4 << 20  # characters of a source
_DEEPEST = 64  # levels of a document


def documents(text: str) -> list[Any]:
    """The documents of a source: one, or those of a YAML stream. Raises: UnreadableError."""
    if len(text) > _LARGEST:
        raise UnreadableError(f"has {len(text)} characters: want at most {_LARGEST}")
    text = text.removeprefix("\ufeff")
    if text.lstrip().startswith(("{", "[", "//", "/*")):
        document = _json(text)
        if document is not None:
            return [_bounded(document)]
    try:
        return [_bounded(tomllib.loads(text))]
    except (tomllib.TOMLDecodeError, RecursionError):
        pass
    try:
        return [document for document in load(text) if document is not None]
    except InvalidYamlError as error:
        raise UnreadableError(f"is neither JSON, TOML nor YAML: {str(error)[:200]}") from None


def _json(text: str) -> Any:
    """JSON without its comments and trailing commas; None if it is something else."""
    plain = _TOKEN.sub(lambda match: match[0] if match[0].startswith('"') else " ", text)
    try:
        return json.loads(plain)
    except (ValueError, RecursionError):
        return None


def _bounded(document: Any) -> Any:
    """A document of limited depth, whose texts are Unicode. Raises: UnreadableError."""
    level = [document]
    for _ in range(_DEEPEST):
        if any(_SURROGATE.search(value) for value in level if isinstance(value, str)):
            raise UnreadableError("has an unpaired surrogate: write the character itself")
        level = [child for value in level for child in _children(value)]
        if not level:
            return document
    raise UnreadableError(f"is nested more than {_DEEPEST} levels deep")


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, list) else []
