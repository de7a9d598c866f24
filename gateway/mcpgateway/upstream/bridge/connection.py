"""A connection to a bridge: greeting, control lines, acknowledgements. The wire contract is docs/bridge-protocol.md."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, cast

import msgspec

from ...catalog.model import Item
from ...protocol import jsonrpc
from ...protocol.decoder import Decoder
from ...protocol.errors import Exit, Failure, Reason, UpstreamError, exited
from ...protocol.limits import LineTooLong
from ..addresses import parse_address
from ..connection import Connection
from ..pacing import TURN_BYTES, TURN_MESSAGES
from .framing import LineSplitter
from .proof import BridgeKeys, ProofError

MAGIC = b"MCP-BRIDGE/1 "
CONNECT_TIMEOUT = 5.0  # seconds
_ACK_LINES, _ACK_BYTES, _ACK_SECONDS = 64, 256 << 10, 0.1  # what may be consumed before the bridge is told
_MAX_UNSENT = 64 << 20  # bytes waiting for a server that does not read


class Refusal(msgspec.Struct, frozen=True):
    """A bridge's `failure`: the command cannot start."""

    error: str
    reason: str = ""
    message: str = ""
    exit: Exit | None = None


class StartNotice(msgspec.Struct, frozen=True):
    """What a bridge knows of a process that has written nothing to its stdout yet."""

    stderr: str = ""  # its last line
    ports: tuple[int, ...] = ()  # TCP ports on which it listens


class Memory(msgspec.Struct, frozen=True):
    """A bridge's memory limit and what one process of its server takes, in bytes; 0 where it is not known."""

    limit: int = 0
    process: int = 0


class Control(msgspec.Struct, frozen=True, rename="camel"):
    """One control line; which members are there says what it is."""

    challenge: str = ""
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
    starting: StartNotice | None = None
    memory: Memory = Memory()


_decoder = Decoder(Control)


class BridgedConnection(Connection, asyncio.Protocol):
    """A connection to a bridge: lines of JSON-RPC, and control lines between them."""

    def __init__(self, server: str, keys: BridgeKeys, on_control: Callable[[Control], None] | None = None) -> None:
        super().__init__(server)
        self._keys: BridgeKeys | None = keys  # until the bridge's only challenge
        self.accepted: asyncio.Future[Control] = asyncio.get_running_loop().create_future()
        self._on_control = on_control
        self._lines = LineSplitter()
        self._backlog: deque[bytes] = deque()  # lines that have come and wait for a turn of the event loop
        self._ending: Failure | None = None  # the connection has ended, once the backlog is empty
        self._consumed: _Consumed | None = None  # of a resumable connection
        self._unsent: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._paused = False  # until the next turn, which is scheduled

    # --- to the bridge ----------------------------------------------------------------------------------------------------

    def _obstacle(self) -> Failure | None:
        if self.closed.done():
            return self.closed.result()
        if self._transport is None or self._transport.is_closing():
            return self._failed(Reason.UNREACHABLE, "the connection is closed")
        if self._transport.get_write_buffer_size() > _MAX_UNSENT:
            return self._failed(Reason.OVERLOADED, "it does not read its input")
        return None

    def _request(self, key: bytes, method: str, params: bytes, item: Item | None) -> None:
        self._write(jsonrpc.request(key, method, params) + b"\n")

    def _tell(self, message: bytes) -> None:
        self._write(message + b"\n")

    def _control(self, message: Mapping[str, object]) -> None:
        self._write(MAGIC + jsonrpc.dump(message) + b"\n")

    def greet(self, greeting: Mapping[str, str]) -> None:
        """Say what this connection is for; `accepted` has the bridge's answer."""
        self._control(greeting)

    def confirm(self) -> None:
        """Tell the bridge that its server has answered: a bridge that waits for that is ready from now on."""
        self._control({"answered": True})

    def remember(self, version: str) -> None:
        super().remember(version)
        self._control({"memo": version})

    def end(self) -> None:
        if self.accepted.done() and self.accepted.exception() is None and self.accepted.result().epoch:
            self._control({"end": True})
        self.retire()

    def close(self) -> None:
        """Close now; what is in flight fails."""
        self._flush()
        self._backlog.clear()
        if self._transport is not None:
            self._transport.close()

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
            self._end(self._failed(Reason.PROTOCOL_ERROR, str(error)))
            return
        if not self._paused and len(lines) <= TURN_MESSAGES and len(data) <= TURN_BYTES:  # within one turn: nothing is queued
            for line in lines:
                self._on_line(line)
            if not self._pace.spent:
                return
        else:
            self._backlog.extend(lines)
        if not self._paused:
            self._take_turn()

    def _take_turn(self) -> None:
        """Handle what has come, up to the budget of one turn of the event loop; nothing is read while some is left."""
        messages = size = 0
        while self._backlog and messages < TURN_MESSAGES and size < TURN_BYTES:
            line = self._backlog.popleft()
            messages, size = messages + 1, size + len(line)
            self._on_line(line)
        loop = asyncio.get_running_loop()
        delay = self._pace.delay(loop.time())
        if self._backlog or delay:
            self._pause()
            loop.call_later(delay, self._take_turn)
        else:
            self._resume()
            if self._ending is not None:
                self._lose(self._ending)

    def _pause(self) -> None:
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
        self._paused = True

    def _resume(self) -> None:
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
        self._paused = False

    def _on_line(self, line: bytes) -> None:
        if line.startswith(MAGIC):
            self._on_control_line(line[len(MAGIC) :])
        elif line:
            self._on_message(line)
            if self._consumed is not None:
                self._consumed.add(len(line))

    def _end(self, failure: Failure) -> None:
        """The connection has ended; what came before the end counts."""
        if self._paused:
            self._ending = failure
        else:
            self._lose(failure)

    def connection_lost(self, exc: Exception | None) -> None:
        detail = f" ({exc})" if exc else ""
        self._end(self._failed(Reason.UNREACHABLE, f"its bridge closed the connection{detail}"))

    def _on_control_line(self, body: bytes) -> None:
        try:
            control = _decoder.decode(body)
        except jsonrpc.ProtocolError:
            self.reports.invalid()
            return
        if control.error:
            self._lose(refused(self.server, control))
        elif control.exit is not None:
            if self._consumed is not None:
                self._consumed.tell()
            self._lose(self._exited(control.exit))
        elif control.challenge and not self.accepted.done():
            self._prove(control.challenge)
        else:
            if not self.accepted.done():
                self._accept(control)
            if self._on_control is not None:
                self._on_control(control)

    def _exited(self, exit: Exit) -> Failure:
        """A bridge sees no output of a process that has the connection itself: what was no message is added here."""
        if self.junk:
            exit = msgspec.structs.replace(exit, stdout=(*exit.stdout, *self.junk))
        return exited(self.server, exit, answered=self.resumed or self.answered > len(self._pending))

    def _prove(self, challenge: str) -> None:
        """A bridge challenges once, before it accepts: what follows in mode `direct` is the server's own output."""
        keys, self._keys = self._keys, None
        if keys is None or self._transport is None:
            self._lose(self._failed(Reason.PROTOCOL_ERROR, "its bridge sent a second challenge"))
            return
        host, port, *_ = self._transport.get_extra_info("peername")
        try:
            self._control(keys.prove(challenge=challenge, server=self.server, peer=(host, port)))
        except ProofError as error:
            self._lose(self._failed(Reason.ACCESS_DENIED, str(error)))

    def _accept(self, control: Control) -> None:
        """A process that is resumed may still answer an earlier gateway: ids go on where the bridge's count of our lines is."""
        if control.epoch:
            self._latest = control.received
            self._consumed = _Consumed(control.acked, lambda number: self._control({"ack": number}))
        self.resumed = control.resumed
        self.introduced = control.resumed and bool(control.memo)
        self.accepted.set_result(control)

    def _lose(self, error: Failure) -> None:
        if not self.accepted.done():
            self.accepted.set_exception(UpstreamError(error))
            self.accepted.exception()  # marks it as retrieved: the waiter may be gone
        if self._consumed is not None:
            self._consumed.stop()
        super()._lose(error)


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


