"""Arrays of messages, which only protocol version 2025-03-26 has.

Source: JSON-RPC 2.0 section 6; MCP specification 2025-03-26, "Base Protocol", "Batching". Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw

from . import jsonrpc
from .codes import ProtocolError
from .decoder import Decoder

MAX_BATCH: Final = 100  # messages

# A record of so many fields, and not a list: the parser stops at the first message that is too many.
_Messages: type[Any] = msgspec.defstruct(
    "Messages", [(f"m{n}", Raw, UNSET) for n in range(MAX_BATCH)], array_like=True, forbid_unknown_fields=True
)
_decoder: Decoder[Any] = Decoder(_Messages)


def messages(body: bytes) -> list[bytes]:
    """The messages of a batch, each still raw. Raises: ProtocolError if it is empty, or has too many."""
    try:
        decoded = _decoder.decode(body.removeprefix(jsonrpc.BYTE_ORDER_MARK))
    except ProtocolError as error:
        if isinstance(error.__cause__, msgspec.ValidationError):
            raise ProtocolError(jsonrpc.INVALID_REQUEST, f"a batch has at most {MAX_BATCH} messages: send several") from error
        raise ProtocolError(jsonrpc.PARSE_ERROR, f"not valid JSON: {error.message}") from error
    raw = [bytes(message) for message in msgspec.structs.astuple(decoded) if message is not UNSET]
    if not raw:
        raise ProtocolError(jsonrpc.INVALID_REQUEST, "the batch is empty: send at least one message")
    return raw


def array(answers: Iterable[bytes]) -> bytes:
    """Responses as one batch."""
    return b"[" + b",".join(answers) + b"]"


def refusal(message: bytes) -> bytes | None:
    """The response to a member of a batch that cannot be served there; None to one that can."""
    try:
        envelope = jsonrpc.decode(message)
    except ProtocolError as error:
        return jsonrpc.failure(jsonrpc.legible_id(message), error.code, error.message, error.data)
    if envelope.method == "initialize":
        id = b"null" if envelope.id is UNSET else bytes(envelope.id)
        return jsonrpc.failure(id, jsonrpc.INVALID_REQUEST, "initialize must not be part of a batch: send it by itself")
    return None
