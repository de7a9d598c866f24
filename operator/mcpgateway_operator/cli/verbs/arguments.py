"""Flags of a command line → the arguments of a tool, by its JSON Schema. Pure.

`--name TEXT`, `--name=TEXT`, `--flag` and `--no-flag` for booleans, a flag repeated for a list, `--name.key TEXT` for an object,
JSON for everything. Names may be written with - for _.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..bad_input import BadInputError
from ..output.text import one_line, suggestion

Schema = Mapping[str, Any]
_SIMPLE = ("null", "boolean", "integer", "number", "array", "object", "string")  # the order in which they are tried
_INTEGER = re.compile(r"[+-]?[0-9]{1,4000}")
_DEEPEST_REFERENCE = 20  # $refs that lead to each other


def parse_arguments(tool: str, schema: Schema, tokens: Sequence[str]) -> dict[str, Any]:
    """The arguments. Raises: BadInputError with all errors."""
    errors: list[str] = []
    arguments: dict[str, Any] = {}
    for flag, text in _pairs(tokens, schema, errors):
        try:
            _put(arguments, _path(flag, schema), text, schema)
        except BadInputError as error:
            errors += error.messages
    if not errors:
        errors += _missing(arguments, schema)
    if errors:
        raise BadInputError(*(f"{tool}: {message}" for message in errors))
    return arguments


def parse_json(text: str) -> dict[str, Any]:
    """Arguments as one JSON object. Raises: BadInputError."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"--json is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadInputError(f"--json is {kind_of(value)}: want an object with the tool's arguments, for example {{}}")
    return value


def describe(schema: Schema) -> Iterator[tuple[str, str, str]]:
    """The (flag, type, description) of each property, those that are required first."""
    required = set(_required(schema))
    for name, item in sorted(_properties(schema).items(), key=lambda pair: pair[0] not in required):
        resolved = _resolved(item, schema)
        own = item.get("description") if isinstance(item, Mapping) else None
        words = one_line(str(own or resolved.get("description") or ""))
        yield f"--{name}", type_words(resolved, schema), ("(required) " if name in required else "") + words


def type_words(item: Schema, schema: Schema) -> str:
    """A property's type for people."""
    resolved = _resolved(item, schema)
    if isinstance(values := resolved.get("enum"), list):
        return "|".join(map(str, values[:8])) + ("|…" if len(values) > 8 else "")
    kinds = [kind for kind in _types(resolved, schema) if kind != "null"] or ["JSON"]
    if kinds == ["array"]:
        return f"list of {type_words(_items(resolved), schema)}"
    return " or ".join(kinds)


def kind_of(value: Any) -> str:
    """A JSON value's type for people."""
    kinds = {bool: "a boolean", int: "a number", float: "a number", str: "a text", list: "a list", dict: "an object"}
    return kinds.get(type(value), "null")


def _pairs(tokens: Sequence[str], schema: Schema, errors: list[str]) -> Iterator[tuple[str, str]]:
    """The (flag without dashes, text) of the command line."""
    rest = list(tokens)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--") or word == "--":
            names = [f"--{name}" for name in _properties(schema)]
            errors.append(
                f"{word!r} is not a flag: arguments are given as {', '.join(names[:4]) or '--json'}; options of mcpgw "
                "come before the tool's name"
            )
            return
        flag, equals, text = word[2:].partition("=")
        switch = _switch(flag, schema)
        if equals:
            yield flag, text
        elif switch and (not rest or rest[0].lower() not in ("true", "false")):
            yield switch
        elif rest:
            yield flag, rest.pop(0)
        else:
            errors.append(f"--{flag} has no value")


def _switch(flag: str, schema: Schema) -> tuple[str, str] | None:
    """A boolean that is said by its name alone."""
    for name, text in ((flag, "true"), (flag.removeprefix("no-"), "false")):
        own = _own_name(name, schema)
        if own is not None and _types(_resolved(_properties(schema)[own], schema), schema) in (["boolean"], ["null", "boolean"]):
            return name, text
    return None


def _path(flag: str, schema: Schema) -> list[str]:
    """The property, and the keys below it. Raises: BadInputError."""
    own = _own_name(flag, schema)
    if own is not None:
        return [own]
    head, *keys = flag.split(".")
    own = _own_name(head, schema)
    if own is not None and keys:
        return [own, *keys]
    if schema.get("additionalProperties") not in (None, False) or not _properties(schema):
        return [flag]
    raise BadInputError(f"it has no argument --{flag}: {suggestion(head, _properties(schema))}")


