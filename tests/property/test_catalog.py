"""Names, URI templates and text of servers: whatever servers call things, clients get each of them, once, and see what it is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Raw

from mcpgateway import config
from mcpgateway.catalog import intake, merge, model, naming, pages
from mcpgateway.catalog.uri_templates import MAX_URI, UriTemplate
from mcpgateway.protocol import jsonrpc
from mcpgateway.protocol.visible_text import visible, visible_json

# --- names ----------------------------------------------------------------------------------------------------------------

SEPARATORS = st.sampled_from(["_", "-", "__"])
PREFIXES: st.SearchStrategy[config.PrefixPolicy] = st.sampled_from(["Always", "OnConflict", "Never"])
SERVERS = st.lists(st.text("ab-_", min_size=1, max_size=5) | st.text("ab-", min_size=30, max_size=40), unique=True, max_size=5)
OWN = st.text("ab-_", min_size=1, max_size=6) | st.text("a-_.ü", min_size=1, max_size=70) | st.text(min_size=1, max_size=5)
HASHES = st.builds(lambda own, key: naming.hashed(own, key), OWN, OWN)


@st.composite
def offers(draw: st.DrawFn) -> dict[str, list[str]]:
    """Tools by server; some servers' tools are called like others' exposed names."""
    tools = {server: draw(st.lists(OWN | HASHES, max_size=5)) for server in draw(SERVERS)}
    for server, names in tools.items():
        for other, others in list(tools.items()):
            if other != server and others and draw(st.booleans()):
                names.append(draw(st.sampled_from([naming.fit(f"{other}-{others[0]}"), f"{other}_{others[0]}", others[0]])))
    return tools


def offer(server: str, tools: list[str]) -> model.Offer:
    items = (model.Item("tools", server, name, Raw(jsonrpc.dump({"name": name}))) for name in tools)
    return model.Offer(tuple(items))


def exposed(tools: dict[str, list[str]], names: config.ToolNames, *servers: str) -> dict[tuple[str, str], str]:
    """The exposed name of each server's tool."""
    merging = merge.Merging(names, "gw", servers or tuple(tools))
    catalog = merge.build([offer(server, own) for server, own in tools.items()], merging)
    listed = json.loads(pages.page(catalog.listings["tools"], None, modern=False))["tools"]
    assert [tool["name"] for tool in listed] == list(catalog.tools)
    return {(item.server, item.name): name for name, item in catalog.tools.items()}


@given(offers(), PREFIXES, SEPARATORS)
@example({"a": ["b-echo"], "a-b": ["echo"]}, "Always", "-")
@example({"a-b": ["echo"], "a": ["b-echo"]}, "Always", "-")
@example({"a": ["b_get", "get"], "b": ["get", "b_get"]}, "OnConflict", "_")
def test_no_two_tools_share_a_name_and_none_is_lost_in_silence(
    tools: dict[str, list[str]], prefix: config.PrefixPolicy, separator: str
) -> None:
    names = config.ToolNames(prefix=prefix, separator=separator)
    catalog = merge.build([offer(server, own) for server, own in tools.items()], merge.Merging(names, "gw", tuple(tools)))
    everything = sorted(f"{server}/{name}" for server, own in tools.items() for name in own)
    offered = [f"{item.server}/{item.name}" for item in catalog.tools.values()]
    assert sorted([*offered, *catalog.listings["tools"].hidden]) == everything
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in catalog.tools)
    if prefix != "Never":
        assert len(offered) == len({(server, name) for server, own in tools.items() for name in own})


@given(offers(), SEPARATORS)
@example({"a": ["b-echo", "c"], "a-b": ["echo"]}, "-")
def test_a_new_server_renames_only_tools_that_begin_with_its_name(tools: dict[str, list[str]], separator: str) -> None:
    names = config.ToolNames(prefix="Always", separator=separator)
    after = exposed(tools, names)
    for new in tools:
        before = exposed({server: own for server, own in tools.items() if server != new}, names)
        for (server, own), name in before.items():
            assert after[server, own] == name or f"{server}{separator}{own}".startswith(f"{new}{separator}")


@given(offers(), SEPARATORS)
def test_names_do_not_depend_on_which_servers_have_answered(tools: dict[str, list[str]], separator: str) -> None:
    names = config.ToolNames(prefix="Always", separator=separator)
    everything = exposed(tools, names)
    for server in tools:
        alone = exposed({server: tools[server]}, names, *tools)
        assert alone == {key: name for key, name in everything.items() if key[0] == server}


@given(offers(), offers(), PREFIXES, SEPARATORS)
def test_a_catalog_made_from_an_earlier_one_is_the_same_as_one_made_from_nothing(
    first: dict[str, list[str]], second: dict[str, list[str]], prefix: config.PrefixPolicy, separator: str
) -> None:
    names = config.ToolNames(prefix=prefix, separator=separator)
    kept = {server: offer(server, own) for server, own in first.items()}
    before = merge.build(list(kept.values()), merge.Merging(names, "gw", tuple(first)))
    servers = {**second, **dict(list(first.items())[1:])}
    now = [kept.get(server) or offer(server, own) for server, own in servers.items()]
    merging = merge.Merging(names, "gw", tuple(servers), absent=tuple(first)[-1:])
    assert merge.build(now, merging, before=before) == merge.build(now, merging)


# --- URI templates --------------------------------------------------------------------------------------------------------

TEMPLATE = st.lists(st.sampled_from(["{x}", "{+x}", "{?q}", "{/y}", "a", "b", "ab", "/", "/a", "{", "}", "a.b"]), max_size=8).map(
    "".join
)


