"""The structural part of the schema, evaluated on a raw document: types, bounds, patterns, required and unknown fields.

Every error of the document is reported, in our own words. Source: Kubernetes "CustomResourceDefinitions", structural schemas.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from .field_error import FieldError, Path, kind, shown
from .foreign_fields import unknown_field

Schema = Mapping[str, Any]
_CONFIDENTIAL: Final = "value"  # of a variable or a header: never repeated in a message
_INT64: Final = 2**63
_BOOLEANS: Final = {"true": "true", "yes": "true", "on": "true", "false": "false", "no": "false", "off": "false"}


def structure_errors(schema: Schema, value: Any, path: Path) -> Iterator[FieldError]:
    """All structural errors of a value."""
    if value is None:
        yield FieldError(path, " is null: remove it, or give it a value")
    elif schema.get("x-kubernetes-int-or-string"):
        yield from _int_or_string(schema, value, path)
    else:
        yield from _CHECKS[schema["type"]](schema, value, path)


def _object(schema: Schema, value: Any, path: Path) -> Iterator[FieldError]:
    if not isinstance(value, dict):
        yield FieldError(path, f" is {shown(value)}: {_as_map(schema, value)}")
        return
    properties: Schema = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield FieldError((*path, name), f" is missing: add it ({_subject(properties[name])})")
    limit = schema.get("maxProperties", len(value))
    if len(value) > limit:
        yield FieldError(path, f" has {len(value)} keys: want at most {limit}")
    others = schema.get("additionalProperties")
    for name, child in islice(value.items(), max(limit, len(properties) * 2)):
        if not isinstance(name, str):
            yield FieldError(path, f" has the key {shown(name)}: write it in quotes")
        elif name in properties:
            if child is not None or "default" not in properties[name]:  # null stands for the default, as in the API server
                yield from structure_errors(properties[name], child, (*path, name))
        elif others is not None:
            yield from structure_errors(others, child, (*path, name))
        else:
            place = tuple(step for step in path if isinstance(step, str))
            yield FieldError((*path, name), f" is not a field: {unknown_field(place, name, properties)}")


def _array(schema: Schema, value: Any, path: Path) -> Iterator[FieldError]:
    if not isinstance(value, list):
        yield FieldError(path, f" is {shown(value)}: {_as_list(schema, value)}")
        return
    least, most = schema.get("minItems", 0), schema.get("maxItems", len(value))
    if len(value) < least:
        yield FieldError(path, f" has {_items(len(value))}: want at least {_items(least)}")
    if len(value) > most:
        yield FieldError(path, f" has {_items(len(value))}: want at most {most}")
    for index, child in enumerate(islice(value, most)):
        if child is None:
            yield FieldError((*path, index), " is null: remove the item, or give it a value")
        else:
            yield from structure_errors(schema["items"], child, (*path, index))


def _string(schema: Schema, value: Any, path: Path) -> Iterator[FieldError]:
    confidential = path[-1] == _CONFIDENTIAL
    if not isinstance(value, str):
        yield FieldError(path, f" is {_not_a_text(schema, value, confidential=confidential)}")
        return
    if problem := _text_problem(schema, value):
        yield FieldError(path, f" is {shown(value, confidential=confidential)}: {problem}")


def _text_problem(schema: Schema, text: str) -> str | None:
    if "enum" in schema:
        return None if text in schema["enum"] else f"want {_choice(schema['enum'])}"
    if len(text) > schema.get("maxLength", len(text)):
        return f"want at most {schema['maxLength']} characters"
    if len(text) < schema.get("minLength", 0):
        return "an empty text: give it a value"
    if "pattern" in schema and not re.search(schema["pattern"].removesuffix("$") + r"\Z", text):
        return f"want {schema['x-wanted']}"
    return None


def _integer(schema: Schema, value: Any, path: Path) -> Iterator[FieldError]:
    if isinstance(value, bool) or not (isinstance(value, int) or (isinstance(value, float) and value.is_integer())):
        unquoted = isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value)
        yield FieldError(path, f" is {shown(value)}: want a whole number{': remove the quotes' if unquoted else ''}")
        return
    if value < schema.get("minimum", value):
        yield FieldError(path, f" is {shown(value)}: want at least {schema['minimum']}")
    if value > schema.get("maximum", value):
        yield FieldError(path, f" is {shown(value)}: want at most {schema['maximum']}")


def _boolean(_: Schema, value: Any, path: Path) -> Iterator[FieldError]:
    if not isinstance(value, bool):
        meant = _BOOLEANS.get(value.lower()) if isinstance(value, str) else None
        yield FieldError(path, f" is {shown(value)}: " + (f"write {meant}, without quotes" if meant else "want true or false"))


def _int_or_string(schema: Schema, value: Any, path: Path) -> Iterator[FieldError]:
    if isinstance(value, float):
        yield FieldError(path, f" is {shown(value)}: write it in quotes: '{value}'")
    elif isinstance(value, bool) or not isinstance(value, int | str):
        yield FieldError(path, f" is {shown(value)}: want {schema['x-wanted']}")
    elif isinstance(value, int) and abs(value) >= _INT64:
        yield FieldError(path, f" is {shown(value)}: want a number below 2^63")
    elif problem := _text_problem(schema, str(value)):
        yield FieldError(path, f" is {shown(value)}: {problem}")


_CHECKS: Final = {"object": _object, "array": _array, "string": _string, "integer": _integer, "boolean": _boolean}


def _not_a_text(schema: Schema, value: Any, *, confidential: bool) -> str:
    """What a value is in place of a text, and how it becomes one."""
    text = shown(value)
    if isinstance(value, list | dict):
        return f"{text}: want a text"
    if not confidential and (problem := _text_problem(schema, text)):
        return f"{text}: {problem}"
    return f"{kind(value)}: write it in quotes" + ("" if confidential else f", '{text}'")


def _as_list(schema: Schema, value: Any) -> str:
    """How to write a list in place of a value."""
    items: Schema = schema["items"]
    if isinstance(value, dict):
        return f"write a list, - {_keyed_item(schema, value)}"
    if isinstance(value, str) and items.get("type") == "string" and "text of" not in shown(value):
        return f"write a list: [{', '.join(map(_flow, _words(value)))}]"
    return "write a list, each item after a dash"


def _keyed_item(schema: Schema, value: Mapping[Any, Any]) -> str:
    """The item of a list that a map's first entry stands for; values are left out, since they may be secrets."""
    keys = schema.get("x-kubernetes-list-map-keys", ("name",))
    properties = schema["items"].get("properties", {})
    first = next(iter(value), "NAME")
    rest = "value: …" if "value" in properties else "…"
    return f"{{{keys[0]}: {_flow(str(first))[:40]}, {rest}}} for each entry"


