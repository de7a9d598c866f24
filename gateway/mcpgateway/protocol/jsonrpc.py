"""JSON-RPC 2.0 envelopes on raw bytes: decoded only as deep as routing needs; params and results stay bytes.

Source: JSON-RPC 2.0 section 4 and 5; MCP specification, basic protocol (ids are strings or integers, never null).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
RESOURCE_NOT_FOUND: Final = -32002  # legacy; the modern era says INVALID_PARAMS
HEADER_MISMATCH: Final = -32020
MISSING_CAPABILITY: Final = -32021
UNSUPPORTED_VERSION: Final = -32022


class ProtocolError(Exception):
    """A message that cannot be served: a JSON-RPC error for its sender."""

    def __init__(self, code: int, message: str, *, data: Any = None, id: bytes = b"null") -> None:
        super().__init__(message)
        self.code, self.message, self.data, self.id = code, message, data, id


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """The outermost object of one message; which members are there says what it is."""

    jsonrpc: str
    id: Raw | UnsetType = UNSET
    method: str | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


_decoder = msgspec.json.Decoder(Envelope)
_members = msgspec.json.Decoder(dict[str, Raw])
_encode = msgspec.json.Encoder().encode


def decode(body: bytes) -> Envelope:
    """Decode one message. Raises: ProtocolError with the code that the specification names."""
    try:
        if not body.isascii():
            body.decode()
        envelope = _decoder.decode(body)
    except msgspec.ValidationError as error:
        if body.lstrip()[:1] == b"[":
            raise ProtocolError(INVALID_REQUEST, "batches are not part of this protocol: send one message a request") from error
        raise ProtocolError(INVALID_REQUEST, f"not a JSON-RPC message: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProtocolError(PARSE_ERROR, f"not valid JSON: {error}") from error
    except RecursionError as error:
        raise ProtocolError(PARSE_ERROR, "nested too deeply") from error
    if envelope.jsonrpc != "2.0":
        raise ProtocolError(INVALID_REQUEST, 'the member "jsonrpc" must be "2.0"')
    if envelope.id is not UNSET and not valid_id(bytes(envelope.id)):
        raise ProtocolError(INVALID_REQUEST, "the id must be a string or an integer, not null")
    return envelope


def valid_id(raw: bytes) -> bool:
    """Whether a raw JSON value is a string or an integer."""
    return raw[:1] == b'"' or raw.lstrip(b"-").isdigit()


def members(raw: Raw | bytes | UnsetType) -> dict[str, Raw]:
    """The members of an object, each still raw; absent means empty. Raises: ProtocolError if it is no object."""
    if raw is UNSET:
        return {}
    try:
        return _members.decode(raw)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ProtocolError(INVALID_PARAMS, "params must be an object") from error


def members_or_none(raw: Raw | UnsetType) -> dict[str, Raw] | None:
    """The members of an object, each still raw; absent means empty, and None that it is no object."""
    try:
        return members(raw)
    except ProtocolError:
        return None


def dump(value: Any) -> bytes:
    """Compact JSON; Raw members are copied as they are."""
    return _encode(value)


def one_line(raw: bytes) -> bytes:
    """The same JSON without line breaks: outside strings they are white space, inside they cannot occur (RFC 8259 section 7)."""
    if b"\n" in raw or b"\r" in raw:
        return raw.replace(b"\n", b" ").replace(b"\r", b" ")
    return raw


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
    """An error response of our own."""
    body: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        body["data"] = data
    return error(id, dump(body))


class _Code(msgspec.Struct, gc=False):
    code: int = 0


_code = msgspec.json.Decoder(_Code)


def error_code(raw: bytes) -> int:
    """The code of an error object; 0 where it has none."""
    try:
        return _code.decode(raw).code
    except (msgspec.MsgspecError, RecursionError):
        return 0


_items = msgspec.json.Decoder(list[Raw])
_text = msgspec.json.Decoder(str)


def items(raw: Raw) -> list[Raw]:
    """The items of an array, each still raw. Raises: ProtocolError if it is no array."""
    try:
        return [Raw(bytes(item)) for item in _items.decode(raw)]
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ProtocolError(INVALID_PARAMS, "not an array") from error


def text(raw: Raw | UnsetType) -> str | None:
    """A JSON string's text, or None for anything else."""
    if raw is UNSET:
        return None
    try:
        return _text.decode(raw)
    except msgspec.MsgspecError:
        return None
