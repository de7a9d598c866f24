"""Values of variables, headers and arguments: which are literal, and which belong into a Secret. Pure.

Client configurations replace `${input:ID}` (VS Code), `${env:NAME}` (VS Code, Cursor, Windsurf), `${NAME}` and `${NAME:-DEFAULT}`
(Claude Code, LibreChat, shells), and people leave stand-ins such as `<YOUR_KEY>`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..api.confidential import looks_secret
from .model import Setting

_EXPRESSION = re.compile(
    r"\$\{(?:(?P<kind>input|env|secret|config|command|prompt):)?(?P<name>[^}:]+)(?::-?(?P<default>[^}]*))?\}|\{\{[^}]*\}\}"
)
_STAND_IN = re.compile(
    r"<[^<>]*>|\[[A-Z _-]+\]|(?:.*[-_ ])?(?:placeholder|changeme|change[-_]me|replace[-_]me|redacted|todo|x{3,})(?:[-_ ].*)?"
    r"|(?:your|insert|my)[-_ ].*|\*{3,}|\.{3}|…",
    re.IGNORECASE,
)
_SECRET_NAME = re.compile(
    r"(?:^|[^A-Za-z])(?:[A-Za-z]*token|secret|password|passwd|pass|pwd|passphrase|api[-_]?key|key|pat|credentials?|authorization|auth|cookie|dsn"
    r"|connection[-_]?string|(?:database|db|redis|mongo(?:db)?|postgres(?:ql)?|mysql)[-_]?(?:url|uri))$",
    re.IGNORECASE,
)
_PLAIN_NAME = re.compile(r"(?:max|min|num|n|total|limit|count|budget)[-_]?tokens?$|public[-_]?key$|key[-_]?id$", re.IGNORECASE)


def setting(name: str, value: Any, inputs: Mapping[str, Mapping[str, Any]]) -> Setting:
    """A variable or header as a Setting: a secret one has no value, whatever the source has."""
    text = scalar(value)
    expression = _EXPRESSION.search(text)
    if expression is not None:
        return _expressed(name, text, expression, inputs)
    if is_secret_name(name) or looks_secret(text, name=name):
        return Setting(name, hint=name) if text else Setting(name, "")
    return Setting(name, hint=name) if _STAND_IN.fullmatch(text) else Setting(name, text)


def _expressed(name: str, text: str, expression: re.Match[str], inputs: Mapping[str, Mapping[str, Any]]) -> Setting:
    source = expression["name"] or ""
    described = inputs.get(source, {}) if expression["kind"] == "input" else {}
    default = scalar(described.get("default", "")) or expression["default"] or ""
    secret = is_secret_name(name) or bool(described.get("password")) or is_secret_name(source)
    if default and not secret:
        return Setting(name, _EXPRESSION.sub(lambda _: default, text))
    whole = expression[0] == text
    about = scalar(described.get("description", "")) or source or expression[0]
    return Setting(name, hint=about if whole else f"{text.replace(expression[0], 'VALUE')}, where VALUE is {about}")


def is_secret_name(name: str) -> bool:
    """Whether the value of a variable, header, flag or parameter of that name is a secret."""
    return _SECRET_NAME.search(name) is not None and _PLAIN_NAME.search(name) is None


def is_stand_in(text: str) -> bool:
    """Whether a text stands for a value that the user has to give."""
    return _EXPRESSION.search(text) is not None or _STAND_IN.fullmatch(text) is not None


def expressions(text: str) -> list[str]:
    """The names of the variables in a text's expressions."""
    return [match["name"] for match in _EXPRESSION.finditer(text) if match["name"] and match["kind"] in (None, "env")]


def scalar(value: Any) -> str:
    """A scalar as a variable holds it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None or isinstance(value, dict | list) else str(value)


def settings(values: Any, inputs: Mapping[str, Mapping[str, Any]]) -> tuple[Setting, ...]:
    """The variables or headers of a map, of a list of NAME=VALUE, or of a list of {name, value}."""
    return tuple(setting(name, value, inputs) for name, value in pairs(values))


def pairs(values: Any) -> list[tuple[str, Any]]:
    """The (name, value) of a map, of a list of NAME=VALUE, or of a list of {name, value}; what has another form is left out."""
    if isinstance(values, dict):
        return [(str(name), value) for name, value in values.items()]
    out: list[tuple[str, Any]] = []
    for item in values if isinstance(values, list) else ():
        if isinstance(item, str):
            name, equals, value = item.partition("=")
            out.append((name, value if equals else f"${{{name}}}"))
        elif isinstance(item, dict) and isinstance(item.get("name"), str):
            out.append((item["name"], item.get("value", "")))
    return out
