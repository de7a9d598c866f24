"""Decoding of JSON from peers: a value or one `ProtocolError`, nothing else, whatever the bytes are.

The parser refuses text with an unpaired surrogate (`"\\ud83d"`, half of an emoji that a program has cut), which RFC 8259
section 8.2 permits. Where it occurs, the text is decoded with a stand-in for it, and what stays raw gets its own bytes back.
Source: RFC 8259.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any, Final, Generic, TypeVar, cast

import msgspec
from msgspec import UNSET, Raw, UnsetType

from . import codes
from .codes import ProtocolError

T = TypeVar("T")

PARSE_FAILURES: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

# Stand-ins are noncharacters (Unicode 16.0, section 23.7), which no text has to contain; one that a text contains is not used.
_STAND_INS: Final = tuple(map(chr, range(0xFDD0, 0xFDF0)))
_UNPAIRED: Final = re.compile(  # the first two bytes of each
    rb"\\u(?=[dD][89a-fA-F])(?:(?=.[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2}))"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u)(?=.[c-fC-F][0-9a-fA-F]{2}))"
)
# A text that is searched for unpaired surrogates has at most so many bytes, escapes of surrogates, and escaped backslashes.
MAX_SEARCHED: Final = 1 << 20
MAX_SURROGATES: Final = 50_000
MAX_BACKSLASHES: Final = 50_000
MAX_COMPARED: Final = 10_000  # arrays and objects of a text that is compared or digested by its value


class Decoder(Generic[T]):
    """Decodes JSON text to one type."""

    __slots__ = ("parse",)

    def __init__(self, type: type[T]) -> None:
        self.parse: Callable[[Raw | bytes], T] = msgspec.json.Decoder(type).decode  # raises PARSE_FAILURES; see `recover`

    def decode(self, raw: Raw | bytes, *, what: str = "", code: int = codes.INVALID_PARAMS) -> T:
        """The value; `what` replaces the parser's words in the error. Raises: ProtocolError (`code`)."""
        try:
            return self.parse(raw)
        except PARSE_FAILURES as error:
            return self.recover(raw, error, what=what, code=code)

    def recover(self, raw: Raw | bytes, failure: Exception, *, what: str = "", code: int = codes.INVALID_PARAMS) -> T:
        """The value of what `parse` has refused, if surrogates were the reason. Raises: ProtocolError (`code`)."""
        stand_in = StandIn.of(bytes(raw)) if isinstance(failure, msgspec.DecodeError) else None
        if stand_in is None:
            raise ProtocolError(code, what or reason(failure)) from failure
        try:
            return cast("T", stand_in.restored(self.parse(stand_in.text)))
        except PARSE_FAILURES as error:
            raise ProtocolError(code, what or reason(error)) from error


