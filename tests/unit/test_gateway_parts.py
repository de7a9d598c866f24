"""The gateway's small pure modules: sessions, tokens, hosts, configuration."""

from __future__ import annotations

import contextlib
import string
from pathlib import Path

import pytest

from mcpgateway import config
from mcpgateway.access import credentials
from mcpgateway.access.keyring import KeyRing
from mcpgateway.access.sessions import Sessions, TooManySessionsError
from mcpgateway.edge.internal import parse_wait


class TestSessions:
    def test_any_replica_with_the_key_knows_a_session(self) -> None:
        first, second = (Sessions(KeyRing({"k1": b"x" * 32}), ttl=3600) for _ in range(2))
        token = first.issue(principal="alice", version="2025-11-25", now=1000)
        found = second.find(token, principal="alice", now=1001)
        assert found is not None
        assert found.version == "2025-11-25"
        assert len(token) <= 1024
        assert all(0x21 <= ord(c) <= 0x7E for c in token)

    def test_another_principal_an_old_token_and_a_forged_one_are_not_found(self) -> None:
        sessions = Sessions(KeyRing({"k1": b"x" * 32}), ttl=60)
        token = sessions.issue(principal="alice", version="2025-11-25", now=1000)
        assert sessions.find(token, principal="bob", now=1001) is None
        assert sessions.find(token, principal="alice", now=1061) is None
        assert sessions.find(token[:-2] + "AA", principal="alice", now=1001) is None
        assert Sessions(KeyRing({"k1": b"y" * 32}), ttl=3600).find(token, principal="alice", now=1001) is None
        for junk in ("", ".", "k1..", "k1.AA.AA", "k1." + "A" * 2000, "ü.x.y"):
            assert sessions.find(junk, principal="alice", now=1001) is None

    def test_an_ended_session_is_not_found(self) -> None:
        sessions = Sessions(KeyRing({}), ttl=3600)
        token = sessions.issue(principal="a", version="2025-11-25", now=1000)
        found = sessions.find(token, principal="a", now=1000)
        assert found is not None
        sessions.end(found)
        assert sessions.find(token, principal="a", now=1000) is None

    def test_an_idle_session_is_over_and_one_in_use_is_not(self) -> None:
        sessions = Sessions(KeyRing({}), ttl=3600, idle_timeout=60)
        quiet, used, reading = (sessions.issue(principal="a", version="2025-11-25", now=1000) for _ in range(3))
        ids = {name: sessions.find(token, principal="a", now=1000) for name, token in (("quiet", quiet), ("reading", reading))}
        assert sessions.find(used, principal="a", now=1050) is not None
        assert ids["reading"] is not None
        over = sessions.over(now=1061, busy={ids["reading"].id})
        assert over == [ids["quiet"]]
        sessions.end(over[0])
        assert [sessions.find(token, principal="a", now=1062) is None for token in (quiet, used, reading)] == [True, False, False]

    def test_sessions_are_bounded_and_only_new_ones_are_refused(self) -> None:
        ring = KeyRing({"k1": b"x" * 32})
        elsewhere, here = Sessions(ring, ttl=3600), Sessions(ring, ttl=3600, limit=2)
        tokens = [elsewhere.issue(principal="a", version="2025-11-25", now=1000) for _ in range(3)]
        assert all(here.find(token, principal="a", now=1000) for token in tokens * 2), "they began before"
        assert here.count == 2
        with pytest.raises(TooManySessionsError):
            here.issue(principal="a", version="2025-11-25", now=1000)
        found = here.find(tokens[2], principal="a", now=1000)
        assert found is not None
        here.end(found)
        assert here.issue(principal="a", version="2025-11-25", now=1000)

    def test_only_the_issued_spelling_of_a_session_id_is_accepted(self) -> None:
        sessions = Sessions(KeyRing({"k1": b"x" * 32}), ttl=3600)
        token = sessions.issue(principal="a", version="2025-11-25", now=1000)
        alphabet = string.ascii_letters + string.digits + "-_+/="
        for at in range(len(token)):
            for letter in alphabet:
                spelled = token[:at] + letter + token[at + 1 :]
                assert spelled == token or sessions.find(spelled, principal="a", now=1000) is None
        for more in (token + "=", token + "==", token + ".", " " + token, token + "\n", token.replace(".", "..", 1)):
            assert sessions.find(more, principal="a", now=1000) is None

    def test_one_principal_cannot_use_the_share_of_another(self) -> None:
        sessions = Sessions(KeyRing({"k1": b"x" * 32}), ttl=3600, limit=8, principals=2)
        with contextlib.suppress(TooManySessionsError):
            while True:
                sessions.issue(principal="greedy", version="2025-11-25", now=1000)
        assert sessions.count == 6, "its own share of 2, and the 4 that are for whoever comes first"
        tokens = [sessions.issue(principal="modest", version="2025-11-25", now=1000) for _ in range(2)]
        with pytest.raises(TooManySessionsError):
            sessions.issue(principal="modest", version="2025-11-25", now=1000)
        ended = sessions.find(tokens[0], principal="modest", now=1000)
        assert ended is not None
        sessions.end(ended)
        with pytest.raises(TooManySessionsError):
            sessions.issue(principal="greedy", version="2025-11-25", now=1000)
        assert sessions.issue(principal="modest", version="2025-11-25", now=1000)

    def test_a_principal_alone_can_use_all_sessions(self) -> None:
        sessions = Sessions(KeyRing({"k1": b"x" * 32}), ttl=3600, limit=8)
        assert len({sessions.issue(principal="a", version="2025-11-25", now=1000) for _ in range(8)}) == 8

    def test_rotated_keys_still_verify(self) -> None:
        old = Sessions(KeyRing({"k1": b"x" * 32}), ttl=3600)
        token = old.issue(principal="a", version="2025-11-25", now=1000)
        rotated = Sessions(KeyRing({"k1": b"x" * 32, "k2": b"z" * 32}), ttl=3600)
        assert rotated.find(token, principal="a", now=1000) is not None
        assert rotated.issue(principal="a", version="2025-11-25", now=1000).startswith("k2.")


