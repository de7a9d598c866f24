"""Opening a conversation with a server: which era it speaks, and what it is.

`server/discover` is asked first. Where it stays unanswered, `initialize` is asked beside it, over the same connection, and the
one that is answered well first decides. A server reads in order, so a slow start makes it no server of the other era.
Source: MCP specification 2026-07-28, "Versioning"; 2025-11-25, "Lifecycle".
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from msgspec import UNSET, Raw

from ..protocol import jsonrpc, request_meta, translation, versions
from ..protocol.errors import Failure, Reason, UpstreamError
from ..protocol.versions import Era
from ..protocol.visible_text import visible
from .connection import Connection, Outcome

HEAD_START: Final = 10.0  # seconds of server/discover before initialize is asked as well: the SDKs' probes wait as long
SECOND_ANSWER: Final = 10.0  # seconds for the other answer once one of the two was refused
TIE: Final = 1.0  # seconds: a server that works on both requests at once may answer them in any order
_MAX_INSTRUCTIONS: Final = 16 << 10  # characters
_NULL: Final = Raw(b"null")


@dataclass(frozen=True, slots=True)
class Profile:
    """What a server turned out to be."""

    era: Era
    version: str
    capabilities: frozenset[str]
    instructions: str = ""
    extensions: Mapping[str, Raw] = field(default_factory=dict)
    unclear: frozenset[str] = frozenset()  # capabilities that are null: it may have them, or not


class Handshake:
    """One opening of one conversation.

    Args:
        timeout: Seconds from the start of the process until it has answered, `startTimeout`.
        capabilities: Of the client that the process is for, a JSON object.
    """

    def __init__(self, connection: Connection, *, gateway: str, timeout: float, capabilities: bytes = b"{}") -> None:
        self._connection, self._gateway = connection, gateway
        self._timeout, self._capabilities = timeout, capabilities
        self._deadline = asyncio.get_running_loop().time() + timeout
        self._open: list[_Question] = []

    @property
    def awaited(self) -> str:
        """The methods that are not answered yet, in words."""
        return " and ".join(question.method for question in self._open if not question.done)

    async def negotiate(self) -> Profile:
        """Talk in the era that the server prefers. Raises: UpstreamError."""
        probe = self._ask("server/discover", _modern_params(self._gateway))
        try:
            await self._first(probe, within=HEAD_START)
            profile = self._modern(probe)
            return await self._legacy(probe) if profile is None else profile
        finally:
            self._withdraw()

    async def discover(self) -> Profile:
        """Talk to a server that is known to be modern. Raises: UpstreamError."""
        probe = self._ask("server/discover", _modern_params(self._gateway))
        try:
            await self._first(probe)
            profile = self._modern(probe)
            if profile is None:
                raise self._silent() if probe.failure is None else probe.failure
            return profile
        finally:
            self._withdraw()

    async def initialize(self, version: str = versions.LATEST_LEGACY) -> Profile:
        """Talk to a server that is known to be legacy, from this version on. Raises: UpstreamError."""
        try:
            return await self._legacy(None, version)
        finally:
            self._withdraw()

    # --- questions --------------------------------------------------------------------------------------------------------

    def _ask(self, method: str, params: bytes) -> _Question:
        question = _Question(self._connection, method, params)
        self._open.append(question)
        return question

    def _greet(self, version: str) -> _Question:
        params = {
            "protocolVersion": version,
            "capabilities": Raw(self._capabilities),
            "clientInfo": request_meta.server_info(self._gateway),
        }
        return self._ask("initialize", jsonrpc.dump(params))

    async def _first(self, *questions: _Question, within: float | None = None) -> bool:
        """Wait until one of them is answered, at the latest at the deadline. Returns: whether one is. Raises: UpstreamError,
        if the connection has ended: the process may be gone before it is asked, and then the question is answered already.
        """
        left = max(0.0, self._deadline - asyncio.get_running_loop().time())
        waits = [question.settled for question in questions]
        done, _ = await asyncio.wait(waits, timeout=left if within is None else min(within, left), return_when="FIRST_COMPLETED")
        if self._connection.closed.done():
            failures = (question.failure for question in questions if question.failure is not None)  # which may say more
            raise next(failures, UpstreamError(self._connection.closed.result()))
        return bool(done)

    def _withdraw(self) -> None:
        for question in self._open:
            question.withdraw()

    def _silent(self) -> UpstreamError:
        words = f"no answer to {self.awaited} within {self._timeout:g} s, its startTimeout"
        return UpstreamError(Failure(self._connection.server, Reason.TIMEOUT, words))

    # --- answers ----------------------------------------------------------------------------------------------------------

    def _modern(self, probe: _Question | None) -> Profile | None:
        """What a good answer to the probe says; None while there is none, and for every other answer: some servers answer
        everything with an empty object.
        """
        fields = None if probe is None or probe.result is None else jsonrpc.members_or_none(probe.result)
        if (
            fields is None
            or _object(fields, "capabilities") is None
            or not _shares_modern(fields.get("supportedVersions", _NULL))
        ):
            return None
        version = versions.MODERN_VERSIONS[-1]
        profile = _profile(self._connection, "modern", version, fields)
        self._connection.agreed(version)
        return profile

    async def _legacy(self, probe: _Question | None, version: str = "") -> Profile:
        """Ask `initialize` in the latest version that both know, beside a probe that may still be answered."""
        refused = None if probe is None else probe.failure
        tried = version or _common_version(refused) or versions.LATEST_LEGACY
        greeting = self._greet(tried)
        while True:
            open = [question for question in (probe, greeting) if question is not None and not question.done]
            if not open:
                raise _refusal(self._connection, greeting)
            if not await self._first(*open, within=SECOND_ANSWER if greeting.failure is not None else None):
                raise self._silent() if greeting.failure is None else _refusal(self._connection, greeting)
            if greeting.result is not None and probe is not None and not probe.done:
                await self._first(probe, within=TIE)
            profile = self._modern(probe)
            if profile is not None:
                return profile
            if greeting.result is not None:
                return self._agree(greeting.result)
            other = _common_version(greeting.failure)
            if other and other != tried:
                tried, greeting = other, self._greet(other)

    def _agree(self, answer: Raw) -> Profile:
        fields = jsonrpc.members_or_none(answer)
        if fields is None:
            raise _malformed(self._connection, "the result of initialize must be an object")
        version = versions.legacy_answer(jsonrpc.text(fields.get("protocolVersion", UNSET)))
        profile = _profile(self._connection, "legacy", version, fields)
        self._connection.agreed(version)
        self._connection.notify("notifications/initialized")
        return profile


class _Question:
    """One open request of a handshake; its answer is a result or a failure."""

    def __init__(self, connection: Connection, method: str, params: bytes) -> None:
        self.method = method
        self.result: Raw | None = None
        self.failure: UpstreamError | None = None
        self.settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._connection = connection
        self._id = connection.send(method, params, self._on_reply)

    @property
    def done(self) -> bool:
        """Whether it is answered."""
        return self.settled.done()

    def _on_reply(self, outcome: Outcome, value: Raw | Failure) -> None:
        if self.done:
            return
        if isinstance(value, Failure):
            self.failure = UpstreamError(value)
        elif outcome == "result":
            self.result = Raw(bytes(value))
        else:
            error = jsonrpc.read_error(value)
            self.failure = _malformed(self._connection, f"it refused {self.method}: {error}")
            self.failure.__cause__ = error
        self.settled.set_result(None)

    def withdraw(self) -> None:
        """No answer is awaited any more."""
        if not self.done:
            self._connection.forget(self._id)


def question(profile: Profile, *, gateway: str) -> tuple[str, bytes]:
    """What any server of that era answers at once, with its params."""
    return ("server/discover", _modern_params(gateway)) if profile.era == "modern" else ("ping", b"{}")


def _refusal(connection: Connection, greeting: _Question) -> UpstreamError:
    return greeting.failure or _malformed(connection, "its answer to initialize cannot be used")


def _shares_modern(raw: Raw) -> bool:
    try:
        names = {jsonrpc.text(item) for item in jsonrpc.items(raw)}
    except jsonrpc.ProtocolError:
        return False
    return not names.isdisjoint(versions.MODERN_VERSIONS)


def _common_version(refusal: UpstreamError | None) -> str:
    """The latest legacy version that a refusal says to be supported; empty if it says none."""
    cause = None if refusal is None else refusal.__cause__
    data = cause.data if isinstance(cause, jsonrpc.ProtocolError) else None
    supported = data.get("supported") if isinstance(data, dict) else None
    names = supported if isinstance(supported, list) else [supported]
    return max((name for name in versions.LEGACY_VERSIONS if name in names), default="")


def _malformed(connection: Connection, words: str) -> UpstreamError:
    return UpstreamError(Failure(connection.server, Reason.PROTOCOL_ERROR, words))


def _profile(connection: Connection, era: Era, version: str, fields: Mapping[str, Raw]) -> Profile:
    """What a server's answer says of it. Raises: UpstreamError, if its capabilities are no object."""
    capabilities = _object(fields, "capabilities")
    if capabilities is None:
        raise _malformed(connection, "its capabilities must be an object")
    unclear = frozenset(name for name, raw in capabilities.items() if bytes(raw) == b"null")
    return Profile(era, version, _names(capabilities), _instructions(fields), _extensions(capabilities), unclear)


