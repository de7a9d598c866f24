"""One connection to a bridge: greeting, control lines, and requests in flight.

The wire contract is docs/bridge-protocol.md. Deadlines belong to the callers; only acknowledgements keep a time here.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec
from msgspec import UNSET, Raw, UnsetType

from .. import jsonrpc
from .errors import Exit, UpstreamError, exited
from .framing import LineSplitter, LineTooLong

if TYPE_CHECKING:
    from ..catalog import Offer
    from .subscription import Subscription

MAGIC = b"MCP-BRIDGE/1 "
CONNECT_TIMEOUT = 5.0  # seconds
_ACK_LINES, _ACK_BYTES, _ACK_SECONDS = 64, 256 << 10, 0.1  # what may be consumed before the bridge is told
_MAX_UNSENT = 64 << 20  # bytes waiting for a server that does not read

Outcome = Literal["result", "error", "lost"]
OnReply = Callable[[Outcome, "Raw | UpstreamError"], None]
OnProgress = Callable[[Raw], None]
OnNotification = Callable[[str, "Raw | UnsetType"], None]
OnRequest = Callable[[str, bytes, "Raw | UnsetType"], None]


class Refusal(msgspec.Struct, frozen=True):
    """A bridge's `failure`: the command cannot start."""

    error: str
    reason: str = ""
    message: str = ""
    exit: Exit | None = None


class Control(msgspec.Struct, frozen=True, rename="camel"):
    """One control line; which members are there says what it is."""

    instance: str = ""
    epoch: int = 0
    acked: int = 0
    received: int = 0
    resumed: bool = False
    memo: str = ""
    error: str = ""
    reason: str = ""
    message: str = ""
    exit: Exit | None = None
    ready: bool = False
    draining: bool = False
    missing: tuple[str, ...] = ()
    references: str = ""
    failure: Refusal | None = None
    processes: int = 0
    exited: int = 0
    last_exit: Exit | None = None


_control = msgspec.json.Decoder(Control)