class StandIn:
    """A JSON text in which noncharacters stand for unpaired surrogates, and the way back."""

    __slots__ = ("_backslash", "_surrogate", "text")

    def __init__(self, body: bytes, *, backslash: str, surrogate: str) -> None:
        self._backslash, self._surrogate = backslash, surrogate
        mark = _escape(surrogate)
        # Escaped backslashes go first: in `\\\\ud83d`, a backslash and five letters, is no surrogate.
        body = body.replace(b"\\\\", _escape(backslash))
        self.text = _UNPAIRED.sub(mark.replace(b"\\", b"\\\\"), body)

    @classmethod
    def of(cls, body: bytes) -> StandIn | None:
        """None where it would not help: there is no surrogate in the text, or a bound is passed, or all stand-ins occur in it."""
        if len(body) > MAX_SEARCHED or not 0 < body.count(b"\\ud") + body.count(b"\\uD") <= MAX_SURROGATES:
            return None
        if body.count(b"\\\\") > MAX_BACKSLASHES:
            return None
        lower = body.lower()
        free = (mark for mark in _STAND_INS if _escape(mark) not in lower and mark.encode() not in body)
        backslash, surrogate = next(free, ""), next(free, "")
        return cls(body, backslash=backslash, surrogate=surrogate) if surrogate else None

    def repaired(self) -> bytes:
        """The text with U+FFFD for each unpaired surrogate (Unicode 16.0, section 3.9, D93b)."""
        repaired = re.sub(re.escape(_escape(self._surrogate)) + b"....", rb"\\ufffd", self.text)
        return repaired.replace(_escape(self._backslash), b"\\\\")

    def restored(self, value: Any) -> Any:
        """A decoded value with the text as it was in what is still raw. Raises: DecodeError for a surrogate in what is not."""
        if isinstance(value, Raw):
            return Raw(bytes(value).replace(_escape(self._surrogate), b"\\u").replace(_escape(self._backslash), b"\\\\"))
        if isinstance(value, str):
            if self._surrogate in value:
                raise msgspec.DecodeError("a string has an unpaired surrogate")
            return value.replace(self._backslash, "\\")
        if isinstance(value, dict):
            return {self.restored(name): self.restored(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self.restored(item) for item in value]
        if isinstance(value, msgspec.Struct):
            fields = {name: self.restored(getattr(value, name)) for name in value.__struct_fields__}
            return msgspec.structs.replace(value, **fields)
        return value


def unpaired_count(body: bytes) -> int:
    """How many unpaired surrogates a JSON text has at most."""
    return len(_UNPAIRED.findall(body)) if b"\\ud" in body or b"\\uD" in body else 0


def _escape(mark: str) -> bytes:
    return b"\\u%04x" % ord(mark)


def reason(error: Exception) -> str:
    """What is wrong with a text, in words that contain nothing of it."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return f"not valid UTF-8 at byte {error.start}"
    return str(error)


_members = Decoder(dict[str, Raw])
_parse_members = _members.parse
_items = Decoder(list[Raw])
_text = Decoder(str)
_parse_text = _text.parse
_texts = Decoder(list[str])
_value: Decoder[Any] = Decoder(object)
_encode = msgspec.json.Encoder().encode


def members(raw: Raw | bytes | UnsetType, *, what: str = "params must be an object") -> dict[str, Raw]:
    """The members of an object, each still raw; absent means empty. Raises: ProtocolError if it is no object."""
    if raw is UNSET:
        return {}
    try:  # once or more with each call, so without another function between
        return _parse_members(raw)
    except PARSE_FAILURES as error:
        return _members.recover(raw, error, what=what)


def members_or_none(raw: Raw | bytes | UnsetType) -> dict[str, Raw] | None:
    """The members of an object, each still raw; absent means empty, and None that it is no object."""
    if raw is UNSET:
        return {}
    try:  # as above
        return _parse_members(raw)
    except PARSE_FAILURES as error:
        try:
            return _members.recover(raw, error)
        except ProtocolError:
            return None


def each_item(raw: Raw | bytes) -> Iterator[Raw]:
    """The items of an array, each still raw and copied when its turn comes. Raises: ProtocolError if it is no array."""
    return (Raw(bytes(item)) for item in _items.decode(raw, what="not an array"))


def items(raw: Raw | bytes) -> list[Raw]:
    """The items of an array, each still raw and with its own copy of the bytes. Raises: ProtocolError if it is no array."""
    return list(each_item(raw))


def text(raw: Raw | bytes | UnsetType) -> str | None:
    """A JSON string's text, or None for anything else and for a string with an unpaired surrogate."""
    if raw is UNSET:
        return None
    try:
        return _parse_text(raw)
    except PARSE_FAILURES:  # also for an unpaired surrogate, which a str cannot hold
        return None


def texts(raw: Raw | bytes) -> list[str] | None:
    """The strings of an array, or None for anything else and where one of them has an unpaired surrogate."""
    try:
        return _texts.decode(raw)
    except ProtocolError:
        return None


def value(raw: Raw | bytes, *, what: str = "") -> Any:
    """All of a value as Python objects. Raises: ProtocolError, also for numbers and nesting beyond what Python holds."""
    return _value.decode(raw, what=what)


def dump(value: Any) -> bytes:
    """Compact JSON; Raw members are copied as they are."""
    return _encode(value)


def canonical(raw: Raw | bytes) -> bytes:
    """The same bytes for the same value, however its JSON is written, to compare or to digest.

    What cannot be decoded whole stays as it is written (a number beyond a double's range, deep nesting, an unpaired surrogate),
    and so does what has more than MAX_COMPARED arrays and objects.
    """
    body = bytes(raw)
    if body.count(b"[") + body.count(b"{") > MAX_COMPARED:
        return body
    try:
        return msgspec.json.encode(value(body), order="sorted")
    except (ProtocolError, RecursionError):
        return body


def one_line(raw: bytes) -> bytes:
    """The same JSON without line breaks: outside strings they are white space, inside they cannot occur (RFC 8259 section 7)."""
    if b"\n" in raw or b"\r" in raw:
        return raw.replace(b"\n", b" ").replace(b"\r", b" ")
    return raw


STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'  # a pattern, to be compiled with DOTALL
_STRING: Final = re.compile(STRING, re.DOTALL)
_STEPS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # as signed bytes: one level in, one level out
_NOT_BRACKETS: Final = bytes(code for code in range(256) if code not in b"[]{}")


def without_strings(raw: bytes) -> bytes:
    """Valid JSON with all strings empty: what is left are brackets, numbers and the like."""
    return _STRING.sub(b'""', raw)


def deeper_than(raw: bytes, levels: int) -> bool:
    """Whether more arrays and objects than that are inside one another, in valid JSON; linear in its length."""
    if raw.count(b"[") + raw.count(b"{") <= levels:
        return False
    steps = memoryview(without_strings(raw).translate(_STEPS, _NOT_BRACKETS)).cast("b")
    return max(accumulate(steps), default=0) > levels
