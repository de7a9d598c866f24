"""The Tasks extension: a call whose result is fetched later by its task's id.

The id that a client sees names the server and the principal, signed: it survives restarts, needs no table, and is worth nothing
to others.
Source: MCP extension `io.modelcontextprotocol/tasks` (SEP-2663).
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec
from msgspec import UNSET, Raw

from ..access.keyring import KeyRing
from ..protocol import jsonrpc
from ..protocol.decoder import Decoder
from ..protocol.jsonrpc import ProtocolError

EXTENSION: Final = "io.modelcontextprotocol/tasks"
_PURPOSE: Final = b"mcp-task"


class _Name(msgspec.Struct, frozen=True, array_like=True):
    server: str
    id: str
    principal: str  # digest


_name = Decoder(_Name)


class Tasks:
    """Names tasks for clients, and finds them again."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def name(self, server: str, id: str, *, principal: str) -> str:
        """What a principal knows a server's task by."""
        return self._ring.sign(jsonrpc.dump(_Name(server, id, _digest(principal))), _PURPOSE)

    def find(self, name: str, *, principal: str) -> tuple[str, str]:
        """The server of a task, and the task's own id. Raises: ProtocolError, the same for an unknown and another's task."""
        payload = self._ring.verify(name, _PURPOSE)
        if payload is not None:
            task = _name.decode(payload)
            if task.principal == _digest(principal):
                return task.server, task.id
        raise ProtocolError(jsonrpc.INVALID_PARAMS, f"unknown task: {name[:80]!r}")

    def renamed(self, result: bytes, server: str, *, principal: str) -> bytes:
        """A result that may be a new task's: with the name that its client is to use."""
        if b'"taskId"' not in result or b'"task"' not in result:
            return result
        fields = jsonrpc.members(Raw(result))
        id = jsonrpc.text(fields.get("taskId", UNSET))
        if id is None or jsonrpc.text(fields.get("resultType", UNSET)) != "task":
            return result
        return jsonrpc.dump({**fields, "taskId": self.name(server, id, principal=principal)})


def with_task_id(result: bytes, name: str) -> bytes:
    """A result about a task, under the name that the client has asked by."""
    if b'"taskId"' not in result:
        return result
    fields = jsonrpc.members(Raw(result))
    return jsonrpc.dump({**fields, "taskId": name}) if "taskId" in fields else result


def require_tasks_extension(capabilities: bytes) -> None:
    """Only clients that have declared the extension may ask for tasks. Raises: ProtocolError (-32021)."""
    extensions = jsonrpc.members(jsonrpc.members(capabilities).get("extensions", UNSET))
    if EXTENSION not in extensions:
        raise ProtocolError(
            jsonrpc.MISSING_CAPABILITY,
            f"the client has not declared the extension {EXTENSION}",
            data={"requiredCapabilities": {"extensions": {EXTENSION: {}}}},
        )


def _digest(principal: str) -> str:
    return hashlib.sha256(principal.encode()).hexdigest()[:16]
