"""Inspector's command line as a client: PLAN URL TOKEN and the command that runs it → what it has seen, as JSON.

Each request is a process and a session of its own, so it makes the first two calls only, and reports no notifications.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

LISTS = {
    "tools": ["--method", "tools/list"],
    "prompts": ["--method", "prompts/list"],
    "resources": ["--method", "resources/list"],
    "templates": ["--method", "resources/templates/list"],
}


def given(flag: str, arguments: dict[str, Any]) -> list[str]:
    words = {name: value if isinstance(value, str) else json.dumps(value) for name, value in arguments.items()}
    return [part for name, word in words.items() for part in (flag, f"{name}={word}")]


def requests(plan: dict[str, Any]) -> Iterable[tuple[str, list[str]]]:
    yield from LISTS.items()
    for call in plan["calls"][:2]:
        yield "called", ["--method", "tools/call", "--tool-name", call["name"], *given("--tool-arg", call["arguments"])]
    for prompt in plan["prompts"]:
        yield "got", ["--method", "prompts/get", "--prompt-name", prompt["name"], *given("--prompt-args", prompt["arguments"])]
    for uri in plan["resources"]:
        yield "read", ["--method", "resources/read", "--uri", uri]


def main(plan: str, url: str, token: str, *program: str) -> None:
    reached = [*program, "--cli", url, "--transport", "http", "--header", f"Authorization: Bearer {token}"]

    def ask(request: tuple[str, list[str]]) -> Any:
        done = subprocess.run([*reached, *request[1]], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
        return json.loads(done.stdout)

    all_of_them = list(requests(json.loads(plan)))
    seen: dict[str, Any] = {"version": "", "progress": [], "logs": [], "called": [], "got": [], "read": []}
    with ThreadPoolExecutor(4) as pool:
        for (kind, _), answer in zip(all_of_them, pool.map(ask, all_of_them), strict=True):
            if kind in LISTS:
                seen[kind] = next(value for key, value in answer.items() if isinstance(value, list))
            else:
                seen[kind].append(answer)
    sys.stdout.write(json.dumps(seen) + "\n")


main(*sys.argv[1:])
