"""What is fetched by a name that may mean something else tomorrow: actions, base images and node images without a digest.

`python -m tests.support.pins` lists them all, and ends with 1 if there are any (`make pins`); with `--actions` only actions
(`make checks`).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from .images import FOR_USERS
from .paths import ROOT

_ACTION = re.compile(r"uses: (\S+)")
_PINNED_ACTION = re.compile(r"@[0-9a-f]{40}$")
_BASE = re.compile(r"^ARG (\w+_IMAGE)=(\S+)", re.MULTILINE)
_NODE = re.compile(r"kindest/node:\S+")


def bases() -> dict[str, str]:
    """The base images of our images, by their build argument. Raises: ValueError if two Dockerfiles differ."""
    named: dict[str, str] = {}
    for image in FOR_USERS:
        for argument, base in _BASE.findall((ROOT / image.dockerfile).read_text()):
            if named.setdefault(argument, base) != base:
                raise ValueError(f"{image.dockerfile}: {argument} is {base}, elsewhere {named[argument]}")
    return named


def unpinned_actions() -> Iterator[str]:
    """Actions by tag or branch."""
    for workflow in sorted((ROOT / ".github" / "workflows").glob("*.yaml")):
        for action in _ACTION.findall(workflow.read_text()):
            if not _PINNED_ACTION.search(action):
                yield f"{workflow.name}: {action}"


def unpinned_images() -> Iterator[str]:
    """Images by tag."""
    yield from (f"{argument}={base}" for argument, base in bases().items() if "@sha256:" not in base)
    for workflow in sorted((ROOT / ".github" / "workflows").glob("*.yaml")):
        yield from (f"{workflow.name}: {node}" for node in _NODE.findall(workflow.read_text()) if "@sha256:" not in node)


def main(*arguments: str) -> int:
    """Print what is not pinned. Returns: the exit code."""
    listed = [*unpinned_actions(), *([] if "--actions" in arguments else unpinned_images())]
    for line in listed:
        print(f"not pinned by digest: {line}")
    return 1 if listed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
