"""The log level that each legacy session wants.

Source: MCP specification 2025-11-25, "Logging".
"""

from __future__ import annotations

from msgspec import UNSET, Raw

from ..protocol import jsonrpc, request_meta

_HIGHEST = len(request_meta.LOG_LEVELS)


class LogLevels:
    """The sessions' levels, for the servers that they have not used yet."""

    def __init__(self) -> None:
        self._levels: dict[str, bytes] = {}

    def set(self, key: str, params: bytes) -> None:
        """Keep the params of a session's logging/setLevel."""
        self._levels[key] = params

    def get(self, key: str) -> bytes | None:
        """The params of the session's last logging/setLevel."""
        return self._levels.get(key)

    def forget(self, key: str) -> None:
        """A session is over."""
        self._levels.pop(key, None)

    def holds(self, key: str) -> bool:
        """Whether something is kept for a session."""
        return key in self._levels


def level_of(params: Raw) -> int:
    """The index of a log message's level; above the highest where the specification has no such level."""
    try:
        level = jsonrpc.text(jsonrpc.members(params).get("level", UNSET))
    except jsonrpc.ProtocolError:
        level = None
    return request_meta.LOG_LEVELS.index(level) if level in request_meta.LOG_LEVELS else _HIGHEST
