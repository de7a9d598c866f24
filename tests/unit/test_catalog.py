"""The catalog: names, merged lists, pages, rules, digests."""

from __future__ import annotations

import json
from dataclasses import replace
from operator import attrgetter

import pytest
from msgspec import Raw

from mcpgateway import config
from mcpgateway.catalog import intake, item_types, merge, model, naming, pages, repair, tool_rules
from mcpgateway.catalog.model import Item, KindName
from mcpgateway.protocol import jsonrpc

MERGING = merge.Merging(naming=config.ToolNames(), gateway="gw")


def item(kind: KindName, server: str, name: str, **more: object) -> Item:
    raw = {model.KINDS[kind].key: name, **more}
    return Item(kind=kind, server=server, name=name, raw=Raw(json.dumps(raw).encode()))


def tool(server: str, name: str, **more: object) -> Item:
    return item("tools", server, name, **more)


def build(*items: Item, prefix: config.PrefixPolicy = "Always", absent: tuple[str, ...] = ()) -> model.Catalog:
    servers = dict.fromkeys(item.server for item in items)
    offers = [model.Offer(tuple(item for item in items if item.server == server)) for server in servers]
    return merge.build(offers, merge.Merging(naming=config.ToolNames(prefix=prefix), gateway="gw", absent=absent))


def names(prefix: config.PrefixPolicy, *tools: Item, absent: tuple[str, ...] = ()) -> list[str]:
    built = build(*tools, prefix=prefix, absent=absent)
    listed = [tool["name"] for tool in json.loads(pages.page(built.listings["tools"], None, modern=False))["tools"]]
    assert listed == list(built.tools)
    assert json.loads(pages.page(built.listings["tools"], None, modern=True))["resultType"] == "complete"
    return listed


def test_prefixes() -> None:
    a, b, c = tool("x", "get"), tool("y", "get"), tool("y", "put")
    assert names("Always", a, b, c) == ["x_get", "y_get", "y_put"]
    assert names("OnConflict", a, b, c) == ["x_get", "y_get", "put"]
    assert names("Never", a, b, c) == ["get", "put"]


def test_a_hidden_tool_is_reported() -> None:
    built = build(tool("x", "get"), tool("y", "get"), prefix="Never")
    assert built.listings["tools"].hidden == ("y/get",)


def test_a_server_that_is_away_keeps_its_names_but_offers_nothing() -> None:
    built = build(tool("x", "get"), tool("y", "get"), prefix="OnConflict", absent=("x",))
    assert list(built.tools) == ["y_get"]
    assert built.listings["tools"].away == {"x_get": "x"}


def test_everything_but_the_name_is_the_servers_own() -> None:
    big, vendor = 2**70, {"deep": [1.50, "ü", None]}
    built = build(tool("x", "get", vendor=vendor, big=big))
    listed = json.loads(pages.page(built.listings["tools"], None, modern=False))
    assert listed == {"tools": [{"name": "x_get", "vendor": vendor, "big": big}]}


def test_prompts_are_named_like_tools_and_beside_them() -> None:
    built = build(tool("x", "get"), item("prompts", "x", "get"), item("prompts", "y", "get"))
    assert list(built.listings["prompts"].items) == ["x_get", "y_get"]
    assert list(built.tools) == ["x_get"]


def test_a_uri_stays_as_it_is_and_belongs_to_the_first_who_lists_it() -> None:
    built = build(item("resources", "x", "file:///a"), item("resources", "y", "file:///a"))
    assert json.loads(pages.page(built.listings["resources"], None, modern=False)) == {"resources": [{"uri": "file:///a"}]}
    assert built.listings["resources"].hidden == ("y/file:///a",)
    assert built.lister("file:///a") == "x"


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
def test_a_uri_that_a_template_makes_belongs_to_its_server(template: str, uri: str, matches: bool) -> None:
    built = build(item("resourceTemplates", "x", template))
    assert built.maker(uri) == ("x" if matches else None)


