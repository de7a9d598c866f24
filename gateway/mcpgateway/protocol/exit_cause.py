"""What went wrong, out of all that a program said before it ended.

Programs name the cause first, before pages of usage (cobra, Go's flag), in the middle (Node.js, Rust), or last (Python, argparse,
Java's "Caused by"). Each line gets a weight by the forms that runtimes and command-line libraries use.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile
from typing import Final

_STYLE: Final = re.compile(r"(?:\x1b|\\x1b|<U\+001B>)\[[0-9;]*m")  # colours, as programs and bridges write them
_MAX_JOINED: Final = 2  # further lines that complete a cause which ends in a colon

_NOISE: Final = re.compile(
    r"""
    \s+at\s .*                                        # a frame: Node.js, Java
    | \s+File\s" .*                                   # a frame: Python
    | goroutine\s\d .* | \s+/\S+\.go:\d+ .* | \S+\(.*\)$ | exit\sstatus\s\d+  # Go
    | \s*\d+:\s .* | stack\sbacktrace: .* | note:\srun\swith .*               # Rust
    | Traceback\s\( .* | During\shandling\sof .* | The\sabove\sexception .*   # Python
    | Node\.js\sv\d .* | node:\S+:\d+ | file://\S+:\d+ | /\S+\.[cm]?[jt]s:\d+ # Node.js
    | npm\s(?:error|ERR!)\s(?:code|errno|syscall|path|dest|A\scomplete\slog|\d+$|A\s) .* | npm\s(?:notice|warn) .*
    | [\s\^~|}{\])(\[;,>-]*                           # blank, marks, brackets
    | [╭╰]─ .*                                        # rich
    | (?:Try\s|Run\s|For\smore\sinformation|See\s') .*
    | .*\b(?:Deprecation|Future|User|Runtime)Warning\b .* | \(node:\d+\) .* | \(Use\s`node .*
    """,
    re.VERBOSE,
)
_USAGE: Final = re.compile(r"\s*usage\b", re.IGNORECASE)
_STRONG: Final = re.compile(  # forms that runtimes and libraries have for the cause
    r"""
    (?:[\w.]+\.)?\w*(?:Error|Exception|Exit|Failure|Panic)\b(?:\s\[\w+\])?(?::\s .* | $)   # Python, Node.js
    | Uncaught\s .* | Caused\sby:\s? .* | Exception\sin\sthread\s .*
    | (?:error|fatal|fatal\serror|panic|critical|abort(?:ed)?)(?:\[\w+\])?:\s .*
    | (?:\S*:\s)+(?:error|fatal):\s .*                          # argparse, git, compilers
    | thread\s.*\spanicked\sat .*
    | npm\s(?:error|ERR!)\s .*
    | .*\b(?:level|severity)"?\s?[=:]\s?"?(?:error|fatal|panic|critical)\b .*
    | (?:\S+\s)?(?:\[?(?:ERROR|FATAL|CRITICAL|SEVERE)\]?)\b .*
    | \s*×\s .* | │\s.*│                                        # uv, rich
    """,
    re.VERBOSE | re.IGNORECASE,
)
_WEAK: Final = re.compile(
    r"\b(?:fail(?:ed|ure|s)?|cannot|can't|could not|couldn't|unable|not found|no such|not set|must be|missing|required|requires"
    r"|invalid|unknown|unexpected|unrecognized|not defined|not exist|denied|refused|forbidden|unauthorized|in use|timed out"
    r"|expired|killed)\b",
    re.IGNORECASE,
)
_LAST_COUNTS: Final = re.compile(
    r"Caused by:|Exception in thread |(?:[\w.]+\.)?\w*(?:Error|Exception|Exit)\b(?: \[\w+\])?(?::|$)"
)  # the later is the cause


_INNER_CAUSE: Final = re.compile(r"\s+caused?(?: by)?: *(.+)", re.IGNORECASE)  # uv, Rust's anyhow


def cause(stderr: Sequence[str], stdout: Sequence[str] = ()) -> str:
    """The line that says what went wrong, completed by those that follow if it ends in a colon; empty if there is none.

    Args:
        stderr: What the program wrote to stderr, in its order; the middle may be left out.
        stdout: What it wrote to stdout besides messages; it counts only if stderr says nothing.
    """
    for lines in (_plain(stderr), _plain(stdout)):
        weights = _weights(lines)
        best = max(weights, default=0)
        if best:
            return _completed(lines, _chosen(lines, weights, best))
    rest = [line.strip() for lines in (_plain(stderr), _plain(stdout)) for line in lines if line.strip()]
    return rest[-1] if rest else ""


def _plain(lines: Sequence[str]) -> list[str]:
    return [_STYLE.sub("", line).rstrip() for line in lines]


def _weights(lines: Sequence[str]) -> list[int]:
    weights: list[int] = []
    in_usage = False
    for line in lines:
        if _USAGE.match(line):
            in_usage = True
            if weights and weights[-1] == _PLAIN:
                weights[-1] += 1  # what comes just before a usage text is why it is shown
        strong = bool(_STRONG.fullmatch(line)) and not _NOISE.fullmatch(line)
        in_usage = in_usage and not strong
        weights.append(_STRONGEST if strong else _NOTHING if in_usage or _NOISE.fullmatch(line) else _weight(line))
    return weights


_NOTHING, _PLAIN, _WORDED, _STRONGEST = 0, 1, 3, 5


def _weight(line: str) -> int:
    weight = _WORDED if _WEAK.search(line) else _PLAIN
    return weight - 1 if line[:1].isspace() and weight > _PLAIN else weight  # indented: it belongs to another line


def _chosen(lines: Sequence[str], weights: Sequence[int], best: int) -> int:
    """Of several lines of the greatest weight the first, but of exceptions the last, and of plain lines the last."""
    having = [number for number, weight in enumerate(weights) if weight == best]
    if best <= _PLAIN:
        return having[-1]
    if _LAST_COUNTS.match(lines[having[-1]]) and _LAST_COUNTS.match(lines[having[0]]):
        return having[-1]
    return having[0]


def _completed(lines: Sequence[str], number: int) -> str:
    text = lines[number].strip(" \t│")
    following = list(takewhile(str.strip, lines[number + 1 : number + 1 + _MAX_JOINED]))
    if following and (inner := _INNER_CAUSE.match(following[0])):
        return f"{text}: {inner[1]}"
    for line in following:
        if not text.endswith(":") and "validation error" not in text:
            break
        text = f"{text} {line.strip().removeprefix('╰─▶').strip()}"
    return text