class TestTokens:
    def table(self, folder: Path, *, value: bytes | None = b"s3cret\n", anonymous: bool = False) -> credentials.TokenTable:
        file = folder / "token"
        if value is not None:
            file.write_bytes(value)
        tokens = () if anonymous else (config.Token(name="dev", file=str(file), reference="mcp-token/token"),)
        return credentials.TokenTable(config.Auth(tokens=tokens, allow_unauthenticated=anonymous))

    def test_the_right_token_has_a_name_and_the_wrong_one_has_none(self, tmp_path: Path) -> None:
        table = self.table(tmp_path)
        assert table.principal(b"Bearer s3cret") == "dev"
        assert table.principal(b"bearer s3cret") == "dev"
        for wrong in (b"", b"Bearer ", b"Bearer s3cre", b"Basic s3cret", b"s3cret", b"Bearer \xff\xfe"):
            assert table.principal(wrong) is None

    @pytest.mark.parametrize("value", [None, b"", b"  \n"])
    def test_a_missing_or_empty_token_fails_closed_and_is_reported(self, tmp_path: Path, value: bytes | None) -> None:
        table = self.table(tmp_path, value=value)
        assert table.missing == ("mcp-token/token",)
        assert table.principal(b"Bearer ") is None

    def test_a_rotated_token_is_taken(self, tmp_path: Path) -> None:
        table = self.table(tmp_path)
        (tmp_path / "token").write_bytes(b"next")
        table.reload()
        assert table.principal(b"Bearer s3cret") is None
        assert table.principal(b"Bearer next") == "dev"

    def test_without_credentials_only_if_it_was_said(self, tmp_path: Path) -> None:
        assert self.table(tmp_path, anonymous=True).principal(b"") == credentials.ANONYMOUS
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


class TestConfig:
    def write(self, folder: Path, text: str) -> Path:
        file = folder / "config.json"
        file.write_text(text)
        return file

    def test_what_the_operator_encodes_the_gateway_reads(self, tmp_path: Path) -> None:
        wanted = config.Config(gateway="gw", servers=(config.Server(name="a", addresses=("1.2.3.4:1",)),))
        file = self.write(tmp_path, config.encode(wanted))
        assert config.read_config(file) == (wanted, config.digest(config.encode(wanted)))

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{", "config.json: Input data was truncated"),
            ('{"gateway":"g","serverz":[]}', "unknown field `serverz`"),
            ('{"gateway":"g","servers":[{"name":1}]}', r"Expected `str`, got `int` - at `$.servers[0].name`"),
            ('{"gateway":"g","servers":[{"name":"a"},{"name":"a"}]}', "two servers are named 'a'"),
        ],
    )
    def test_a_broken_file_names_the_place(self, tmp_path: Path, text: str, message: str) -> None:
        with pytest.raises(config.ConfigError) as caught:
            config.read_config(self.write(tmp_path, text))
        assert message in str(caught.value)

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(config.ConfigError, match="cannot be read: No such file"):
            config.read_config(tmp_path / "none.json")

    def test_in_sidecar_mode_the_binding_has_the_addresses(self) -> None:
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
