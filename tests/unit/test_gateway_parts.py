"""The gateway's small pure modules: sessions, tokens, hosts, catalog, configuration."""

from __future__ import annotations

import contextlib
import json
import string
from pathlib import Path

import pytest
from msgspec import Raw

from mcpgateway import config
from mcpgateway.access import credentials
from mcpgateway.access.keyring import KeyRing
from mcpgateway.access.sessions import Sessions, TooManySessionsError
from mcpgateway.catalog import model
from mcpgateway.catalog.model import Item, KindName
from mcpgateway.edge.internal import parse_wait
from mcpgateway.protocol import jsonrpc


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


class TestCatalog:
    def item(self, kind: KindName, server: str, name: str, **more: object) -> Item:
        raw = {model.KINDS[kind].key: name, **more}
        return Item(kind=kind, server=server, name=name, raw=Raw(json.dumps(raw).encode()))

    def tool(self, server: str, name: str, **more: object) -> Item:
        return self.item("tools", server, name, **more)

    def build(self, *items: Item, prefix: config.PrefixPolicy = "Always", absent: tuple[str, ...] = ()) -> model.Catalog:
        return model.build([model.Offer(items)], naming=config.ToolNames(prefix=prefix), gateway="gw", absent=absent)

    def names(self, prefix: config.PrefixPolicy, *tools: Item, absent: tuple[str, ...] = ()) -> list[str]:
        built = self.build(*tools, prefix=prefix, absent=absent)
        listed = [tool["name"] for tool in json.loads(built.listings["tools"].page(None, modern=False))["tools"]]
        assert listed == list(built.tools)
        assert json.loads(built.listings["tools"].page(None, modern=True))["resultType"] == "complete"
        return listed

    def test_prefixes(self) -> None:
        a, b, c = self.tool("x", "get"), self.tool("y", "get"), self.tool("y", "put")
        assert self.names("Always", a, b, c) == ["x_get", "y_get", "y_put"]
        assert self.names("OnConflict", a, b, c) == ["x_get", "y_get", "put"]
        assert self.names("Never", a, b, c) == ["get", "put"]

    def test_a_hidden_tool_is_reported(self) -> None:
        built = self.build(self.tool("x", "get"), self.tool("y", "get"), prefix="Never")
        assert built.listings["tools"].hidden == ("y/get",)

    def test_a_server_that_is_away_keeps_its_names_but_offers_nothing(self) -> None:
        built = self.build(self.tool("x", "get"), self.tool("y", "get"), prefix="OnConflict", absent=("x",))
        assert list(built.tools) == ["y_get"]
        assert built.listings["tools"].away == {"x_get": "x"}

    def test_everything_but_the_name_is_the_servers_own(self) -> None:
        big, vendor = 2**70, {"deep": [1.50, "ü", None]}
        built = self.build(self.tool("x", "get", vendor=vendor, big=big))
        listed = json.loads(built.listings["tools"].page(None, modern=False))
        assert listed == {"tools": [{"name": "x_get", "vendor": vendor, "big": big}]}

    def test_prompts_are_named_like_tools_and_beside_them(self) -> None:
        built = self.build(self.tool("x", "get"), self.item("prompts", "x", "get"), self.item("prompts", "y", "get"))
        assert list(built.listings["prompts"].items) == ["x_get", "y_get"]
        assert list(built.tools) == ["x_get"]

    def test_a_uri_stays_as_it_is_and_belongs_to_the_first_who_lists_it(self) -> None:
        built = self.build(self.item("resources", "x", "file:///a"), self.item("resources", "y", "file:///a"))
        assert json.loads(built.listings["resources"].page(None, modern=False)) == {"resources": [{"uri": "file:///a"}]}
        assert built.listings["resources"].hidden == ("y/file:///a",)
        assert built.owner("file:///a") == "x"

    @pytest.mark.parametrize(
        ("template", "uri", "matches"),
        [
            ("notes://{id}", "notes://7", True),
            ("notes://{id}", "notes://7/body", False),
            ("notes://{id}/body", "notes://7/body", True),
            ("file:///{+path}", "file:///a/b/c", True),
            ("http://h/s{?q,lang}", "http://h/s?q=1&lang=de", True),
            ("http://h/s{?q}", "http://h/other", False),
            ("a.c://{x}", "abc://1", False),
        ],
    )
    def test_a_uri_that_a_template_makes_belongs_to_its_server(self, template: str, uri: str, matches: bool) -> None:
        built = self.build(self.item("resourceTemplates", "x", template))
        assert built.owner(uri) == ("x" if matches else None)

    def test_long_lists_come_in_pages_that_make_the_whole(self) -> None:
        built = self.build(*(self.tool("x", f"t{n}") for n in range(2 * model.PAGE + 1)))
        listing, cursor, names = built.listings["tools"], None, []
        for size in (model.PAGE, model.PAGE, 1):
            page = json.loads(listing.page(cursor, modern=True))
            assert len(page["tools"]) == size
            names += [tool["name"] for tool in page["tools"]]
            cursor = page.get("nextCursor")
        assert (cursor, names) == (None, list(built.tools))

    @pytest.mark.parametrize(
        "cursor",
        [
            *("", "x", "tools.0.", "tools.500.wrong", "prompts.500.", "tools.99999999999.", "tools.-5.x"),
            *("tools." + "9" * 5000 + ".x", "tools.\u0665\u0660\u0660.x", "tools"),
        ],
    )
    def test_a_cursor_of_something_else_is_refused(self, cursor: str) -> None:
        listing = self.build(*(self.tool("x", f"t{n}") for n in range(model.PAGE + 1))).listings["tools"]
        with pytest.raises(jsonrpc.ProtocolError, match="start without a cursor"):
            listing.page(cursor, modern=False)

    def test_rules_choose_rename_and_describe_tools(self) -> None:
        rules = config.ToolRules(
            allow=("get_*", "put"),
            deny=("*_secret",),
            overrides=(
                config.ToolOverride(name="put", rename="store", description="ü"),
                config.ToolOverride(name="absent"),
            ),
        )
        tools = tuple(self.tool("x", name, description="d") for name in ("get_a", "get_secret", "put", "other"))
        offer = model.shaped(model.Offer((*tools, self.item("prompts", "x", "other"))), rules)
        built = model.build([offer], naming=config.ToolNames(), gateway="gw")
        listed = json.loads(built.listings["tools"].page(None, modern=False))["tools"]
        assert listed == [{"name": "x_get_a", "description": "d"}, {"name": "x_store", "description": "ü"}]
        assert built.tools["x_store"].name == "put"
        assert list(built.listings["prompts"].items) == ["x_other"]

    def test_the_strictest_server_says_how_long_a_list_may_be_kept(self) -> None:
        def page(*hints: model.Hint | None) -> tuple[int, str]:
            offers = [
                model.Offer((self.tool(f"s{n}", "t"),), {} if hint is None else {"tools": hint}) for n, hint in enumerate(hints)
            ]
            listing = model.build(offers, naming=config.ToolNames(), gateway="gw").listings["tools"]
            found = json.loads(listing.page(None, modern=True))
            return found["ttlMs"], found["cacheScope"]

        kept, longer, private = model.Hint(100, True), model.Hint(200, True), model.Hint(300, False)
        assert page(kept, longer) == (100, "public")
        assert page(longer, private) == (200, "private")
        assert page(longer, None) == (0, "private")
        assert page() == (0, "private")

    def test_hints_that_make_no_sense_mean_not_at_all(self) -> None:
        for raw in (b"{}", b'{"ttlMs":-1}', b'{"ttlMs":"5"}', b'{"ttlMs":1.5,"cacheScope":7}', b'{"ttlMs":99999999999999}'):
            assert model.parse_hint(Raw(raw)) == model.Hint()
        assert model.parse_hint(Raw(b'{"ttlMs":5,"cacheScope":"public"}')) == model.Hint(5, True)

    def test_a_digest_is_of_what_a_tool_says_and_not_of_how_it_is_written(self) -> None:
        def digest(raw: bytes) -> str:
            return model.digest(Item("tools", "x", "t", Raw(raw)))

        assert digest(b'{"name":"t","n":1}') == digest(b'{ "n" : 1, "name":"t"}') != digest(b'{"name":"t","n":2}')
        a, b = self.tool("x", "a"), self.tool("x", "b")
        of = model.server_digest
        assert of(model.Offer((a, b))) == of(model.Offer((b, a))) != of(model.Offer((a,)))
        assert of(model.Offer()) == ""

    def test_what_has_changed_is_said_by_capability(self) -> None:
        tool, prompt, resource = self.tool("x", "t"), self.item("prompts", "x", "p"), self.item("resources", "x", "u:1")
        before = self.build(tool, prompt)
        assert self.build(tool, prompt).changed_since(before) == []
        assert self.build(tool, prompt, resource).changed_since(before) == ["resources"]
        assert self.build(prompt, resource).changed_since(before) == ["tools", "resources"]

    def test_names_fit_and_stay_apart(self) -> None:
        long = [model.fit("a" * 70 + tail) for tail in ("1", "2")]
        assert all(len(name) <= 64 for name in long)
        assert long[0] != long[1]
        assert model.fit("with.dot") != model.fit("with_dot")


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
