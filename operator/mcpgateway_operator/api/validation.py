"""The schema's rules beyond types, CEL and keyed lists, evaluated as by the API server. Pure.

`mcpgw` has no API server, and a stored resource may be older than the schema.
Sources: KEP-2876 (CEL), "CustomResourceDefinitions" (list types).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from functools import cache
from typing import Any

import celpy
from celpy import celtypes
from celpy.adapter import json_to_cel
from celpy.evaluation import CELEvalError

from . import crd
from .spec import InvalidSpecError, Spec

_ENVIRONMENT = celpy.Environment()


def violations(spec: Spec) -> list[str]:
    """The violations of a spec whose fields are each valid: path and message, as in the API server's answer."""
    given = spec.model_dump(by_alias=True, exclude_unset=True, exclude_none=True, mode="json")
    return list(_node(_schema(), _defaulted(_schema(), given), "spec"))


def check(spec: Spec) -> None:
    """Refuse a spec that breaks a rule. Raises: InvalidSpecError."""
    if broken := violations(spec):
        raise InvalidSpecError("; ".join(broken[:8]))


@cache
def _schema() -> dict[str, Any]:
    return crd.structural(Spec)


def _defaulted(schema: dict[str, Any], value: Any) -> Any:
    """A value with the schema's defaults: rules apply to the stored object."""
    if isinstance(value, list):
        return [_defaulted(schema["items"], child) for child in value]
    if not isinstance(value, dict):
        return value
    properties = schema.get("properties", {})
    absent = {name: child["default"] for name, child in properties.items() if "default" in child and name not in value}
    return {name: _defaulted(properties.get(name, {}), child) for name, child in (value | absent).items()}


def _node(schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    for rule in schema.get("x-kubernetes-validations", ()):
        if not _holds(rule["rule"], value):
            yield f"{path}: {rule['message']}"
    if isinstance(value, dict):
        properties, others = schema.get("properties", {}), schema.get("additionalProperties", {})
        for name, child in value.items():
            yield from _node(properties.get(name, others), child, f"{path}.{name}")
    elif isinstance(value, list):
        yield from _duplicates(schema, value, path)
        for index, child in enumerate(value):
            yield from _node(schema["items"], child, f"{path}[{index}]")


def _duplicates(schema: dict[str, Any], items: list[Any], path: str) -> Iterator[str]:
    """The violations of a keyed list, or a set, in which a key or item occurs twice."""
    kind = schema.get("x-kubernetes-list-type")
    seen = set()
    for index, item in enumerate(items if kind in ("map", "set") else ()):
        key = tuple(item[name] for name in schema["x-kubernetes-list-map-keys"]) if kind == "map" else (item,)
        if key in seen:
            yield f"{path}[{index}] has {', '.join(map(str, key))!r} a second time: leave one of them"
        seen.add(key)


def _holds(rule: str, value: Any) -> bool:
    try:
        return bool(_program(rule).evaluate({"self": json_to_cel(value)}))
    except CELEvalError:
        return False  # as in the API server: an error in the evaluation is a violation


@cache
def _program(rule: str) -> celpy.Runner:
    return _ENVIRONMENT.program(_ENVIRONMENT.compile(rule), functions={"isCIDR": _is_cidr})


def _is_cidr(text: celtypes.Value) -> celtypes.BoolType:
    try:
        ipaddress.ip_network(str(text), strict=False)
    except ValueError:
        return celtypes.BoolType(False)
    return celtypes.BoolType("/" in str(text))
