"""What is fuzzed: each target takes any bytes, and raises nothing but what its own contract names."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from uvicorn.server import ServerState

from mcpgateway import config
from mcpgateway.access.keyring import KeyRing
from mcpgateway.access.sessions import Sessions
from mcpgateway.catalog.uri_templates import UriTemplate
from mcpgateway.edge.connection import Connection
from mcpgateway.edge.limits import Limits
from mcpgateway.protocol import jsonrpc
from mcpgateway.protocol.limits import LineTooLong
from mcpgateway.protocol.sse_events import EventParser
from mcpgateway_operator.api.validation import InvalidSpecError, parse_spec
from mcpgateway_operator.render.context import Context
from mcpgateway_operator.render.render import render
from tests.support.edges import new_edge


def decoder(data: bytes) -> None:
    """A message: one error, or an envelope whose parts are JSON again."""
    with contextlib.suppress(jsonrpc.ProtocolError):
        envelope = jsonrpc.decode(data)
        for part in (envelope.params, envelope.result, envelope.error):
            jsonrpc.members_or_none(part)
            jsonrpc.text(part)


def events(data: bytes) -> None:
    """A stream of events, cut in the middle: the same events as in one piece, or too long."""
    with contextlib.suppress(LineTooLong):
        whole = EventParser().feed(data + b"\n\n")
        parser, middle = EventParser(), len(data) // 2
        assert [*parser.feed(data[:middle]), *parser.feed(data[middle:] + b"\n\n")] == whole


def uri_templates(data: bytes) -> None:
    """A template and a URI, divided by a line feed; a template without expressions matches itself alone."""
    template, _, uri = data.decode(errors="replace").partition("\n")
    matches = UriTemplate.parse(template).matches(uri)
    assert "{" in template or matches == (template == uri) or len(uri) > 8_000


def tokens(data: bytes) -> None:
    """A session token that this gateway has not issued is no session."""
    sessions = Sessions(KeyRing({"k1": b"k" * 32}), ttl=60)
    assert sessions.find(data.decode("latin-1"), principal="p", now=1.0) is None


def configuration(data: bytes) -> None:
    """A configuration file: a configuration or a ConfigError."""
    path = _FOLDER / "config.json"
    path.write_bytes(data)
    with contextlib.suppress(config.ConfigError):
        assert config.encode(config.read_config(path).config)


def rendering(data: bytes) -> None:
    """The spec of a resource: refused with a reason, or manifests that are YAML."""
    try:
        spec = json.loads(data)
    except (ValueError, RecursionError):
        return
    if isinstance(spec, dict):
        with contextlib.suppress(InvalidSpecError):
            for child in render(parse_spec(spec), _CONTEXT).objects:
                assert yaml.safe_load(yaml.safe_dump(child)) == child


class _Transport(asyncio.Transport):
    """Takes what is written, and closes at once."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.closing = False

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True

    def write(self, data: Any) -> None:
        assert bytes(data[:1]) is not None

    def pause_reading(self) -> None:
        """Nothing more is read here anyway."""

    resume_reading = pause_reading

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is buffered."""

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """Nothing follows."""

    def get_write_buffer_size(self) -> int:
        return 0


_FOLDER = Path(tempfile.mkdtemp(prefix="mcpgateway-fuzz-"))
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)
_CONTEXT = Context(name="gw", namespace="ns", uid="0123456789", image="gateway:1")
_LOOP = asyncio.new_event_loop()
_EDGE = new_edge(config.Config(gateway="fuzz", auth=config.Auth(allow_unauthenticated=True)), Limits())
_STATE = ServerState()


def connection(data: bytes) -> None:
    """The bytes of a connection, in two pieces: no exception passes, or is caught by the last boundary."""
    _LOOP.run_until_complete(_connection(data))


async def _connection(data: bytes) -> None:
    protocol, transport = Connection(_EDGE, _STATE), _Transport()
    protocol.connection_made(transport)
    middle = len(data) // 2
    for piece in (data[:middle], data[middle:]):
        if not transport.closing:
            protocol.data_received(piece)
        for _ in range(3):
            await asyncio.sleep(0)
    protocol.connection_lost(None)
    await asyncio.sleep(0)
    failures = [
        sample.value
        for metric in _EDGE.metrics.internal_errors.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    ]
    assert not any(failures), failures


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__.replace("_", "-"): target
    for target in (decoder, events, uri_templates, tokens, configuration, rendering, connection)
}
