"""The mounted configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcpgateway import config
from mcpgateway.edge.internal import parse_wait


def write(folder: Path, text: str) -> Path:
    file = folder / "config.json"
    file.write_text(text)
    return file


def test_what_the_operator_encodes_the_gateway_reads(tmp_path: Path) -> None:
    wanted = config.Config(gateway="gw", servers=(config.Server(name="a", addresses=("1.2.3.4:1",)),))
    file = write(tmp_path, config.encode(wanted))
    assert config.read_config(file) == (wanted, config.digest(config.encode(wanted)), {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "config.json: Input data was truncated"),
        ('{"gateway":"g","serverz":[]}', "unknown field `serverz`"),
        ('{"gateway":"g","servers":{"a":{}}}', "Expected `array`, got `object` - at `$.servers`"),
        ('{"servers":[]}', "missing required field `gateway`"),
    ],
)
def test_a_broken_file_names_the_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(config.ConfigError) as caught:
        config.read_config(write(tmp_path, text))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "server", "message"),
    [
        ('{"name":1}', "$.servers[1]", "Expected `str`, got `int` - at `$.servers[1].name`"),
        ('{"name":"a b"}', "$.servers[1]", "- at `$.servers[1].name`"),
        ("null", "$.servers[1]", "Expected `object`, got `null` - at `$.servers[1]`"),
        ("{}", "$.servers[1]", "missing required field `name` - at `$.servers[1]`"),
        ('{"name":"odd","url":5}', "odd", "Expected `str`, got `int` - at `$.servers[1].url`"),
        ('{"name":"odd","tools":[]}', "odd", "Expected `object`, got `array` - at `$.servers[1].tools`"),
        ('{"name":"odd","urls":""}', "odd", "unknown field `urls` - at `$.servers[1]`"),
        ('{"name":"honest"}', "honest ($.servers[1])", "two servers are named 'honest'"),
    ],
)
def test_a_broken_entry_of_a_server_is_that_servers_failure(tmp_path: Path, entry: str, server: str, message: str) -> None:
    file = write(tmp_path, f'{{"gateway":"g","servers":[{{"name":"honest"}},{entry},{{"name":"last"}}]}}')
    read = config.read_config(file)
    assert [found.name for found in read.config.servers] == ["honest", "last"]
    assert read.invalid.keys() == {server}
    assert message in read.invalid[server]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match="cannot be read: No such file"):
        config.read_config(tmp_path / "none.json")


def test_in_sidecar_mode_the_binding_has_the_addresses() -> None:
    server = config.Server(name="a", addresses=("1.2.3.4:1",), fallback="a.svc:1")
    assert config.addresses_of(server, config.Binding()) == ("1.2.3.4:1",)
    assert config.addresses_of(config.Server(name="a", fallback="a.svc:1"), config.Binding()) == ("a.svc:1",)
    sidecar = config.Binding(mode="Sidecar", addresses={"a": "127.0.0.1:4444"})
    assert config.addresses_of(server, sidecar) == ("127.0.0.1:4444",)
    assert config.addresses_of(config.Server(name="new"), sidecar) == ()


@pytest.mark.parametrize(("text", "seconds"), [("60s", 60.0), ("0", 0.0), ("2.5", 2.5)])
def test_waits(text: str, seconds: float) -> None:
    assert parse_wait(text) == seconds


@pytest.mark.parametrize("text", ["", "abc", "-1s", "301s", "nan", "1m"])
def test_bad_waits_are_refused_with_the_fix(text: str) -> None:
    with pytest.raises(ValueError, match="want"):
        parse_wait(text)
