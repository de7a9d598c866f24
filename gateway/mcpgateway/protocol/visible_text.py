"""Text from servers that people and models read: characters that are not seen, or that change what is seen, are made visible.

Each is replaced by its code point in angle brackets, `<U+202E>`: nothing is lost, a reviewer sees what was there, and a terminal
or a model gets no instruction from it. These are:

- C0 and C1 controls but for tab, line feed and CR LF: terminals act on them (ECMA-48).
- Bidirectional embeddings, overrides and isolates, U+202A to U+202E and U+2066 to U+2069: they show text in another order than
  it has (Unicode Standard Annex 9, section 2; Unicode Technical Standard 55, section 3). The implicit marks U+200E, U+200F and
  U+061C stay: they take no other text with them.
- Line and paragraph separators, U+2028 and U+2029: the end of a line to some readers only.
- Tag characters, U+E0000 to U+E007F: invisible, and read by models (deprecated but for flags: Unicode 16.0, section 23.9;
  Unicode Technical Standard 39, section 3.1 excludes them from identifiers).
"""

from __future__ import annotations

import re
from typing import Final

MAX_MESSAGE: Final = 1024  # characters of an error's message or a server's lastError

_HIDDEN: Final = re.compile(
    "\\r(?!\\n)|[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069\\U000e0000-\\U000e007f]"
)

# The same in JSON: escaped, or (but for C0) as it is. What is escaped twice is text about an escape, and stays.
_JSON_SUSPECT: Final = re.compile(
    rb"\\(?:u(?:00(?:[01]|7[fF]|[89])|20(?:2[89aAbBcCdDeE]|6[6-9])|[dD][bB]40)|[bf]|r(?!\\n))"
    rb"|\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]|\xe2\x81[\xa6-\xa9]|\xf3\xa0[\x80\x81]"
)
_HARMLESS: Final = bytes(code for code in range(256) if code not in b"\\\x7f\xc2\xe2\xf3")  # begin none of these
_HIDDEN_ESCAPE: Final = (
    r"\\[bf]|\\r(?!\\n)"
    r"|\\u00(?:0[0-8bBcCeEfF]|1[0-9a-fA-F]|7[fF]|[89][0-9a-fA-F])"
    r"|\\u000[dD](?!\\n)"
    r"|\\u20(?:2[89aAbBcCdDeE]|6[6-9])"
    r"|\\u[dD][bB]40\\u[dD][cC][0-7][0-9a-fA-F]"
)
_HIDDEN_BARE: Final = "\x7f-\x9f\u2028-\u202e\u2066-\u2069\U000e0000-\U000e007f"
# What is before the next hidden character, and that character; nothing is tried twice, so it is linear.
_UP_TO_HIDDEN: Final = re.compile(
    rf"((?:[^\\{_HIDDEN_BARE}]++|(?!{_HIDDEN_ESCAPE})\\(?:r\\n|.))*+)({_HIDDEN_ESCAPE}|[{_HIDDEN_BARE}]|\Z)", re.DOTALL
)
_SHORT: Final = {"\\b": 0x08, "\\f": 0x0C, "\\r": 0x0D}


def visible(text: str) -> str:
    """The same text with hidden characters shown."""
    return _HIDDEN.sub(lambda match: _shown(ord(match[0])), text)


def message_text(text: str) -> str:
    """Text in a message of ours, whoever has written it: hidden characters shown, and at most MAX_MESSAGE characters."""
    shown = visible(text[: MAX_MESSAGE + 1].encode(errors="replace").decode())
    return shown if len(shown) <= MAX_MESSAGE else shown[: MAX_MESSAGE - 1] + "…"


def visible_json(raw: bytes) -> bytes:
    """The same JSON with hidden characters shown in all its strings; the very same object where there are none."""
    if not raw.translate(None, _HARMLESS) or not _JSON_SUSPECT.search(raw):
        return raw
    return _UP_TO_HIDDEN.sub(_shown_in_json, raw.decode(errors="replace")).encode()


def hidden_count(raw: bytes) -> int:
    """How many hidden characters JSON has at most."""
    return len(_JSON_SUSPECT.findall(raw)) if raw.translate(None, _HARMLESS) else 0


def _shown_in_json(match: re.Match[str]) -> str:
    before, hidden = match.groups()
    return before + _shown(_code(hidden)) if hidden else before


def _code(hidden: str) -> int:
    """The code point of a character or of its escape in JSON."""
    if hidden[0] != "\\":
        return ord(hidden)
    if len(hidden) == 2:
        return _SHORT[hidden]
    if len(hidden) == 12:  # a surrogate pair
        return 0xE0000 + int(hidden[8:], 16) - 0xDC00
    return int(hidden[2:], 16)


def _shown(code: int) -> str:
    return f"<U+{code:04X}>"
