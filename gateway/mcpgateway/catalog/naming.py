"""The names under which tools and prompts of several servers share one list.

A name belongs to the configured server with the longest name that it begins with, separator included, whatever that server
offers now. A name that would begin like another server's ends in a hash; so does one that not every client accepts, and one that
ends like a hash. So two servers' names never meet, and a new server renames only what begins with its name and the separator,
and with `OnConflict` the tools that it has, too.
Source: MCP specification 2025-11-25, "Tools", tool names: 1 to 128 of A-Z a-z 0-9 _ - .; cut to the 64 characters of
[A-Za-z0-9_-] that model providers accept.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Container
from typing import Final

from ..config import ToolNames

MAX_NAME: Final = 64  # characters
_HASH: Final = 8  # hexadecimal digits
_FORBIDDEN: Final = re.compile(r"[^A-Za-z0-9_-]")
_PLAIN: Final = re.compile(rf"(?!.*_[0-9a-f]{{{_HASH}}}\Z)[A-Za-z0-9_-]{{1,{MAX_NAME}}}")


class Namer:
    """Gives names by the configured policy; the same name for the same tool, in whatever order it is asked."""

    def __init__(self, naming: ToolNames, servers: Collection[str]) -> None:
        self._naming = naming
        self._servers = frozenset(servers)
        self._longest = max(map(len, self._servers), default=0)

    @property
    def avoids_conflicts(self) -> bool:
        """Whether a name depends on whether another server has a tool of the same name."""
        return self._naming.prefix == "OnConflict"

    def context(self, server: str) -> object:
        """What the names of a server's tools depend on besides these and conflicts: equal values, equal names."""
        if self._naming.prefix == "Never":
            return self._naming
        if self._naming.prefix == "OnConflict":
            return self._naming, self._servers
        prefix = f"{server}{self._naming.separator}"
        return self._naming, frozenset(other for other in self._servers if f"{other}{self._naming.separator}".startswith(prefix))

    @property
    def renames(self) -> bool:
        """Whether a name that is taken gets another in its place; else its tool is hidden."""
        return self._naming.prefix != "Never"

    def name(self, server: str, own: str, *, conflict: bool) -> str:
        """What a server's tool is called; `conflict`: another server has one of the same name."""
        if self._naming.prefix == "Never":
            return fit(own)
        if self._naming.prefix == "OnConflict" and not conflict and self._owner(own) in (None, server):
            return fit(own)
        name = f"{server}{self._naming.separator}{own}"
        return fit(name) if self._owner(name) == server else hashed(name, f"{server}\0{own}")

    def _owner(self, name: str) -> str | None:
        """The server with the longest name that a name begins with."""
        separator = self._naming.separator
        end = name.rfind(separator, 0, self._longest + len(separator))
        while end >= 0:
            if name[:end] in self._servers:
                return name[:end]
            end = name.rfind(separator, 0, end + len(separator) - 1)
        return None


def fit(name: str) -> str:
    """A name that every client accepts; one that had to be changed ends in a hash of the original, so that it stays unique."""
    return name if _PLAIN.fullmatch(name) else hashed(name, name)


def hashed(name: str, key: str) -> str:
    """A name as far as clients accept it, and a hash of what it stands for."""
    digest = hashlib.sha256(key.encode()).hexdigest()[:_HASH]
    return f"{_FORBIDDEN.sub('_', name[: MAX_NAME - _HASH - 1])}_{digest}"


def untaken(name: str, server: str, own: str, taken: Container[str]) -> str:
    """The name itself, or the first of the hashed ones after it that is not taken: two hashes may be equal."""
    number = 0
    while name in taken:
        number += 1
        name = hashed(name[: MAX_NAME - _HASH - 1], f"{server}\0{own}\0{number}")
    return name
