"""What the gateway makes of a server's lists and of the answer of a call, and where that differs from the server's own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import httpx2

from tests.support.gateways import Gateway

from .direct import LISTS, Observed

_KEYS = {"tools": "name", "prompts": "name", "resources": "uri", "resourceTemplates": "uriTemplate"}
_PREFIXED = ("tools", "prompts")
_PLAIN = re.compile(r"(?!.*_[0-9a-f]{8}\Z)[A-Za-z0-9_-]{1,64}")
_HASHED = re.compile(r"[A-Za-z0-9_-]{1,55}_[0-9a-f]{8}")
_OF_ERAS = {"_meta", "resultType", "ttlMs", "cacheScope"}  # of a result: what either era adds


def through(gateway: Gateway, server: str, era: str, headers: Mapping[str, str] | None) -> Observed:
    """The lists as a client sees them, tools and prompts of one server only; `headers` of a session, None for the modern era."""
    return Observed(era, {kind: _of(server, kind, _pages(gateway, kind, headers)) for kind in LISTS})


def _of(server: str, kind: str, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [item for item in items if item["name"].startswith(f"{server}_")] if kind in _PREFIXED else items


def _pages(gateway: Gateway, kind: str, headers: Mapping[str, str] | None) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        result = ask(gateway, LISTS[kind], headers, **cursor)["result"]
        items += result[kind]
        if "nextCursor" not in result:
            return items
        cursor = {"cursor": result["nextCursor"]}


def ask(gateway: Gateway, method: str, headers: Mapping[str, str] | None, **params: Any) -> dict[str, Any]:
    """A request in a session, or of the modern era: the answer's result or error."""
    if headers is None:
        answer = _reply(gateway.modern(method, **params))
    else:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = _reply(gateway.post(body, headers=dict(headers)))
    return {name: answer[name] for name in ("result", "error") if name in answer}


def _reply(response: httpx2.Response) -> dict[str, Any]:
    """The reply in a response, which is a stream where the server says something before it."""
    if response.headers["content-type"] == "application/json":
        return cast("dict[str, Any]", response.json())
    lines = (line.removeprefix("data:").strip() for line in response.text.splitlines() if line.startswith("data:"))
    messages = [json.loads(line) for line in lines if line]
    return next(message for message in messages if "result" in message or "error" in message)


def list_differences(server: str, own: Observed, seen: Observed) -> list[str]:
    """Where the lists differ, field by field: paths with both values."""
    return [found for kind in LISTS for found in _in_list(server, kind, own.lists[kind], seen.lists[kind])]


def _in_list(server: str, kind: str, own: Sequence[dict[str, Any]], seen: Sequence[dict[str, Any]]) -> Iterator[str]:
    key = _KEYS[kind]
    if kind not in _PREFIXED:  # one list of all servers
        keys = {item[key] for item in own}
        seen = [item for item in seen if item[key] in keys]
    if len(own) != len(seen):
        yield f"{kind}: {len(own)} directly, {len(seen)} through the gateway"
        return
    for expected, found in zip(own, seen, strict=True):
        path = f"{kind}/{expected[key]}"
        if kind in _PREFIXED:
            if not _is_name(found["name"], f"{server}_{expected['name']}"):
                yield f"{path}: is called {found['name']}"
            found = {**found, "name": expected["name"]}
        yield from differences(path, expected, found)


def _is_name(found: str, plain: str) -> bool:
    return found == plain if _PLAIN.fullmatch(plain) else bool(_HASHED.fullmatch(found))


def answer_differences(own: Mapping[str, Any], seen: Mapping[str, Any]) -> list[str]:
    """Where the answers of a call differ; what only one era has does not count."""
    return list(differences("call", _without_era(own), _without_era(seen)))


def _without_era(answer: Mapping[str, Any]) -> dict[str, Any]:
    result = {name: value for name, value in answer.get("result", {}).items() if name not in _OF_ERAS}
    return {**answer, "result": result} if "result" in answer else dict(answer)


def differences(path: str, own: Any, seen: Any) -> Iterator[str]:
    """Each path at which two JSON values differ."""
    if isinstance(own, dict) and isinstance(seen, dict):
        for name in sorted(own.keys() | seen.keys()):
            yield from differences(f"{path}/{name}", own.get(name, _NOTHING), seen.get(name, _NOTHING))
    elif isinstance(own, list) and isinstance(seen, list) and len(own) == len(seen):
        for number, (one, other) in enumerate(zip(own, seen, strict=True)):
            yield from differences(f"{path}/{number}", one, other)
    elif own != seen or type(own) is not type(seen):
        yield f"{path}: {own!r} directly, {seen!r} through the gateway"


class _Nothing:
    def __repr__(self) -> str:
        return "nothing"


_NOTHING = _Nothing()
