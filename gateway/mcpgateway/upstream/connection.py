"""One conversation with a server, whatever carries it: requests in flight, and what the server says by itself.

Deadlines belong to the callers. What carries it is a bridge (bridged.py) or HTTP (remote.py).
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal

from msgspec import UNSET, Raw, UnsetType

from ..catalog.model import Item
from ..protocol import jsonrpc
from ..protocol.errors import Failure, Reason, UpstreamError, internal
from ..protocol.limits import CUT_MESSAGE, MAX_MESSAGE, MAX_NOTIFICATION
from ..protocol.visible_text import visible
from .active_call import ActiveCall
from .pacing import NotificationPace
from .reports import Reports

Outcome = Literal["result", "error", "lost"]
OnReply = Callable[[Outcome, "Raw | Failure"], None]
OnProgress = Callable[[Raw], None]
OnNotification = Callable[[str, "Raw | UnsetType"], None]
OnRequest = Callable[[str, bytes, "Raw | UnsetType"], None]


MAX_JUNK: Final = 20  # lines that are no messages and are kept for the report of an end; all are counted
MAX_JUNK_LINE: Final = 512  # bytes of each


class Connection(ABC):
    """Requests in flight to one server; ids are ours, unique to this connection, and the callers' never leave us.

    Ids are small integers: all SDKs' clients send such, and some servers know no others.
    """

    def __init__(self, server: str) -> None:
        self.server = server
        self.closed: asyncio.Future[Failure] = asyncio.get_running_loop().create_future()
        self.on_notification: OnNotification = lambda method, params: None
        self.on_request: OnRequest | None = None  # None: we declared no client capabilities, so a server may only ping
        self.place = ""  # the address of the bridge that it leads to
        self.key = ""  # whose process it is; empty for a process that all callers share
        self.capabilities = b"{}"  # of the client whose process it is, a JSON object
        self.version = ""  # legacy, as agreed
        self.resumed = False  # an earlier connection has used this very process
        self.introduced = False  # an earlier connection has shaken hands with this very process
        self.reports = Reports()
        self.calls: dict[ActiveCall, None] = {}  # that are on it, the newest last
        self._pace = NotificationPace()
        self._level = b""
        self._pending: dict[bytes, OnReply] = {}
        self._progress: dict[bytes, OnProgress] = {}  # of those requests that want it
        self._standing: set[bytes] = set()  # requests that stay open as long as the connection
        self._latest = 0  # id
        self._skipped = 0  # ids before the first one
        self._retired = False
        self._forsaken = False  # its process is to end, too
        self.loss_told = False  # a caller has been told that it has ended
        self.junk: list[str] = []  # the first lines that are no messages
        self._lost = 0  # requests without a reply when it ended

    # --- what carries it --------------------------------------------------------------------------------------------------

    @abstractmethod
    def _obstacle(self) -> Failure | None:
        """Why nothing can be sent now."""

    @abstractmethod
    def _request(self, key: bytes, method: str, params: bytes, item: Item | None) -> None:
        """Carry one request; `key` is its id as JSON."""

    @abstractmethod
    def _tell(self, message: bytes) -> None:
        """Carry one notification or answer: one line without its end."""

    @abstractmethod
    def close(self) -> None:
        """Close now; what is in flight fails."""

    def end(self) -> None:
        """Whoever it was for does not need it any more: it ends once nothing is in flight."""
        self.retire()

    def agreed(self, version: str) -> None:
        """The legacy handshake has settled on a version: over HTTP, all that follows says it."""
        self.version = version

    def remember(self, version: str) -> None:
        """The handshake is done; whoever finds this process again need not repeat it."""
        self.introduced = True

    # --- requests ---------------------------------------------------------------------------------------------------------

    def reserve(self) -> int:
        """An id for a request that is sent next; never 0."""
        self._latest += 1
        return self._latest

    def send(
        self,
        method: str,
        params: bytes,
        on_reply: OnReply,
        *,
        id: int = 0,
        on_progress: OnProgress | None = None,
        standing: bool = False,
        item: Item | None = None,
    ) -> int:
        """Send one request; `on_reply` is called exactly once, unless the id is forgotten. Returns the id.

        If it raises, as for a reply that cannot be translated, it is called once more, with that as the loss.
        `on_progress` gets the params of each progress notification whose token is the id. A `standing` request stays open as
        long as the connection, and does not count as in flight. `item` is the listed tool that is called.
        """
        id = id or self.reserve()
        obstacle = self._obstacle()
        if obstacle is not None:
            on_reply("lost", obstacle)
            return id
        key = b"%d" % id
        self._pending[key] = on_reply
        if on_progress is not None:
            self._progress[key] = on_progress
        if standing:
            self._standing.add(key)
        self._request(key, method, params, item)
        return id

    def notify(self, method: str, params: bytes | None = None) -> None:
        """Send one notification."""
        self._tell(jsonrpc.notification(method, params))

    @property
    def answered(self) -> int:
        """How many requests have had a reply, once it has ended: those of this connection, and of earlier ones to its process."""
        return self._latest - self._skipped - self._lost

    @property
    def in_flight(self) -> int:
        """How many requests wait for a reply."""
        return len(self._pending) - len(self._standing)

    @property
    def throttled(self) -> bool:
        """Whether it is read more slowly, because the server has sent more notifications than the pace allows."""
        return self._pace.spent

    def set_level(self, params: bytes) -> None:
        """Tell a legacy server from which level on it is to log, unless it knows."""
        if params != self._level:
            self._level = params
            self.send("logging/setLevel", params, lambda outcome, value: None)

    def forget(self, id: int) -> None:
        """A late reply to this id is dropped."""
        key = b"%d" % id
        self._pending.pop(key, None)
        self._progress.pop(key, None)
        self._standing.discard(key)
        self._close_if_done()

    async def call(self, method: str, params: bytes, *, timeout: float) -> Raw:  # noqa: ASYNC109 - it names the server
        """Send one request and wait. Raises: UpstreamError (Timeout, Exited …), ProtocolError for an error answer."""
        future: asyncio.Future[tuple[Outcome, Any]] = asyncio.get_running_loop().create_future()

        def on_reply(outcome: Outcome, value: Raw | Failure) -> None:
            if not future.done():
                future.set_result((outcome, value))

        id = self.send(method, params, on_reply)
        try:
            async with asyncio.timeout(timeout):
                outcome, value = await future
        except TimeoutError:
            raise UpstreamError(self._failed(Reason.TIMEOUT, f"no answer to {method} within {timeout:g} s")) from None
        finally:
            self.forget(id)
        if outcome == "lost":
            raise UpstreamError(value)
        if outcome == "error":
            raise jsonrpc.read_error(value)
        return Raw(bytes(value))

    # --- life -------------------------------------------------------------------------------------------------------------

    def retire(self) -> None:
        """Close as soon as nothing is in flight."""
        self._retired = True
        self._close_if_done()

    def forsake(self, *, unused: bool = False) -> None:
        """End, and its process with it, as soon as nothing is in flight; while `unused`, only after the first request."""
        self._retired = self._forsaken = True
        if not unused:
            self._close_if_done()

    def _close_if_done(self) -> None:
        if not self._retired or self.in_flight:
            return
        if self._forsaken:
            self._forsaken = False
            self.end()
        else:
            self.close()

    def _failed(self, reason: Reason, message: str) -> Failure:
        return Failure(self.server, reason, message)

    # --- from the server --------------------------------------------------------------------------------------------------

    def _on_message(self, line: bytes) -> None:
        """Take one message. Nothing in it, and no fault in what is done with it, ends the connection."""
        try:
            message = jsonrpc.decode(line)
        except jsonrpc.ProtocolError as error:
            self._on_undecodable(line, error)
            return
        if message.method is UNSET:
            self._on_response(message)
            return
        try:
            if message.id is UNSET and len(line) > MAX_NOTIFICATION:
                self.reports.invalid()
            elif message.id is UNSET:
                self._on_notification(message.method, message.params)
            else:
                self._on_request(message.method, bytes(message.id), message.params)
        except jsonrpc.ProtocolError:
            self.reports.invalid()
        except Exception as error:
            self.reports.internal_error("message", error)

    def _on_undecodable(self, line: bytes, error: jsonrpc.ProtocolError) -> None:
        """A call whose answer cannot be used fails at once, where the answer's id can be seen. A blank line says nothing."""
        if line.isspace():
            return
        if len(self.junk) < MAX_JUNK:
            self.junk.append(visible(line[:MAX_JUNK_LINE].decode(errors="replace").strip()))
        key = None if b'"method"' in line else jsonrpc.salvage_id(line, self._pending)
        if key is not None and (b'"result"' in line or b'"error"' in line):  # not a log line that repeats our request
            words = f"its answer cannot be used: {error.message}"
            if len(line) >= CUT_MESSAGE:
                words = f"its answer has over {MAX_MESSAGE >> 20} MiB, which is the most that a message may have"
            self._settle(key, "lost", self._failed(Reason.PROTOCOL_ERROR, words))
        self.reports.invalid()

    def _on_response(self, message: jsonrpc.Envelope) -> None:
        key = b"" if message.id is UNSET else bytes(message.id)
        if key not in self._pending:
            key = self._meant(key, message)
        if message.error is UNSET or (bytes(message.error) == b"null" and message.result is not UNSET):
            if message.result is UNSET:
                error = self._failed(Reason.PROTOCOL_ERROR, "it sent a reply with neither result nor error")
                self._settle(key, "lost", error)
            else:
                self._settle(key, "result", message.result)
        else:  # some send `"result": null` beside it
            self._settle(key, "error", message.error)

    def _meant(self, key: bytes, message: jsonrpc.Envelope) -> bytes:
        """The request that a reply with an unknown id is for: a server may write our integer as text, and an error about a
        request whose id it could not read has none (JSON-RPC 2.0 section 5): that is clear while only one request is open.
        """
        if key[1:-1] in self._pending:
            return key[1:-1]
        if key in (b"", b"null") and message.error is not UNSET and len(self._pending) == 1:
            return next(iter(self._pending))
        return key

    def _settle(self, key: bytes, outcome: Outcome, value: Raw | Failure) -> None:
        """The reply to a request; one to an unknown id, a second one, or one that comes too late is invalid."""
        on_reply = self._pending.pop(key, None)
        if self._standing:
            self._standing.discard(key)
        if self._progress:
            self._progress.pop(key, None)
        if on_reply is None:
            self.reports.invalid()
        else:
            self.deliver(on_reply, outcome, value)
        if self._retired:
            self._close_if_done()

    def deliver(self, on_reply: OnReply, outcome: Outcome, value: Raw | Failure) -> None:
        """Pass a reply on. One that cannot be translated fails its call: no caller waits for a reply that has come."""
        try:
            on_reply(outcome, value)
        except jsonrpc.ProtocolError as error:
            self.reports.invalid()
            self._refuse_reply(on_reply, self._failed(Reason.PROTOCOL_ERROR, f"its answer cannot be used: {error.message}"))
        except Exception as error:
            self.reports.internal_error("reply", error)
            self._refuse_reply(on_reply, internal(self.server, error))

    def _refuse_reply(self, on_reply: OnReply, failure: Failure) -> None:
        try:
            on_reply("lost", failure)
        except Exception as error:
            self.reports.internal_error("reply", error)

    def _on_notification(self, method: str, params: Raw | UnsetType) -> None:
        self._pace.spend(asyncio.get_running_loop().time())
        if method != "notifications/progress":
            self.on_notification(method, params)
            return
        try:
            token = jsonrpc.members(params).get("progressToken")
        except jsonrpc.ProtocolError:
            token = None
        on_progress = self._progress.get(bytes(token)) if token is not None else None
        if on_progress is None or params is UNSET:  # of no request, or of one that is over
            self.reports.invalid()
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
        self._tell(jsonrpc.result(id, jsonrpc.one_line(result)))

    def answer_error(self, id: bytes, error: bytes) -> None:
        """Answer a server's request with an error object."""
        self._tell(jsonrpc.error(id, jsonrpc.one_line(error)))

    def refuse(self, id: bytes, code: int, message: str) -> None:
        """Answer a server's request with an error of our own."""
        self._tell(jsonrpc.failure(id, code, message))

    def _lose(self, error: Failure) -> None:
        """The first cause counts: an exit report comes before the end of the connection."""
        if self.closed.done():
            return
        self.closed.set_result(error)
        self._progress.clear()
        self._standing.clear()
        pending, self._pending = self._pending, {}
        self._lost = len(pending)
        for on_reply in pending.values():
            self.deliver(on_reply, "lost", error)
        self.close()


@contextmanager
def closed_on_failure(connection: Connection) -> Iterator[None]:
    """Around what has to work before a connection is handed on: if it does not, or is cancelled, it is closed."""
    try:
        yield
    except BaseException:
        connection.close()
        raise
