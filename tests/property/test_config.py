"""The configuration: any bytes are read, or refused with one error that names the file."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mcpgateway import config

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from([1e300, -1, "\0", "a\ud83d"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
SERVER = {
    "name": "a",
    "url": "http://tools.example.com:80443/mcp",
    "headers": [{"name": "x", "file": "/f"}],
    "callTimeout": 5,
    "startTimeout": 5,
    "pool": 2,
}
GOOD: dict[str, Any] = {
    "gateway": "g",
    "servers": [SERVER, {"name": "b", "addresses": ["1.2.3.4:1"], "tools": {"allow": ["*"], "overrides": [{"name": "t"}]}}],
    "auth": {"tokens": [{"name": "t", "file": "/t"}]},
    "toolNames": {"prefix": "Always", "separator": "-"},
    "requestBytes": 5,
    "sessionTtl": 5,
    "sessionIdleTimeout": 5,
    "maxSessions": 5,
}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values inside a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    if not path:
        return by
    items = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    changed = {key: replaced(item, path[1:], by) if key == path[0] else item for key, item in items}
    return changed if isinstance(value, dict) else list(changed.values())


MUTATED = st.builds(lambda path, by: json.dumps(replaced(GOOD, path, by)).encode(), st.sampled_from(places(GOOD)), JSON)


def read(content: bytes) -> config.Config | None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.json"
        file.write_bytes(content)
        try:
            read = config.read_config(file)
        except config.ConfigError as error:
            assert str(error).startswith(f"{file}: ")  # noqa: PT017 - either outcome is right
            return None
    assert read.digest == config.digest(content)
    assert all(words.startswith(f"{file}: ") for words in read.invalid.values())
    return read.config


@settings(deadline=None)
@given(st.binary(max_size=60) | MUTATED)
@example(b"\xff")
@example(b'{"gateway":"\xff"}')
@example(b"[" * 100_000)
@example(b'{"gateway":"g","maxSessions":1e999}')
@example(b'{"gateway":"g","maxSessions":' + b"9" * 5000 + b"}")
def test_any_bytes_are_read_or_refused_with_one_error(content: bytes) -> None:
    found = read(content)
    if found is not None:
        for seconds in (found.session_ttl, found.session_idle_timeout, *(server.call_timeout for server in found.servers)):
            assert 0 <= seconds < 4e10
        assert all("\0" not in token.file for token in found.auth.tokens)
        assert json.loads(config.encode(found))["gateway"] == found.gateway


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("callTimeout", 1e300),
        ("callTimeout", -1),
        ("startTimeout", -1),
        ("idleTimeout", 1e12),
        ("pool", 0),
        ("maxProcesses", 2**40),
    ],
)
def test_a_value_that_would_fail_later_is_refused_by_its_place(member: str, value: float) -> None:
    content = json.dumps({"gateway": "g", "servers": [{"name": "a", member: value}]}).encode()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "c.json").write_bytes(content)
        assert f"- at `$.servers[0].{member}`" in config.read_config(Path(folder) / "c.json").invalid["a"]
