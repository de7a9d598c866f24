"""What a client reports of a server, reached directly and through the gateway, field by field. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

Report = dict[str, Any]
_NAMED = ("tools", "prompts")  # lists whose names the gateway prefixes
# What one era only has. A client of 2026-07-28 asks for logs in each request, and reports its own progress where it answers.
_ONE_ERA = ("resultType", "ttlMs", "cacheScope", "io.modelcontextprotocol/serverInfo", "logs", "progress")
_KEYS = {"tools": "name", "prompts": "name", "resources": "uri", "templates": "uriTemplate"}


def values(of: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """All scalars, and empty objects and lists, each with its path."""
    items: Any = of.items() if isinstance(of, dict) else enumerate(of) if isinstance(of, list) else ()
    if not items or not of:
        yield path, of
    for key, item in items:
        yield from values(item, f"{path}.{key}" if path else str(key))


def differences(direct: Report, through: Report, *, server: str, eras: bool = False) -> list[str]:
    """One line for each value that differs, where the gateway gives this server's names the prefix `server_`.

    With `eras`, client and server spoke different eras through the gateway, and only what both eras have is compared.
    """
    if eras:
        direct, through = _of_both_eras(direct), _of_both_eras(through)
    ours, theirs = dict(values(_comparable(through, f"{server}_"))), dict(values(_comparable(direct, "")))
    missing = object()
    return [
        f"{path}: {_shown(theirs, path)} directly, {_shown(ours, path)} through the gateway"
        for path in sorted(theirs.keys() | ours.keys())
        if not _same(theirs.get(path, missing), ours.get(path, missing))
    ]


def _comparable(report: Report, prefix: str) -> Report:
    """By name, as the server has it, what has no order, and sorted what SDKs report from several threads; no version."""
    keyed = {kind: {_name(kind, item, prefix): item for item in report[kind]} for kind in _KEYS}
    for kind in _NAMED:
        keyed[kind] = {name: {**item, "name": name} for name, item in keyed[kind].items()}
    steps = [sorted(of_one_call or [], key=json.dumps) for of_one_call in report.get("progress") or []]
    return {**report, **keyed, "progress": steps, "version": ""}


def _of_both_eras(value: Any) -> Any:
    if isinstance(value, list):
        return [_of_both_eras(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {key: _of_both_eras(item) for key, item in value.items() if key not in _ONE_ERA}
    return {key: item for key, item in kept.items() if key != "_meta" or item}


def _name(kind: str, item: Report, prefix: str) -> str:
    name = str(item[_KEYS[kind]])
    if kind not in _NAMED:
        return name
    return name.removeprefix(prefix) if name.startswith(prefix) else f"{name} without {prefix}"


def _same(one: Any, other: Any) -> bool:
    """JSON's equality: 1 and 1.0 are the same number, and true is none."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _shown(found: dict[str, Any], path: str) -> str:
    return repr(found[path])[:200] if path in found else "nothing"