def _as_map(schema: Schema, value: Any) -> str:
    """How to write a map in place of a value."""
    if isinstance(value, str) and "name" in schema.get("properties", {}):
        name = re.match(r"[A-Za-z0-9_.-]{1,40}", value)
        return f"write a map, {{name: {name[0] if name else 'NAME'}, …}}"
    if "properties" in schema:
        fields = [*schema.get("required", ()), *(name for name in schema["properties"] if name not in schema.get("required", ()))]
        return f"write a map with fields such as {', '.join(fields[:3])}"
    return "write a map, NAME: VALUE for each entry"


def _words(text: str) -> list[str]:
    """A command line as the words that a shell makes of it."""
    try:
        return shlex.split(text) or [text]
    except ValueError:  # an open quote
        return text.split() or [text]


def _flow(text: str) -> str:
    """A text as an item of a YAML flow sequence."""
    return text if re.fullmatch(r"[A-Za-z/._-][A-Za-z0-9@/._=+-]*", text) and text.lower() not in _BOOLEANS else json.dumps(text)


def _items(number: int) -> str:
    return f"{number} item" if number == 1 else f"{number} items"


def _choice(options: list[str]) -> str:
    names = [option or "''" for option in options]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _subject(schema: Schema) -> str:
    """What a field is about: the first sentence of its description."""
    return str(schema.get("description", "required")).split(". ")[0].rstrip(".")
