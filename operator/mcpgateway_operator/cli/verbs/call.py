"""`mcpgw call`: one tool call, with arguments from flags by the tool's schema."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..bad_input import BadInputError, ToolFailedError
from ..output.screen import Screen, on_terminal
from ..output.tables import table
from ..output.text import suggestion, visible
from ..target.choose import chosen
from ..target.model import Choice
from .arguments import describe, parse_arguments, parse_json
from .session import session

_HELP = ("--help", "-h")


async def call(choice: Choice, screen: Screen, *, tool: str, tokens: Sequence[str], text: str | None) -> None:
    """Call a tool and print its result. `text`: the arguments as JSON, @FILE or - for stdin. Raises: BadInputError."""
    given = parse_json(_read(text)) if text is not None else None
    if given is not None and tokens:
        raise BadInputError(f"--json and {tokens[0]!r} are both given: use one of them")
    async with chosen(choice) as target, session(target, screen) as client:
        schema = _schema(await client.tools(), tool)
        if tokens and tokens[0] in _HELP:
            screen.lines(table(("ARGUMENT", "TYPE", "DESCRIPTION"), list(describe(schema)), width=screen.width))
            return
        arguments = given if given is not None else parse_arguments(tool, schema, tokens)
        with screen.progress(f"calling {tool}"):
            result = await client.call(tool, arguments, on_progress=_report(screen))
    _show(result, screen, tool)


def _read(text: str) -> str:
    if text == "-":
        return sys.stdin.read()
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"--json {text}: the file cannot be read: {error}") from None


def _schema(tools: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    for tool in tools:
        if tool["name"] == name:
            return dict(tool.get("inputSchema") or {})
    raise BadInputError(f"the gateway has no tool {name!r}: {suggestion(name, [tool['name'] for tool in tools])}")


def _report(screen: Screen) -> Any:
    return screen.note if on_terminal(sys.stderr) else lambda text: None


def _show(result: dict[str, Any], screen: Screen, tool: str) -> None:
    failed = bool(result.get("isError"))
    if not screen.for_people:
        screen.document(result)
    elif not failed:
        screen.lines(_text(result))
    if failed:
        raise ToolFailedError(f"{tool} failed: {' '.join(_text(result))}" if screen.for_people else f"{tool} failed")


def _text(result: dict[str, Any]) -> Iterator[str]:
    """A result for people: texts as they are, of everything else what it is."""
    content = result.get("content") or ()
    for block in content:
        if block.get("type") == "text":
            yield visible(str(block.get("text", "")))
        elif isinstance(resource := block.get("resource"), dict) and "text" in resource:
            yield visible(str(resource["text"]))
        else:
            yield _other(block)
    if not content and "structuredContent" in result:
        yield json.dumps(result["structuredContent"], indent=2)


def _other(block: dict[str, Any]) -> str:
    kind, what = block.get("type", "content"), block.get("mimeType") or block.get("uri") or ""
    size = f", {len(block['data']) * 3 // 4} bytes" if isinstance(block.get("data"), str) else ""
    return visible(f"[{kind} {what}{size}: use -o json]")