class Connection(asyncio.Protocol):
    """Requests multiplexed over one connection; ids are ours, unique to this connection, and the callers' never leave us."""

    def __init__(self, server: str, on_control: Callable[[Control], None] | None = None) -> None:
        self.server = server
        self.closed: asyncio.Future[UpstreamError] = asyncio.get_running_loop().create_future()
        self.accepted: asyncio.Future[Control] = asyncio.get_running_loop().create_future()
        self.on_notification: OnNotification = lambda method, params: None
        self.on_request: OnRequest | None = None  # None: we declared no client capabilities, so a server may only ping
        self.key = ""  # whose process it is; empty where it is everybody's
        self.subscription: Subscription | None = None  # of a process that is somebody's
        self.offer: Offer | None = None  # what that process offers, if it has said that this changes
        self.junk = 0  # lines that were no message
        self._level = b""
        self._on_control = on_control
        self._lines = LineSplitter()
        self._pending: dict[bytes, OnReply] = {}
        self._progress: dict[bytes, OnProgress] = {}  # of those requests that want it
        self._standing: set[bytes] = set()  # requests that stay open as long as the connection
        self._prefix = secrets.token_hex(3)
        self._next = 0
        self._consumed: _Consumed | None = None  # of a resumable connection
        self._retired = False
        self._unsent: list[bytes] = []
        self._transport: asyncio.Transport | None = None

    # --- requests ---------------------------------------------------------------------------------------------------------

    def reserve(self) -> str:
        """An id for a request that is sent next."""
        self._next += 1
        return f"{self._prefix}-{self._next}"

    def send(
        self,
        method: str,
        params: bytes,
        on_reply: OnReply,
        *,
        id: str | None = None,
        on_progress: OnProgress | None = None,
        standing: bool = False,
    ) -> str:
        """Send one request; `on_reply` is called exactly once, unless the id is forgotten. Returns the id.

        `on_progress` gets the params of each progress notification whose token is the id. A `standing` request stays open as
        long as the connection, and does not count as in flight.
        """
        id = id or self.reserve()
        if self._transport is None or self._transport.is_closing():
            on_reply("lost", UpstreamError(self.server, "Unreachable", "the connection is closed"))
            return id
        if self._transport.get_write_buffer_size() > _MAX_UNSENT:
            on_reply("lost", UpstreamError(self.server, "Overloaded", "it does not read its input"))
            return id
        key = b'"' + id.encode() + b'"'
        self._pending[key] = on_reply
        if on_progress is not None:
            self._progress[key] = on_progress
        if standing:
            self._standing.add(key)
        self._write(jsonrpc.request(id, method, params))
        return id

    def notify(self, method: str, params: bytes | None = None) -> None:
        """Send one notification."""
        self._write(jsonrpc.notification(method, params) + b"\n")

    @property
    def in_flight(self) -> int:
        """How many requests wait for a reply."""
        return len(self._pending) - len(self._standing)

    def set_level(self, params: bytes) -> None:
        """Tell a legacy server from which level on it is to log, unless it knows."""
        if params != self._level:
            self._level = params
            self.send("logging/setLevel", params, lambda outcome, value: None)

    def forget(self, id: str) -> None:
        """A late reply to this id is dropped."""
        key = b'"' + id.encode() + b'"'
        self._pending.pop(key, None)
        self._progress.pop(key, None)
        self._standing.discard(key)
        self._close_if_done()

    async def call(self, method: str, params: bytes, *, timeout: float) -> Raw:  # noqa: ASYNC109 - it names the server
        """Send one request and wait. Raises: UpstreamError (Timeout, Exited …), ProtocolError for an error answer."""
        future: asyncio.Future[tuple[Outcome, Any]] = asyncio.get_running_loop().create_future()

        def on_reply(outcome: Outcome, value: Raw | UpstreamError) -> None:
            if not future.done():
                future.set_result((outcome, value))

        id = self.send(method, params, on_reply)
        try:
            async with asyncio.timeout(timeout):
                outcome, value = await future
        except TimeoutError:
            raise UpstreamError(self.server, "Timeout", f"no answer to {method} within {timeout:g} s") from None
        finally:
            self.forget(id)
        if outcome == "lost":
            raise value
        if outcome == "error":
            raise answer_error(value)
        return Raw(bytes(value))

    # --- life -------------------------------------------------------------------------------------------------------------

    def control(self, message: dict[str, object]) -> None:
        """Send one control line; only for mode attach."""
        self._write(MAGIC + jsonrpc.dump(message) + b"\n")

    def end(self) -> None:
        """The process is not needed any more: its bridge ends it once nothing is in flight."""
        if self.accepted.done() and self.accepted.exception() is None and self.accepted.result().epoch:
            self.control({"end": True})
        self.retire()

    def retire(self) -> None:
        """Close as soon as nothing is in flight."""
        self._retired = True
        self._close_if_done()

    def close(self) -> None:
        """Close now; what is in flight fails."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def _close_if_done(self) -> None:
        if self._retired and not self.in_flight:
            self.close()

    def _write(self, data: bytes) -> None:
        """Lines of one turn of the loop leave together: a system call costs more than all that is done for a line."""
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unsent.append(data)

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if unsent and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(unsent) if len(unsent) > 1 else unsent[0])

    # --- asyncio.Protocol -------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's does not inherit from it

    def data_received(self, data: bytes) -> None:
        try:
            lines = self._lines.feed(data)
        except LineTooLong as error:
            self._lose(UpstreamError(self.server, "ProtocolError", str(error)))
            return
        for line in lines:
            if line.startswith(MAGIC):
                self._on_control_line(line[len(MAGIC) :])
            elif line:
                self._on_line(line)
                if self._consumed is not None:
                    self._consumed.add(len(line))

    def _on_line(self, line: bytes) -> None:
        if line.startswith(b"{"):
            self._on_message(line)
        elif line.strip():
            self.junk += 1

    def connection_lost(self, exc: Exception | None) -> None:
        detail = f" ({exc})" if exc else ""
        self._lose(UpstreamError(self.server, "Unreachable", f"its bridge closed the connection{detail}"))

    def _on_message(self, line: bytes) -> None:
        try:
            message = jsonrpc.decode(line)
        except jsonrpc.ProtocolError:
            self.junk += 1
            return
        if message.method is not UNSET:
            if message.id is UNSET:
                self._on_notification(message.method, message.params)
            else:
                self._on_request(message.method, bytes(message.id), message.params)
            return
        key = b"" if message.id is UNSET else bytes(message.id)
        on_reply = self._pending.pop(key, None)
        if self._standing:
            self._standing.discard(key)
        if self._progress:
            self._progress.pop(key, None)
        if on_reply is None:  # an unknown id, a second reply, or one that came too late
            self.junk += 1
        elif message.result is not UNSET:
            on_reply("result", message.result)
        elif message.error is not UNSET:
            on_reply("error", message.error)
        else:
            on_reply("lost", UpstreamError(self.server, "ProtocolError", "it sent a reply with neither result nor error"))
        self._close_if_done()

    def _on_notification(self, method: str, params: Raw | UnsetType) -> None:
        if method != "notifications/progress":
            self.on_notification(method, params)
            return
        try:
            token = jsonrpc.members(params).get("progressToken")
        except jsonrpc.ProtocolError:
            token = None
        on_progress = self._progress.get(bytes(token)) if token is not None else None
        if on_progress is None or params is UNSET:  # of nobody, or of a request that is over
            self.junk += 1
        else:
            on_progress(params)

    def _on_request(self, method: str, id: bytes, params: Raw | UnsetType) -> None:
        if method == "ping":
            self.answer(id, b"{}")
        elif self.on_request is None:
            self.refuse(id, jsonrpc.METHOD_NOT_FOUND, f"{method} was not declared by this client")
        else:
            self.on_request(method, id, params)

    def answer(self, id: bytes, result: bytes) -> None:
        """Answer a server's request with a result."""
        self._write(jsonrpc.result(id, jsonrpc.one_line(result)) + b"\n")

    def answer_error(self, id: bytes, error: bytes) -> None:
        """Answer a server's request with an error object."""
        self._write(jsonrpc.error(id, jsonrpc.one_line(error)) + b"\n")

    def refuse(self, id: bytes, code: int, message: str) -> None:
        """Answer a server's request with an error of our own."""
        self._write(jsonrpc.failure(id, code, message) + b"\n")

    def _on_control_line(self, body: bytes) -> None:
        try:
            control = _control.decode(body)
        except msgspec.MsgspecError:
            self.junk += 1
            return
        if control.error:
            self._lose(refused(self.server, control))
        elif control.exit is not None:
            if self._consumed is not None:
                self._consumed.tell()
            self._lose(exited(self.server, control.exit))
        else:
            if not self.accepted.done():
                self._accept(control)
            if self._on_control is not None:
                self._on_control(control)

    def _accept(self, control: Control) -> None:
        """A process that is resumed may still answer an earlier gateway: ids go on where the bridge's count of our lines is."""
        if control.epoch:
            self._prefix, self._next = str(control.epoch), control.received
            self._consumed = _Consumed(control.acked, lambda number: self.control({"ack": number}))
        self.accepted.set_result(control)

    def _lose(self, error: UpstreamError) -> None:
        """The first cause counts: an exit report comes before the end of the connection."""
        if self.closed.done():
            return
        self.closed.set_result(error)
        if not self.accepted.done():
            self.accepted.set_exception(error)
            self.accepted.exception()  # seen: nobody may be waiting any more
        if self._consumed is not None:
            self._consumed.stop()
        self._progress.clear()
        self._standing.clear()
        pending, self._pending = self._pending, {}
        for on_reply in pending.values():
            on_reply("lost", error)
        self.close()