def long_list() -> model.Catalog:
    """Of 17 tools, of which 7 fit on a page."""
    filling = "x" * (pages.MAX_PAGE // 8)
    return build(*(tool("x", f"t{n:02}", description=filling) for n in range(17)))


def test_long_lists_come_in_pages_that_make_the_whole() -> None:
    built = long_list()
    listing, cursor, names = built.listings["tools"], None, []
    for size in (7, 7, 3):
        raw = pages.page(listing, cursor, modern=True)
        assert len(raw) <= pages.MAX_PAGE + 1000
        page = json.loads(raw)
        assert len(page["tools"]) == size
        names += [tool["name"] for tool in page["tools"]]
        cursor = page.get("nextCursor")
    assert (cursor, names) == (None, list(built.tools))


def test_a_page_has_thousands_of_items_but_at_least_one() -> None:
    many = build(*(tool("x", f"t{n}", description="d" * 1000) for n in range(5000))).listings["tools"]
    assert b"nextCursor" not in pages.page(many, None, modern=False)
    large = "x" * (pages.MAX_PAGE + 1)
    listing = build(tool("x", "a", description=large), tool("x", "b", description=large)).listings["tools"]
    first = json.loads(pages.page(listing, None, modern=False))
    assert [entry["name"] for entry in first["tools"]] == ["x_a"]
    second = json.loads(pages.page(listing, first["nextCursor"], modern=False))
    assert [entry["name"] for entry in second["tools"]] == ["x_b"]
    assert "nextCursor" not in second


@pytest.mark.parametrize(
    "cursor",
    [
        *("", "x", "tools.0.", "tools.7.wrong", "prompts.7.", "tools.99999999999.", "tools.-5.x"),
        *("tools." + "9" * 5000 + ".x", "tools.\u0667.x", "tools"),
    ],
)
def test_a_cursor_of_something_else_is_refused(cursor: str) -> None:
    listing = long_list().listings["tools"]
    with pytest.raises(jsonrpc.ProtocolError, match="start without a cursor"):
        pages.page(listing, cursor, modern=False)


def test_rules_choose_rename_and_describe_tools() -> None:
    rules = config.ToolRules(
        allow=("get_*", "put"),
        deny=("*_secret",),
        overrides=(
            config.ToolOverride(name="put", rename="store", description="ü"),
            config.ToolOverride(name="absent"),
        ),
    )
    tools = tuple(tool("x", name, description="d") for name in ("get_a", "get_secret", "put", "other"))
    offer = tool_rules.shaped(model.Offer((*tools, item("prompts", "x", "other"))), rules)
    built = merge.build([offer], MERGING)
    listed = json.loads(pages.page(built.listings["tools"], None, modern=False))["tools"]
    assert listed == [{"name": "x_get_a", "description": "d"}, {"name": "x_store", "description": "ü"}]
    assert built.tools["x_store"].name == "put"
    assert list(built.listings["prompts"].items) == ["x_other"]


def test_the_strictest_server_says_how_long_a_list_may_be_kept() -> None:
    def page(*hints: model.Hint | None) -> tuple[int, str]:
        offers = [model.Offer((tool(f"s{n}", "t"),), {} if hint is None else {"tools": hint}) for n, hint in enumerate(hints)]
        listing = merge.build(offers, MERGING).listings["tools"]
        found = json.loads(pages.page(listing, None, modern=True))
        return found["ttlMs"], found["cacheScope"]

    kept, longer, private = model.Hint(100, True), model.Hint(200, True), model.Hint(300, False)
    assert page(kept, longer) == (100, "public")
    assert page(longer, private) == (200, "private")
    assert page(longer, None) == (0, "private")
    assert page() == (0, "private")


def test_hints_that_make_no_sense_mean_not_at_all() -> None:
    for raw in (b"{}", b'{"ttlMs":-1}', b'{"ttlMs":"5"}', b'{"ttlMs":1.5,"cacheScope":7}', b'{"ttlMs":99999999999999}'):
        assert intake.parse_hint(Raw(raw)) == model.Hint()
    assert intake.parse_hint(Raw(b'{"ttlMs":5,"cacheScope":"public"}')) == model.Hint(5, True)


def test_a_digest_is_of_what_a_tool_says_and_not_of_how_it_is_written() -> None:
    def digest(raw: bytes) -> str:
        return Item("tools", "x", "t", Raw(raw)).digest

    assert digest(b'{"name":"t","n":1}') == digest(b'{ "n" : 1, "name":"t"}') != digest(b'{"name":"t","n":2}')
    a, b = tool("x", "a"), tool("x", "b")
    of = attrgetter("digest")
    assert of(model.Offer((a, b))) == of(model.Offer((b, a))) != of(model.Offer((a,)))
    assert of(model.Offer()) == ""


def test_what_has_changed_is_said_by_capability() -> None:
    a_tool, prompt, resource = tool("x", "t"), item("prompts", "x", "p"), item("resources", "x", "u:1")
    before = build(a_tool, prompt)
    assert build(a_tool, prompt).changed_since(before) == []
    assert build(a_tool, prompt, resource).changed_since(before) == ["resources"]
    assert build(prompt, resource).changed_since(before) == ["tools", "resources"]


def test_names_fit_and_stay_apart() -> None:
    long = [naming.fit("a" * 70 + tail) for tail in ("1", "2")]
    assert all(len(name) <= 64 for name in long)
    assert long[0] != long[1]
    assert naming.fit("with.dot") != naming.fit("with_dot")


def read(kind: KindName, *pages_: object) -> model.Offer:
    """The offer that is made of the pages of one list."""
    collected = intake.Intake("x")
    for page in pages_:
        raw = Raw(page if isinstance(page, bytes) else json.dumps(page).encode())
        for _ in collected.read(model.KINDS[kind], raw):
            pass
        if collected.following(model.KINDS[kind], raw) is None:
            break
    return collected.offer()


def listed(member: str, value: str) -> list[dict[str, object]]:
    """What clients are offered of a tool with one more member, beside a tool in order; text as JSON, which may be no Python."""
    page = f'{{"tools":[{{"name":"good","inputSchema":{{"type":"object"}}}},{{"name":"t","{member}":{value}}}]}}'
    built = merge.build([read("tools", page.encode())], MERGING)
    tools: list[dict[str, object]] = json.loads(pages.page(built.listings["tools"], None, modern=False))["tools"]
    assert tools[0] == {"name": "x_good", "inputSchema": {"type": "object"}}
    return tools[1:]


OBJECT = {"type": "object"}
LARGEST = 1.7976931348623157e308
NAMELESS = ['"text"', "7", "null", "[]", "{}", '{"name":""}', '{"name":5}', '{"name":"\\ud83d"}', '{"\\ud83d":1}']


@pytest.mark.parametrize(
    ("member", "value", "offered"),
    [
        ("description", "null", {}),
        ("description", "7", {}),
        ("description", '"cut \\ud83d"', {"description": "cut \ufffd"}),
        ("description", '"a\\u001b[31m\\u202eb\\r\\nc"', {"description": "a<U+001B>[31m<U+202E>b\r\nc"}),
        ("title", "null", {}),
        ("annotations", "null", {}),
        ("annotations", '{"readOnlyHint":"true","idempotentHint":true,"title":null}', {"annotations": {"idempotentHint": True}}),
        ("_meta", "null", {}),
        ("icons", "null", {}),
        ("x-vendor", "null", {"x-vendor": None}),
        ("inputSchema", "null", {}),
        ("inputSchema", "{}", {}),
        ("inputSchema", '{"type":"object","properties":null,"required":null}', {}),
        ("inputSchema", '{"required":["a",1]}', {}),
        (
            "inputSchema",
            '{"properties":{"a":true,"b":false,"c":null}}',
            {"inputSchema": {"properties": {"a": {}, "b": {"not": {}}, "c": {}}, "type": "object"}},
        ),
        (
            "inputSchema",
            '{"type":"object","maximum":1e999,"minimum":-1.79769313486232e308,"text":"1e999"}',
            {"inputSchema": {**OBJECT, "maximum": LARGEST, "minimum": -LARGEST, "text": "1e999"}},
        ),
        (
            "inputSchema",
            '{"type":"object","default":' + "9" * 400 + "}",
            {"inputSchema": {**OBJECT, "default": 1.7976931348623157e308}},
        ),
        ("outputSchema", "null", {}),
        ("outputSchema", '{"properties":{}}', {"outputSchema": {"properties": {}, "type": "object"}}),
    ],
)
def test_what_clients_would_refuse_is_put_right(member: str, value: str, offered: dict[str, object]) -> None:
    assert listed(member, value) == [{"name": "x_t", "inputSchema": OBJECT, **offered}]


@pytest.mark.parametrize(
    ("member", "value", "reason"),
    [
        ("inputSchema", "7", "its inputSchema is not an object"),
        ("inputSchema", '{"type":"string"}', 'the type in its inputSchema is not "object"'),
        ("inputSchema", '{"type":["object","null"]}', 'the type in its inputSchema is not "object"'),
        ("inputSchema", '{"properties":[]}', "the properties in its inputSchema are not an object"),
        ("inputSchema", '{"properties":{"a":7}}', "a property in its inputSchema is not a schema"),
        ("inputSchema", '{"a":' * 600 + "1" + "}" * 600, "it is nested over 60 levels deep"),
        ("description", '"' + "x" * repair.MAX_ITEM + '"', "it has over 256 KiB"),
        ("description", '"' + "\\u202e" * 1001 + '"', "it has over 1000 control or invisible characters"),
        ("description", '"' + "\\ud83d" * 1001 + '"', "it has over 1000 unpaired surrogates"),
        ("x", "[" + "1e999," * 1000 + "1e999]", "it has over 1000 numbers beyond the range of a double"),
    ],
)
def test_a_tool_that_cannot_be_put_right_is_hidden_by_name(member: str, value: str, reason: str) -> None:
    assert listed(member, value) == []
    page = f'{{"tools":[{{"name":"t","{member}":{value}}}]}}'.encode()
    offer = read("tools", page)
    assert offer.hidden == (model.HiddenItem("tools", "x", "t", reason),)
    assert offer.shortfall == f"1 item is not offered: tools t: {reason}"
    assert merge.build([offer], MERGING).listings["tools"].hidden == ("x/t",)


@pytest.mark.parametrize(
    "bad", ['"text"', "7", "null", "[]", "{}", '{"name":""}', '{"name":5}', '{"name":"\\ud83d"}', '{"\\ud83d":1}']
)
def test_an_item_without_a_usable_name_is_hidden(bad: str) -> None:
    offer = read("tools", f'{{"tools":[{bad},{{"name":"good"}}]}}'.encode())
    assert [item.name for item in offer.items] == ["good"]
    assert [item.name for item in offer.hidden] == ["(without a name)"]


@pytest.mark.parametrize(("count", "kept"), [(item_types.MAX_NESTED, True), (item_types.MAX_NESTED + 1, False)])
def test_a_prompt_with_too_many_arguments_is_offered_without_them(count: int, kept: bool) -> None:
    arguments = [{"name": f"a{number}"} for number in range(count)]
    (prompt,) = read("prompts", {"prompts": [{"name": "p", "arguments": arguments}]}).items
    assert json.loads(bytes(prompt.raw)) == {"name": "p", **({"arguments": arguments} if kept else {})}


def test_a_uri_with_hidden_characters_is_refused_and_its_name_is_shown_with_them() -> None:
    offer = read(
        "resources",
        {"resources": [{"uri": "file:///a\u202eb", "name": "n"}, {"uri": "file:///c", "name": "d\u202ee"}, {"uri": "u:1"}]},
    )
    assert [item.name for item in offer.hidden] == ["file:///a<U+202E>b"]
    assert [json.loads(bytes(item.raw)) for item in offer.items] == [
        {"uri": "file:///c", "name": "d<U+202E>e"},
        {"uri": "u:1", "name": "u:1"},
    ]


def tools_page(count: int, *, first: int = 0, size: int = 10, cursor: str = "") -> dict[str, object]:
    tools = [{"name": f"t{number}", "description": "d" * size} for number in range(first, first + count)]
    return {"tools": tools, "nextCursor": cursor} if cursor else {"tools": tools}


def test_a_list_is_bounded_by_items_and_says_so() -> None:
    assert read("tools", tools_page(intake.MAX_ITEMS)).shortfall == ""
    offer = read("tools", tools_page(intake.MAX_ITEMS + 10, cursor="next"), tools_page(1))
    assert len(offer.items) == intake.MAX_ITEMS
    assert offer.shortfall.startswith("11 items are not offered: tools t5000: more than 5000 items")
    assert offer.shortfall.endswith("; and 6 more")


def test_the_lists_of_a_server_are_bounded_by_bytes() -> None:
    size = intake.MAX_BYTES // 20 - 100
    assert len(read("tools", tools_page(20, size=size)).items) == 20
    offer = read("tools", tools_page(22, size=size))
    assert len(offer.items) == 20
    assert [item.name for item in offer.hidden] == ["t20", "t21"]


def test_pages_are_bounded_and_a_cursor_that_comes_again_ends_the_list() -> None:
    offer = read("tools", *(tools_page(1, first=number, cursor=f"c{number}") for number in range(intake.MAX_PAGES + 1)))
    assert len(offer.items) == intake.MAX_PAGES
    assert [item.name for item in offer.hidden] == ["(all pages that follow)"]
    again = read("tools", *(tools_page(1, first=number, cursor="same") for number in range(5)))
    assert (len(again.items), again.hidden) == (2, ())
    assert read("tools", tools_page(1, cursor="c" * intake.MAX_CURSOR), tools_page(1, first=1)).shortfall


def test_a_page_that_is_too_large_is_left_out_whole() -> None:
    offer = read("tools", tools_page(1, size=intake.MAX_PAGE, cursor="next"), tools_page(1))
    assert (offer.items, [item.name for item in offer.hidden]) == ((), ["(a whole page)", "(all pages that follow)"])


def test_reading_a_long_page_gives_others_their_turn() -> None:
    collected = intake.Intake("x")
    page = Raw(json.dumps(tools_page(1000, size=1000)).encode())
    assert sum(1 for _ in collected.read(model.KINDS["tools"], page)) > 10


def test_what_has_not_changed_is_not_made_again() -> None:
    offers = [model.Offer(tuple(tool(server, f"t{number}") for number in range(3))) for server in ("x", "y")]
    first = merge.build(offers, MERGING)
    away = merge.build(offers, replace(MERGING, absent={"x"}), before=first)
    assert list(away.tools) == ["y_t0", "y_t1", "y_t2"]
    assert all(a is b for a, b in zip(away.listings["tools"].rows, first.listings["tools"].rows[3:], strict=True))
    back = merge.build(offers, MERGING, before=away)
    assert back == first
    assert all(a is b for a, b in zip(back.listings["tools"].rows, first.listings["tools"].rows, strict=True))
    assert (back.count("x"), away.count("x"), away.count("y")) == (3, 0, 3)
