"""Whether a URI template can have made a URI: wide enough to find the server of a URI, in time linear in the URI's length.

An expression within a path segment (no operator) matches text without "/", one with an operator matches anything. Between two
with operators, one without matches anything, too: then leftmost matches of the literal parts are right, and no place is tried
twice.
Source: RFC 6570; a variable's value is percent-encoded, so that it contains no "/" unless the operator reserves it (section 3.2).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

MAX_URI: Final = 8192  # characters of a URI or template; RFC 9110 section 4.1 recommends at least 8000 octets

_EXPRESSION: Final = re.compile(r"\{([+#./;?&]?)[^{}]*+\}")


@dataclass(frozen=True, slots=True)
class UriTemplate:
    """The literal parts of a template; between two of them is an expression."""

    head: tuple[str, ...]  # up to the first expression with an operator; all parts where there is none
    middle: tuple[str, ...] = ()
    tail: tuple[str, ...] | None = None  # after the last expression with an operator; None: there is none

    @classmethod
    def parse(cls, template: str) -> UriTemplate:
        """Every text is a template; what is no expression is literal."""
        groups: list[list[str]] = [[]]
        end = 0
        for expression in _EXPRESSION.finditer(template):
            groups[-1].append(template[end : expression.start()])
            if expression[1]:
                groups.append([])
            end = expression.end()
        groups[-1].append(template[end:])
        if len(groups) == 1:
            return cls(tuple(groups[0]))
        middle = [part for group in groups[1:-1] for part in group]
        return cls(tuple(groups[0]), tuple(middle), tuple(groups[-1]))

    def matches(self, uri: str) -> bool:
        """Whether the template can have made the URI; never for one of over MAX_URI characters."""
        if len(uri) > MAX_URI:
            return False
        if self.tail is None:
            return self._matches_segments(uri)
        start, end = _end_of(self.head, uri), _start_of(self.tail, uri)
        for part in self.middle:
            if start is None:
                return False
            place = uri.find(part, start)
            start = None if place < 0 else place + len(part)
        return start is not None and end is not None and start <= end

    def _matches_segments(self, uri: str) -> bool:
        *parts, last = self.head
        if not parts:
            return uri == last
        start, end = _end_of(tuple(parts), uri), len(uri) - len(last)
        return start is not None and start <= end and uri.endswith(last) and uri.find("/", start, end) < 0


def _end_of(parts: tuple[str, ...], uri: str) -> int | None:
    """Where the parts end at the earliest, if the URI begins with them and no "/" is between two."""
    if not uri.startswith(parts[0]):
        return None
    end = len(parts[0])
    for part in parts[1:]:
        place = uri.find(part, end)
        if place < 0 or uri.find("/", end, place) >= 0:
            return None
        end = place + len(part)
    return end


def _start_of(parts: tuple[str, ...], uri: str) -> int | None:
    """Where the parts begin at the latest, if the URI ends with them and no "/" is between two."""
    if not uri.endswith(parts[-1]):
        return None
    start = len(uri) - len(parts[-1])
    for part in parts[-2::-1]:
        place = uri.rfind(part, 0, start)
        if place < 0 or uri.find("/", place + len(part), start) >= 0:
            return None
        start = place
    return start


parse = lru_cache(maxsize=4096)(UriTemplate.parse)