class _Consumed:
    """Counts the lines of a resumable connection and acknowledges them before the bridge has to keep too much."""

    def __init__(self, number: int, tell: Callable[[int], None]) -> None:
        self._number = self._told = number
        self._bytes = 0
        self._tell = tell
        self._timer: asyncio.TimerHandle | None = None

    def add(self, size: int) -> None:
        """One more line has been consumed."""
        self._number += 1
        self._bytes += size
        if self._number - self._told >= _ACK_LINES or self._bytes >= _ACK_BYTES:
            self.tell()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_ACK_SECONDS, self.tell)

    def tell(self) -> None:
        """Acknowledge everything now."""
        self.stop()
        if self._told != self._number:
            self._told, self._bytes = self._number, 0
            self._tell(self._number)

    def stop(self) -> None:
        """Nothing more will be told by itself."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def answer_error(raw: Raw) -> jsonrpc.ProtocolError:
    """The error object of an answer as an exception."""
    fields = jsonrpc.members(raw)
    code = bytes(fields.get("code", Raw(b"0")))
    data = msgspec.json.decode(fields["data"]) if "data" in fields else None
    number = int(code) if jsonrpc.valid_id(code) and code[:1] != b'"' else jsonrpc.INTERNAL_ERROR
    return jsonrpc.ProtocolError(number, jsonrpc.text(fields.get("message", UNSET)) or "", data=data)


_REASONS = {
    "start": "StartFailed",
    "references": "MissingReference",
    "capacity": "Overloaded",
    "draining": "Draining",
    "takeover": "TakenOver",
    "greeting": "ProtocolError",
    "line": "ProtocolError",
    "access": "AccessDenied",
    "backoff": "CrashLoopBackOff",
}


def refused(server: str, control: Control | Refusal) -> UpstreamError:
    """The error for a bridge's refusal."""
    reason = _REASONS.get(control.error, "Refused")
    detail = f"{control.reason}: {control.message}" if reason == "StartFailed" else control.message
    return UpstreamError(server, reason, detail, control.exit if reason == "CrashLoopBackOff" else None)


async def connect(
    server: str, address: str, greeting: dict[str, str], *, on_control: Callable[[Control], None] | None = None
) -> Connection:
    """Open and greet a connection; the bridge has accepted it when this returns. Raises: UpstreamError."""
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    connection: Connection | None = None
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            _, connection = await loop.create_connection(lambda: Connection(server, on_control), host.strip("[]"), int(port))
            connection._write(MAGIC + jsonrpc.dump(greeting) + b"\n")
            await asyncio.shield(connection.accepted)
    except TimeoutError:
        _abandon(connection)
        raise UpstreamError(
            server, "Unreachable", f"no answer from its bridge at {address} within {CONNECT_TIMEOUT:g} s"
        ) from None
    except OSError as error:
        raise UpstreamError(server, "Unreachable", f"no bridge at {address}: {error.strerror or error}") from error
    except BaseException:
        _abandon(connection)
        raise
    return connection


def _abandon(connection: Connection | None) -> None:
    if connection is not None:
        connection.close()
