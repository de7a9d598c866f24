"""One error of a resource's field: where it is, what is there, and what to write in its place.

Source: Kubernetes, package apimachinery/pkg/util/validation/field (paths and one error a field).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .confidential import looks_secret

Path = tuple[int | str, ...]
_LONGEST_VALUE = 60  # characters of a value in a message


@dataclass(frozen=True)
class FieldError:
    """An error of the field at `path`; `text` continues the sentence that the path begins."""

    path: Path
    text: str

    def __str__(self) -> str:
        return f"{dotted(self.path)}{self.text}"


def dotted(path: Iterable[int | str]) -> str:
    """A path as people write it: `spec.servers[0].name`."""
    out = ""
    for step in path:
        out += f"[{step}]" if isinstance(step, int) else f".{step}"
    return out.removeprefix(".")


def shown(value: Any, *, confidential: bool = False) -> str:
    """A value as a message shows it: short, on one line, and without what may be a secret."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and (confidential or looks_secret(value)):
        return f"a text of {len(value)} characters"
    if isinstance(value, str) and len(value) > _LONGEST_VALUE:
        return f"{value[:_LONGEST_VALUE]!r}… ({len(value)} characters)"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "a map"
    return repr(value)[:_LONGEST_VALUE]


def kind(value: Any) -> str:
    """The kind of a value, in the words of YAML."""
    if value is None:
        return "null"
    for types, name in _KINDS:
        if isinstance(value, types):
            return name
    return f"a {type(value).__name__}"


_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "a boolean"),
    (int, "a number"),
    (float, "a number"),
    (str, "a text"),
    (list, "a list"),
    (dict, "a map"),
)
