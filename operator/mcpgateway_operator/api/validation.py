"""A raw spec → a checked one, or all of its errors. Pure.

`mcpgw` has no API server, and a stored resource may be older than the schema: what the API server refuses is refused here, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from pydantic import ValidationError

from . import crd
from .field_error import FieldError, Path
from .rules import rule_errors
from .spec import Spec
from .structure import Schema, structure_errors

_ROOT: Final[Path] = ("spec",)
_LISTED = 8  # errors in one message


class InvalidSpecError(Exception):
    """A spec that cannot be used; `errors` has every field, its value and the fix, and the message the first of them."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        more = [f"and {len(errors) - _LISTED} more"] if len(errors) > _LISTED else []
        super().__init__("; ".join([*map(str, errors[:_LISTED]), *more]))
        self.errors = tuple(errors)


def spec_errors(raw: Any) -> list[FieldError]:
    """All errors of a raw spec: of its structure, and of the rules where the structure is sound."""
    structure = list(structure_errors(_schema(), raw, _ROOT))
    return [*structure, *rule_errors(_schema(), raw, _ROOT, [error.path for error in structure])]


def parse_spec(raw: Any) -> Spec:
    """Parse a spec: one that the API server has accepted, but which may be older than the schema. Raises: InvalidSpecError."""
    try:
        return Spec.model_validate(raw)
    except ValidationError as error:
        if errors := spec_errors(raw):
            raise InvalidSpecError(errors) from error
    try:
        return Spec.model_validate(_without_nulls(raw))
    except ValidationError as error:
        raise InvalidSpecError(_unexplained(error)) from error


def check(spec: Spec) -> None:
    """Refuse a spec that breaks a rule. Raises: InvalidSpecError."""
    given = spec.model_dump(by_alias=True, exclude_unset=True, exclude_none=True, mode="json")
    if broken := list(rule_errors(_schema(), given, _ROOT)):
        raise InvalidSpecError(broken)


@cache
def _schema() -> Schema:
    return crd.annotated(Spec)


def _without_nulls(value: Any) -> Any:
    """A value in which null stands for a default: the API server prunes such fields."""
    if isinstance(value, dict):
        return {name: _without_nulls(child) for name, child in value.items() if child is not None}
    return [_without_nulls(child) for child in value] if isinstance(value, list) else value


def _unexplained(error: ValidationError) -> list[FieldError]:
    """For values that the models refuse and the schema does not: `tests/property/test_validation.py` knows of none."""
    return [
        FieldError((*_ROOT, *item["loc"]), " has a value that cannot be used: `kubectl explain` describes the field")
        for item in error.errors()
    ]
