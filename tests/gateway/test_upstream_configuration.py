"""Whatever the configuration file holds, the last good one stays in force, and one bad entry is one server's failure."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mcpgateway.config import Binding, Config, ConfigError, Server, digest, encode, read_config
from mcpgateway.gateway import Gateway, Settings, start
from tests.support.waiting import PATIENCE

HONEST = Server(name="honest", addresses=("127.0.0.1:1",))
GOOD = Config(gateway="g", servers=(HONEST, Server(name="other", addresses=("127.0.0.1:1",))))
FIELDS: dict[str, Any] = json.loads(msgspec.json.encode(Server(name="odd"))) | {"url": "http://127.0.0.1:1/mcp", "fallback": ""}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=80),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)
PLACES = st.sampled_from(
    [
        "http://tools.example.com:80443/mcp",
        f"http://{'a' * 64}.example/mcp",
        "http://[::1/mcp",
        "javascript:alert(1)",
        "http://",
        "//nowhere",
        "a:b:c",
        "127.0.0.1:99999",
        f"{'a' * 64}.example:1",
        "::1",
        ":1",
        "\0:1",
    ]
)


async def within(body: Callable[[Gateway, Path], Awaitable[None]]) -> None:
    """Run something in a gateway that serves no client yet; an exception that reaches the loop is a failure."""
    escaped: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: escaped.append(context))
    with TemporaryDirectory() as folder:
        path = Path(folder, "config.json")
        path.write_text(encode(GOOD))
        gateway = await start(Settings(config=path))
        gateway.configure(gateway.reading)
        try:
            await body(gateway, path)
            await asyncio.sleep(0)
        finally:
            await gateway.backends.close()
    assert escaped == []


def honest_is_untouched(gateway: Gateway, before: object) -> None:
    assert gateway.router.backends["honest"] is before
    assert any(row["name"] == "honest" for row in msgspec.to_builtins(gateway.board._report)["servers"])


@settings(deadline=None, max_examples=150)
@given(
    raw=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-16")) | JSON.map(msgspec.json.encode)
)
def test_any_bytes_in_the_file_leave_the_last_good_configuration_in_force(raw: bytes) -> None:
    async def body(gateway: Gateway, path: Path) -> None:
        before = gateway.router.backends["honest"]
        path.write_bytes(raw)
        gateway.reload()
        assert gateway.config == GOOD
        assert str(path) in gateway.config_error
        honest_is_untouched(gateway, before)
        path.write_text(encode(GOOD) + "\n")
        gateway.reload()
        assert gateway.config_error == ""

    asyncio.run(within(body))


@settings(deadline=None, max_examples=150)
@given(field=st.sampled_from(sorted(FIELDS)), value=JSON | PLACES | PLACES.map(lambda place: [place]))
def test_any_value_of_a_servers_field_is_refused_or_concerns_that_server_alone(field: str, value: Any) -> None:
    entry = {key: content for key, content in FIELDS.items() if key in ("name", "url") or key == field} | {field: value}
    config = json.loads(encode(GOOD))
    config["servers"].append(entry)

    async def body(gateway: Gateway, path: Path) -> None:
        before = gateway.router.backends["honest"]
        path.write_bytes(msgspec.json.encode(config))
        gateway.reload()
        await asyncio.sleep(0)
        honest_is_untouched(gateway, before)
        assert gateway.config_error == "" or gateway.config == GOOD
        internal = next(iter(gateway.metrics.internal_errors.collect())).samples
        assert [sample for sample in internal if sample.value] == []

    asyncio.run(within(body))


ENTRIES = JSON | st.dictionaries(st.sampled_from(sorted(FIELDS)), JSON | PLACES)


@settings(deadline=None, max_examples=200)
@given(entry=ENTRIES | ENTRIES.map(lambda entry: FIELDS | entry if isinstance(entry, dict) else entry), first=st.booleans())
@example(entry={"name": "odd", "url": 5}, first=True)
@example(entry={"name": None}, first=True)
@example(entry=[], first=False)
@example(entry={"name": "honest", "pool": 0}, first=False)
def test_any_entry_of_a_server_leaves_the_file_and_the_other_servers_in_force(entry: Any, first: bool) -> None:
    config = json.loads(encode(GOOD))
    config["servers"].insert(0 if first else len(config["servers"]), entry)

    async def body(gateway: Gateway, path: Path) -> None:
        before = gateway.router.backends["honest"]
        path.write_bytes(raw := msgspec.json.encode(config))
        gateway.reload()
        await asyncio.sleep(0)
        assert gateway.config_error == ""
        assert gateway.reading.digest == digest(raw)
        if not (isinstance(entry, dict) and entry.get("name") == "honest"):
            honest_is_untouched(gateway, before)
        assert {"honest", "other"} <= gateway.router.backends.keys()
        rows = msgspec.to_builtins(gateway.board._report)["servers"]
        assert len(rows) == 3
        assert len({row["name"] for row in rows}) == 3
        assert len(gateway.router.backends) == 3 or rows[-1]["lastError"]["reason"] == "InvalidConfiguration"

    asyncio.run(within(body))


@pytest.mark.parametrize(
    "server",
    [
        Server(name="odd", url="http://tools.example.com:80443/mcp"),
        Server(name="odd", url=f"http://{'a' * 64}.example/mcp"),
        Server(name="odd", url="javascript:alert(1)"),
        Server(name="odd", addresses=(f"{'a' * 64}.example:1",)),
        Server(name="odd", addresses=("127.0.0.1:80443",)),
        Server(name="odd", addresses=("nothing",)),
    ],
    ids=["port", "label", "scheme", "address label", "address port", "no port"],
)
def test_an_address_that_cannot_exist_is_named_in_that_servers_last_error(tmp_path: Path, server: Server) -> None:
    async def body() -> None:
        path = tmp_path / "config.json"
        path.write_text(encode(Config(gateway="g", servers=(HONEST, server))))
        gateway = await start(Settings(config=path))
        gateway.configure(gateway.reading)
        backend = gateway.router.backends["odd"]
        async with asyncio.timeout(PATIENCE):
            while backend.snapshot.state != "Failed":  # noqa: ASYNC110 - the snapshot is a value
                await asyncio.sleep(0.01)
        failure = backend.snapshot.last_error
        await gateway.backends.close()
        assert failure is not None
        assert failure.reason == "InvalidAddress"
        assert "cannot be used" in failure.message

    asyncio.run(body())


@pytest.mark.parametrize("raw", [b"\xff\xfe", b'{"gateway":"\xc3\x28"}', b"[" * 100_000, b'{"gateway":"g","sessionTtl":1e999}'])
def test_a_file_that_cannot_be_decoded_is_one_clear_error_at_start(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(raw)
    with pytest.raises(ConfigError, match=r"config\.json: "):
        read_config(path)


def test_a_configuration_whose_use_fails_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        path = tmp_path / "config.json"
        path.write_text(encode(GOOD))
        gateway = await start(Settings(config=path))
        gateway.configure(gateway.reading)
        take = gateway.backends.configure

        def fail_for_new(config: Config, binding: Binding) -> Any:
            if config != GOOD:
                raise RuntimeError("a fault of the gateway")
            return take(config, binding)

        monkeypatch.setattr(gateway.backends, "configure", fail_for_new)
        path.write_text(encode(Config(gateway="other")))
        gateway.reload()
        assert gateway.config == GOOD
        assert gateway.router.config == GOOD
        assert "RuntimeError" in gateway.config_error
        assert set(gateway.router.backends) == {"honest", "other"}
        await gateway.backends.close()

    asyncio.run(body())
