"""Credentials, and the Host and Origin of a request."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcpgateway import config
from mcpgateway.access import credentials


def make_table(folder: Path, *, value: bytes | None = b"s3cret\n", anonymous: bool = False) -> credentials.TokenTable:
    file = folder / "token"
    if value is not None:
        file.write_bytes(value)
    tokens = () if anonymous else (config.Token(name="dev", file=str(file), reference="mcp-token/token"),)
    return credentials.TokenTable(config.Auth(tokens=tokens, allow_unauthenticated=anonymous))


def test_the_right_token_has_a_name_and_the_wrong_one_has_none(tmp_path: Path) -> None:
    table = make_table(tmp_path)
    assert table.principal(b"Bearer s3cret") == "dev"
    assert table.principal(b"bearer s3cret") == "dev"
    for wrong in (b"", b"Bearer ", b"Bearer s3cre", b"Basic s3cret", b"s3cret", b"Bearer \xff\xfe"):
        assert table.principal(wrong) is None


@pytest.mark.parametrize("value", [None, b"", b"  \n"])
def test_a_missing_or_empty_token_fails_closed_and_is_reported(tmp_path: Path, value: bytes | None) -> None:
    table = make_table(tmp_path, value=value)
    assert table.missing == ("mcp-token/token",)
    assert table.principal(b"Bearer ") is None


def test_a_rotated_token_is_taken(tmp_path: Path) -> None:
    table = make_table(tmp_path)
    (tmp_path / "token").write_bytes(b"next")
    table.reload()
    assert table.principal(b"Bearer s3cret") is None
    assert table.principal(b"Bearer next") == "dev"


def test_without_credentials_only_if_it_was_said(tmp_path: Path) -> None:
    assert make_table(tmp_path, anonymous=True).principal(b"") == credentials.ANONYMOUS
    assert credentials.TokenTable(config.Auth()).principal(b"") is None


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        (b"localhost:8811", True),
        (b"127.0.0.1", True),
        (b"[::1]:8811", True),
        (b"10.0.0.7:30811", True),
        (b"gw.ns.svc:8811", True),
        (b"evil.example.com", False),
        (b"", False),
        (b"gw.ns.svc.evil.com", False),
        (b"[::1", False),
        (b"GW.ns.svc", True),
        (b"evil\\@127.0.0.1", False),
        (b"evil.com@127.0.0.1", False),
        (b"localhost, evil.com", False),
        (b"localhost:port", False),
        (b"localhost/", False),
        (b"localhost\x00", False),
    ],
)
def test_hosts(host: bytes, allowed: bool) -> None:
    assert credentials.host_allowed(host, ("gw.ns.svc",)) is allowed


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (b"http://gw.ns.svc:8811", True),
        (b"https://app.example.com", True),
        (b"http://gw.ns.svc", False),
        (b"https://evil.com", False),
        (b"null", False),
        (b"file://gw.ns.svc:8811", False),
        (b"http://[", False),
        (b"http://evil.com\\@gw.ns.svc:8811", False),
        (b"http://evil.com@gw.ns.svc:8811", False),
        (b"http://gw.ns.svc:8811, https://evil.com", False),
        (b"http://gw.ns.svc:8811/", False),
        (b"https://app.example.com.evil.com", False),
    ],
)
def test_origins(origin: bytes, allowed: bool) -> None:
    assert credentials.origin_allowed(origin, b"gw.ns.svc:8811", ("https://app.example.com",)) is allowed


def test_a_local_page_may_reach_a_local_gateway() -> None:
    assert credentials.origin_allowed(b"http://localhost:3000", b"127.0.0.1:8811", ())
