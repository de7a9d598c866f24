"""The schema's rules beyond types, CEL and keyed lists, evaluated as by the API server. Pure.

Sources: KEP-2876 (CEL), "CustomResourceDefinitions" (list types).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator
from functools import cache
from itertools import islice
from typing import Any, Final

import celpy
from celpy import celtypes
from celpy.adapter import json_to_cel
from celpy.evaluation import CELEvalError

from .field_error import FieldError, Path
from .structure import Schema

_ENVIRONMENT = celpy.Environment()
_WORDS_OF_CEL: Final = frozenset({"import", "namespace", "package", "return"})  # of its reserved words, those that name fields


def rule_errors(schema: Schema, value: Any, path: Path, broken: Collection[Path] = ()) -> Iterator[FieldError]:
    """The violations in a value of which the paths in `broken`, and what contains them, have structural errors."""
    unusable = frozenset(error[:length] for error in broken for length in range(len(error) + 1))
    yield from _violations(schema, _defaulted(schema, value), path, unusable)


def _defaulted(schema: Schema, value: Any) -> Any:
    """A value with the schema's defaults: rules apply to the stored object."""
    if isinstance(value, list) and "items" in schema:
        return [_defaulted(schema["items"], child) for child in islice(value, schema.get("maxItems"))]
    if not isinstance(value, dict) or schema.get("type") != "object":
        return value
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", {})
    given = {name: child for name, child in value.items() if child is not None and isinstance(name, str)}
    absent = {name: child["default"] for name, child in properties.items() if "default" in child and name not in given}
    return {name: _defaulted(properties.get(name, others), child) for name, child in (given | absent).items()}


def _violations(schema: Schema, value: Any, path: Path, unusable: Collection[Path]) -> Iterator[FieldError]:
    for rule in schema.get("x-kubernetes-validations", ()):
        if path not in unusable and not _holds(rule["rule"], value):
            yield FieldError(path, f": {rule['message']}")
    if isinstance(value, dict):
        properties, others = schema.get("properties", {}), schema.get("additionalProperties", {})
        for name, child in value.items():
            yield from _violations(properties.get(name, others), child, (*path, name), unusable)
    elif isinstance(value, list):
        yield from _duplicates(schema, value, path, unusable)
        for index, child in enumerate(value):
            yield from _violations(schema.get("items", {}), child, (*path, index), unusable)


def _duplicates(schema: Schema, items: list[Any], path: Path, unusable: Collection[Path]) -> Iterator[FieldError]:
    """The violations of a keyed list, or a set, in which a key or item occurs twice."""
    kind = schema.get("x-kubernetes-list-type")
    seen = set()
    for index, item in enumerate(items if kind in ("map", "set") else ()):
        keys = schema["x-kubernetes-list-map-keys"] if kind == "map" else ()
        if any((*path, index, *step) in unusable for step in ((), *((name,) for name in keys))):
            continue
        key = tuple(item[name] for name in keys) if kind == "map" else (item,)
        if key in seen:
            yield FieldError((*path, index), f" has {', '.join(map(str, key))!r} a second time: leave one of them")
        seen.add(key)


def _holds(rule: str, value: Any) -> bool:
    try:
        return bool(_program(rule).evaluate({"self": json_to_cel(_escaped(value))}))
    except CELEvalError:
        return False  # as in the API server: an error in the evaluation is a violation


def _escaped(value: Any) -> Any:
    """A value with names that rules can use: a word of CEL itself is written __WORD__ in them, as by the API server."""
    if isinstance(value, dict):
        return {f"__{name}__" if name in _WORDS_OF_CEL else name: _escaped(child) for name, child in value.items()}
    return [_escaped(child) for child in value] if isinstance(value, list) else value


@cache
def _program(rule: str) -> celpy.Runner:
    return _ENVIRONMENT.program(_ENVIRONMENT.compile(rule), functions={"isCIDR": _is_cidr})


def _is_cidr(text: celtypes.Value) -> celtypes.BoolType:
    try:
        ipaddress.ip_network(str(text), strict=False)
    except ValueError:
        return celtypes.BoolType(False)
    return celtypes.BoolType("/" in str(text))