def reference(template: str) -> re.Pattern[str]:
    """The documented meaning as a pattern, which backtracks."""
    expressions = list(re.finditer(r"\{([+#./;?&]?)[^{}]*\}", template))
    wide = [number for number, expression in enumerate(expressions) if expression[1]]
    pattern, end = "", 0
    for number, expression in enumerate(expressions):
        between = bool(wide) and wide[0] < number < wide[-1]
        pattern += re.escape(template[end : expression.start()]) + (".*" if expression[1] or between else "[^/]*")
        end = expression.end()
    return re.compile(pattern + re.escape(template[end:]), re.DOTALL)


@given(TEMPLATE, st.text("ab/.{}", max_size=14))
@example("{x}b{y}c", "abzbc")
@example("{+x}b{y}c", "b/bc")
@example("{+a}x{b}y{+c}z", "xx/yz")
def test_a_template_matches_what_the_reference_matches(template: str, uri: str) -> None:
    assert UriTemplate.parse(template).matches(uri) == bool(reference(template).fullmatch(uri))


class CountedText(str):
    """Text that counts how many characters its searches may have read."""

    __slots__ = ("read",)
    read: int

    def find(self, sub: str, start: int = 0, end: int | None = None) -> int:  # type: ignore[override]
        place = super().find(sub, start, len(self) if end is None else end)
        self.read += max(
            0, (len(self) if place < 0 and end is None else end if place < 0 and end is not None else place) - start
        ) + len(sub)
        return place

    def rfind(self, sub: str, start: int = 0, end: int | None = None) -> int:  # type: ignore[override]
        stop = len(self) if end is None else end
        place = super().rfind(sub, start, stop)
        self.read += max(0, stop - max(place, start)) + len(sub)
        return place


@given(
    st.lists(st.sampled_from(["{x}", "{+x}", "a", "aa", "ab", "/"]), max_size=40).map("".join),
    st.sampled_from(["a", "aab", "a/"]),
)
def test_matching_reads_each_character_a_few_times_at_most(template: str, repeated: str) -> None:
    uri = CountedText((repeated * MAX_URI)[: MAX_URI - 1] + "z")
    uri.read = 0
    UriTemplate.parse(template).matches(uri)
    assert uri.read <= 4 * MAX_URI + 4 * len(template)


def test_a_longer_uri_matches_no_template() -> None:
    template = UriTemplate.parse("a{x}")
    assert template.matches("a" * MAX_URI)
    assert not template.matches("a" * (MAX_URI + 1))


# --- text that is seen ----------------------------------------------------------------------------------------------------

HIDDEN = [
    *range(9),
    0x0B,
    0x0C,
    0x0D,
    *range(0x0E, 0x20),
    *range(0x7F, 0xA0),
    *range(0x2028, 0x202F),
    *range(0x2066, 0x206A),
    0xE0041,
    0xE007F,
]
TEXT = st.lists(
    st.sampled_from(HIDDEN).map(chr) | st.text(max_size=4) | st.sampled_from(["\r\n", "\\", "\\u202e", "ü", '"'])
).map("".join)


@given(TEXT, st.booleans())
def test_hidden_characters_are_shown_however_json_writes_them(text: str, plain: bool) -> None:
    if any(0xD800 <= ord(char) < 0xE000 for char in text):
        return
    raw = json.dumps({"d": [text]}, ensure_ascii=plain).encode()
    assert json.loads(visible_json(raw)) == {"d": [visible(text)]}
    assert visible(visible(text)) == visible(text)
    for before, char in pairwise(f" {visible(text)} "):
        assert char in "\t\n" or char == "\r" or ord(char) not in HIDDEN, before


@pytest.mark.parametrize("text", ["tab\tline\nwindows\r\nü 漢字 😀 e\u0301 שלום\u200f", "plain"])
def test_other_text_is_the_same_object(text: str) -> None:
    raw = json.dumps(text, ensure_ascii=False).encode()
    assert visible(text) == text
    assert visible_json(raw) == raw


# --- lists of servers -----------------------------------------------------------------------------------------------------

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
MEMBER = st.sampled_from(
    ["name", "uri", "uriTemplate", "title", "description", "inputSchema", "outputSchema", "annotations", "icons"]
)
ITEM = ANY | st.dictionaries(MEMBER, ANY, max_size=5)
PAGE = ANY | st.fixed_dictionaries({}, optional={kind: ANY | st.lists(ITEM, max_size=4) for kind in (*model.KINDS, "nextCursor")})


@given(PAGE, st.sampled_from(list(model.KINDS.values())))
def test_any_page_is_taken_or_refused_and_what_is_taken_can_be_listed(page: object, kind: model.Kind) -> None:
    raw = json.dumps(page).encode()
    try:
        jsonrpc.decode(b'{"jsonrpc":"2.0","id":1,"result":' + raw + b"}")
        collected = intake.Intake("x")
        list(collected.read(kind, Raw(raw)))
        collected.following(kind, Raw(raw))
    except jsonrpc.ProtocolError:
        return
    offered = collected.offer()
    catalog = merge.build([offered], merge.Merging(config.ToolNames(), "gw"))
    listed = json.loads(pages.page(catalog.listings[kind.name], None, modern=True), parse_constant=_refuse)[kind.name]
    assert len(listed) == len(catalog.listings[kind.name].items) <= len(offered.items)
    for item in listed:
        assert all(isinstance(item.get(member, ""), str) for member in ("name", "title", "description"))
        assert kind.name != "tools" or item["inputSchema"]["type"] == "object"


_refuse: Callable[[str], object] = pytest.fail