def _own_name(name: str, schema: Schema) -> str | None:
    properties = _properties(schema)
    return next((own for own in (name, name.replace("-", "_")) if own in properties), None)


def _put(arguments: dict[str, Any], path: Sequence[str], text: str, schema: Schema) -> None:
    """Set, or add to a list. Raises: BadInputError."""
    flag = "--" + ".".join(path)
    item: Schema = _resolved(_properties(schema).get(path[0], {}), schema)
    target = arguments
    for parent, key in itertools.pairwise(path):
        below = target.setdefault(parent, {})
        if not isinstance(below, dict):
            raise BadInputError(f"{flag}: --{parent} has a value already")
        target, item = below, _resolved(_properties(item).get(key, {}), schema)
    value = _value(flag, text, item, schema)
    name = path[-1]
    if name not in target:
        target[name] = value
    elif isinstance(target[name], list) and isinstance(value, list):
        target[name] += value
    else:
        raise BadInputError(f"{flag} is given twice, and takes one value")


def _value(flag: str, text: str, item: Schema, schema: Schema) -> Any:
    """A text as one of the types that the schema permits. Raises: BadInputError."""
    kinds = _types(item, schema)
    for kind in kinds or ("json", "string"):
        with_value = _as(kind, text, item, schema, flag)
        if with_value is not None:
            value = with_value[0]
            _require_member(flag, value, item)
            return value
    raise BadInputError(f"{flag} is {text[:80]!r}: want {type_words(item, schema)}")


def _require_member(flag: str, value: Any, item: Schema) -> None:
    values = item.get("enum")
    if isinstance(values, list) and value not in values:
        raise BadInputError(f"{flag} is {value!r}: {suggestion(str(value), map(str, values))}")


def _as(kind: str, text: str, item: Schema, schema: Schema, flag: str) -> tuple[Any] | None:
    """The value in a tuple of one; None if the text is no such thing."""
    if kind == "string":
        return (text,)
    if kind == "integer":
        return (int(text),) if _INTEGER.fullmatch(text) else None
    if kind == "array" and not text.lstrip().startswith("["):
        return ([_value(flag, text, _resolved(_items(item), schema), schema)],)
    wanted = {"null": type(None), "boolean": bool, "number": (int, float), "array": list, "object": dict, "json": object}[kind]
    try:
        value = json.loads(text.lower() if kind in ("boolean", "null") else text)
    except (ValueError, RecursionError):
        return None
    fits = isinstance(value, wanted) and (kind == "boolean" or wanted is object or not isinstance(value, bool))  # type: ignore[arg-type]
    return (value,) if fits else None


def _types(item: Schema, schema: Schema, depth: int = 0) -> list[str]:
    """The types that a value may have, in the order in which a text is tried as them; none: any."""
    named = item.get("type")
    kinds = {named} if isinstance(named, str) else set(named) if isinstance(named, list) else set()
    for group in ("anyOf", "oneOf", "allOf"):
        for option in item.get(group) or () if depth < _DEEPEST_REFERENCE else ():
            kinds |= set(_types(_resolved(option, schema), schema, depth + 1))
    if not kinds and isinstance(item.get("enum"), list):
        kinds = {"string" if isinstance(value, str) else "json" for value in item["enum"]}
    return [kind for kind in _SIMPLE if kind in kinds]


def _resolved(item: Any, schema: Schema) -> Schema:
    """A schema behind its $ref within the same document."""
    for _ in range(_DEEPEST_REFERENCE):
        reference = item.get("$ref") if isinstance(item, Mapping) else None
        if not isinstance(reference, str) or not reference.startswith("#/"):
            break
        item = _pointed(schema, reference)
    return item if isinstance(item, Mapping) else {}


def _pointed(schema: Any, reference: str) -> Any:
    for part in reference[2:].split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        schema = schema.get(key) if isinstance(schema, Mapping) else None
    return schema


def _items(item: Schema) -> Schema:
    items = item.get("items")
    return items if isinstance(items, Mapping) else {}


def _properties(schema: Schema) -> Mapping[str, Any]:
    properties = schema.get("properties")
    return properties if isinstance(properties, Mapping) else {}


def _required(schema: Schema) -> list[str]:
    required = schema.get("required")
    return [name for name in required if isinstance(name, str)] if isinstance(required, list) else []


def _missing(arguments: Mapping[str, Any], schema: Schema) -> Iterator[str]:
    for name in _required(schema):
        if name not in arguments:
            item = _resolved(_properties(schema).get(name, {}), schema)
            words = one_line(str(item.get("description") or ""))[:120]
            yield f"--{name} is missing: {type_words(item, schema)}{f', {words}' if words else ''}"