_REASONS: Final[Mapping[str, Reason]] = {
    "start": Reason.START_FAILED,
    "references": Reason.MISSING_REFERENCE,
    "capacity": Reason.OVERLOADED,
    "draining": Reason.DRAINING,
    "takeover": Reason.TAKEN_OVER,
    "greeting": Reason.PROTOCOL_ERROR,
    "line": Reason.PROTOCOL_ERROR,
    "access": Reason.ACCESS_DENIED,
    "backoff": Reason.CRASH_LOOP,
}


def refused(server: str, control: Control | Refusal) -> Failure:
    """The error for a bridge's refusal."""
    reason = Reason.MEMORY_SHORT if control.reason == "Memory" else _REASONS.get(control.error, Reason.REFUSED)
    detail = f"{control.reason}: {control.message}" if reason == Reason.START_FAILED else control.message
    if reason != Reason.CRASH_LOOP or control.exit is None:
        return Failure(server, reason, detail)
    cause = control.exit.cause()
    return Failure(server, reason, f"{detail}{': ' if cause else ''}{cause}", control.exit)


async def connect(
    server: str,
    address: str,
    greeting: Mapping[str, str],
    *,
    keys: BridgeKeys,
    on_control: Callable[[Control], None] | None = None,
) -> BridgedConnection:
    """Open a connection, greet the bridge and answer its challenge; it has accepted when this returns. Raises: UpstreamError."""
    host, port = parse_address(server, address)
    loop = asyncio.get_running_loop()
    connection: BridgedConnection | None = None
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            make = partial(BridgedConnection, server, keys, on_control)
            _, connection = await loop.create_connection(make, host, port)
            connection.greet(greeting)
            await asyncio.shield(connection.accepted)
    except TimeoutError:
        _abandon(connection)
        raise UpstreamError(
            Failure(server, Reason.UNREACHABLE, f"no answer from its bridge at {address} within {CONNECT_TIMEOUT:g} s")
        ) from None
    except OSError as error:
        raise UpstreamError(Failure(server, Reason.UNREACHABLE, f"no bridge at {address}: {error.strerror or error}")) from error
    except BaseException:
        _abandon(connection)
        raise
    return connection


def _abandon(connection: BridgedConnection | None) -> None:
    if connection is not None:
        connection.close()
