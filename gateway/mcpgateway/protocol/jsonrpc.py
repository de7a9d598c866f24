"""JSON-RPC 2.0 envelopes on raw bytes: decoded only as deep as routing needs; params and results stay bytes.

Source: JSON-RPC 2.0 section 4 and 5; MCP specification, basic protocol (ids are strings or integers, never null).
"""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from .codes import HEADER_MISMATCH as HEADER_MISMATCH
from .codes import INTERNAL_ERROR as INTERNAL_ERROR
from .codes import INVALID_PARAMS as INVALID_PARAMS
from .codes import INVALID_REQUEST as INVALID_REQUEST
from .codes import METHOD_NOT_FOUND as METHOD_NOT_FOUND
from .codes import MISSING_CAPABILITY as MISSING_CAPABILITY
from .codes import PARSE_ERROR as PARSE_ERROR
from .codes import RESOURCE_NOT_FOUND as RESOURCE_NOT_FOUND
from .codes import UNSUPPORTED_VERSION as UNSUPPORTED_VERSION
from .codes import BatchError as BatchError
from .codes import ProtocolError as ProtocolError
from .decoder import PARSE_FAILURES, Decoder, reason
from .decoder import canonical as canonical
from .decoder import dump as dump
from .decoder import items as items
from .decoder import members as members
from .decoder import members_or_none as members_or_none
from .decoder import one_line as one_line
from .decoder import text as text
from .decoder import texts as texts
from .decoder import value as value
from .visible_text import message_text

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_ID: Final = re.compile(rb'"id"\s*+:\s*+("[^"\\]*+"|-?[0-9]++)')
_DOUBLE: Final = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?")
_MAX_DOUBLE: Final = 32  # characters
_ID_RANGE: Final = 64 << 10  # bytes at both ends of a message in which its id is looked for


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """The outermost object of one message; its members say what it is."""

    jsonrpc: str
    id: Raw | UnsetType = UNSET
    method: str | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


_envelope = Decoder(Envelope)
_parse = _envelope.parse


def decode(body: bytes) -> Envelope:
    """Decode one message; a byte order mark and white space around it are skipped (RFC 8259 section 8.1).

    Raises: ProtocolError with the code that the specification names; it is a BatchError for an array.
    """
    try:
        if not body.isascii():
            body.decode()
        envelope = _parse(body)
    except PARSE_FAILURES as error:
        envelope = _recover(body.removeprefix(BYTE_ORDER_MARK), error)
    if envelope.jsonrpc != "2.0":
        raise ProtocolError(INVALID_REQUEST, 'the member "jsonrpc" must be "2.0"')
    if envelope.id is UNSET or valid_id(bytes(envelope.id)) or _is_nameless_error(envelope):
        return envelope
    integer = _integer(bytes(envelope.id)) if envelope.method is UNSET else None
    if integer is None:
        raise ProtocolError(INVALID_REQUEST, "the id must be a string or an integer, not null")
    return msgspec.structs.replace(envelope, id=Raw(integer))


def _integer(raw: bytes) -> bytes | None:
    """The integer that a number equals: some servers read an id as a double, and write 5.0 or 1.0E7 for it."""
    if len(raw) > _MAX_DOUBLE or not _DOUBLE.fullmatch(raw):
        return None
    number = float(raw)
    return b"%d" % number if number.is_integer() and abs(number) < 2**53 else None


def _is_nameless_error(envelope: Envelope) -> bool:
    """An error about a request whose id could not be read has a null id (JSON-RPC 2.0 section 5)."""
    return envelope.method is UNSET and envelope.error is not UNSET and bytes(envelope.id) == b"null"  # type: ignore[arg-type]


def _recover(body: bytes, failure: Exception) -> Envelope:
    """Decode what the parser alone refuses, slower. Raises: ProtocolError with the code that the specification names."""
    if isinstance(failure, UnicodeDecodeError):
        raise ProtocolError(PARSE_ERROR, f"not valid JSON: {reason(failure)}") from failure
    try:
        return _envelope.decode(body)
    except ProtocolError as error:
        if not isinstance(error.__cause__, msgspec.ValidationError):
            raise ProtocolError(PARSE_ERROR, f"not valid JSON: {error.message}") from error
        if body.lstrip()[:1] == b"[":
            raise BatchError(INVALID_REQUEST, "batches are part of version 2025-03-26 only: send a single message") from error
        raise ProtocolError(INVALID_REQUEST, f"not a JSON-RPC message: {error.message}") from error


def salvage_id(body: bytes, expected: Container[bytes]) -> bytes | None:
    """The id of a response that cannot be decoded: the first that is expected, near one end. None if there is none."""
    ends = (body,) if len(body) <= 2 * _ID_RANGE else (body[:_ID_RANGE], body[-_ID_RANGE:])
    ids = (match[1] for end in ends for match in _ID.finditer(end))
    return next((id for id in ids if id in expected), None)


def legible_id(body: bytes) -> bytes:
    """The id of a message that is JSON but no valid request; null where it has none (JSON-RPC 2.0 section 5)."""
    id = bytes((members_or_none(body) or {}).get("id", b"null"))
    return id if valid_id(id) else b"null"


def valid_id(raw: bytes) -> bool:
    """Whether a raw JSON value is a string or an integer."""
    return raw[:1] == b'"' or raw.lstrip(b"-").isdigit()


def request(id: bytes, method: str, params: Raw | bytes | None = None) -> bytes:
    """One request under an id that is JSON already, without a newline."""
    head = b'{"jsonrpc":"2.0","id":' + id + b',"method":' + dump(method)
    return head + (b"}" if params is None else b',"params":' + one_line(bytes(params)) + b"}")


def notification(method: str, params: Raw | bytes | None = None) -> bytes:
    """One notification, without a newline."""
    head = b'{"jsonrpc":"2.0","method":' + dump(method)
    return head + (b"}" if params is None else b',"params":' + one_line(bytes(params)) + b"}")


def result(id: bytes, raw: Raw | bytes) -> bytes:
    """A successful response; `id` and `raw` are copied byte for byte."""
    return b'{"jsonrpc":"2.0","id":' + id + b',"result":' + bytes(raw) + b"}"


def error(id: bytes, raw: Raw | bytes) -> bytes:
    """An error response around an error object that is passed on as it is."""
    return b'{"jsonrpc":"2.0","id":' + id + b',"error":' + bytes(raw) + b"}"


def failure(id: bytes, code: int, message: str, data: Any = None) -> bytes:
    """An error response of our own; what a peer has written in its message is made visible and bounded."""
    body: dict[str, Any] = {"code": code, "message": message_text(message)}
    if data is not None:
        body["data"] = data
    return error(id, dump(body))


class _Code(msgspec.Struct, gc=False):
    code: int = 0


_code = Decoder(_Code)


def error_code(raw: Raw | bytes) -> int:
    """The code of an error object; 0 where it has none."""
    try:
        return _code.decode(raw).code
    except ProtocolError:
        return 0


def read_error(raw: Raw | bytes) -> ProtocolError:
    """The error object of a response as an exception; a member of the wrong type counts as absent."""
    fields = members_or_none(raw) or {}
    return ProtocolError(
        error_code(raw) or INTERNAL_ERROR, text(fields.get("message", UNSET)) or "", data=_value_or_none(fields.get("data"))
    )


def _value_or_none(raw: Raw | None) -> Any:
    try:
        return None if raw is None else value(raw)
    except ProtocolError:
        return None
