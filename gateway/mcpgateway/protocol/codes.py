"""The codes of JSON-RPC errors, and the one exception that carries such an error to its sender.

Source: JSON-RPC 2.0 section 5.1; MCP specification 2026-07-28, "Error Codes"; 2025-11-25, "Resources" (-32002).
"""

from __future__ import annotations

from typing import Any, Final

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


class BatchError(ProtocolError):
    """An array of messages where one message is expected (JSON-RPC 2.0 section 6)."""