def _object(fields: Mapping[str, Raw], name: str) -> dict[str, Raw] | None:
    """An object's members; absent and null mean empty, and None that it is no object."""
    raw = fields.get(name, _NULL)
    return {} if bytes(raw) == b"null" else jsonrpc.members_or_none(raw)


def _instructions(fields: Mapping[str, Raw]) -> str:
    return visible((jsonrpc.text(fields.get("instructions", UNSET)) or "")[:_MAX_INSTRUCTIONS])


def _extensions(capabilities: Mapping[str, Raw]) -> dict[str, Raw]:
    """The extensions whose settings are objects: others would spoil what the gateway offers."""
    offered = _object(capabilities, "extensions") or {}
    return {
        name: Raw(jsonrpc.one_line(bytes(settings)))
        for name, settings in offered.items()
        if jsonrpc.members_or_none(settings) is not None
    }


def _names(capabilities: Mapping[str, Raw]) -> frozenset[str]:
    """Names of capabilities, and such as `resources.subscribe` for what is true inside them; null means absent."""
    offered = {name: raw for name, raw in capabilities.items() if bytes(raw) != b"null"}
    inner = {f"{name}.{flag}" for name, raw in offered.items() for flag in _flags(raw)}
    return frozenset({*offered, *inner})


def _flags(raw: Raw) -> list[str]:
    return [name for name, value in (jsonrpc.members_or_none(raw) or {}).items() if bytes(value) == b"true"]


def _modern_params(gateway: str) -> bytes:
    return jsonrpc.dump(translation.to_server({}, upstream="modern", gateway=gateway))
