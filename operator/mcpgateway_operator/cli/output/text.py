"""Text that is safe to print, and the nearest right word to a wrong one. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from datetime import UTC, datetime

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_NEAR = 0.1  # of the likeness of the nearest word, within which others are named, too
_UNITS = ((86400, "d"), (3600, "h"), (60, "m"))


def visible(text: str) -> str:
    """Text of a server without the control characters by which it could rewrite a terminal; line breaks and tabs stay."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def one_line(text: str) -> str:
    """Visible text in one line."""
    return visible(" ".join(text.split()))


def suggestion(word: str, options: Iterable[str]) -> str:
    """What to write in place of a wrong word: the nearest options, else all of them."""
    choices = sorted(options)
    near = difflib.get_close_matches(word, choices, n=3, cutoff=0.6)
    if near:
        best = _likeness(word, near[0])
        close = [repr(option) for option in near if _likeness(word, option) > best - _NEAR]
        return f"did you mean {' or '.join(close)}?"
    return f"there is {', '.join(map(repr, choices[:12]))}{', …' if len(choices) > 12 else ''}" if choices else "there is none"


def _likeness(word: str, option: str) -> float:
    return difflib.SequenceMatcher(None, option, word).ratio()


def age(since: str, *, now: datetime) -> str:
    """Time since an RFC 3339 timestamp in one unit, as kubectl has it: 3d, 5m, 12s; empty where it cannot be read."""
    try:
        then = datetime.fromisoformat(since)
    except ValueError:
        return ""
    seconds = max(0, int((now - (then if then.tzinfo else then.replace(tzinfo=UTC))).total_seconds()))
    return next((f"{seconds // size}{unit}" for size, unit in _UNITS if seconds >= 2 * size), f"{seconds}s")


def binary_size(count: float) -> str:
    """Bytes as a quantity of Kubernetes, for example 12Mi."""
    for unit in ("", "Ki", "Mi"):
        if count < 1024:
            return f"{count:.0f}{unit}"
        count /= 1024
    return f"{count:.1f}Gi"
