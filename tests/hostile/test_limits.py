"""docs/limits.md says what the code does, and each of its rows has a test."""

from __future__ import annotations

import ast

import pytest
from msgspec import Raw

from mcpgateway.catalog import repair
from mcpgateway.catalog.model import KINDS
from mcpgateway.protocol import decoder, given_uris, jsonrpc, request_meta
from mcpgateway.requests import input_required
from mcpgateway.streams import listen
from tests.support import limits
from tests.support.limits import Limit
from tests.support.paths import ROOT

ROWS = [row for rows in limits.SECTIONS.values() for row in rows]


def test_the_page_is_what_the_constants_say() -> None:
    assert limits.PAGE.read_text() == limits.page(), "run `make limits`"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_each_bound_has_a_test(row: Limit) -> None:
    file, *names = row.test.split("::")
    assert (ROOT / file).exists(), file
    if names:
        tree = ast.parse((ROOT / file).read_text())
        assert names[0] in {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}, row.test


def test_a_name_at_the_bound_is_offered_and_one_beyond_is_hidden() -> None:
    kind = KINDS["resources"]
    longest = "note://" + "x" * (repair.MAX_KEY - 7)
    assert repair.key_of(kind, {"uri": Raw(jsonrpc.dump(longest))}) == longest
    with pytest.raises(repair.UnusableItemError, match=f"over {repair.MAX_KEY} characters"):
        repair.key_of(kind, {"uri": Raw(jsonrpc.dump(longest + "x"))})


def _offered(item: bytes) -> bytes:
    """A tool as it is offered. Raises: UnusableItemError."""
    steps = repair.repaired(KINDS["tools"], Raw(item))
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return bytes(end.value[1])


def _tool(member: bytes, value: bytes) -> bytes:
    return b'{"name":"t","inputSchema":{"type":"object"},"%b":%b}' % (member, value)


@pytest.mark.parametrize(
    ("largest", "beyond", "words"),
    [
        pytest.param(
            _tool(b"x", b'"' + b"x" * (repair.MAX_ITEM - len(_tool(b"x", b'""'))) + b'"'),
            _tool(b"x", b'"' + b"x" * (repair.MAX_ITEM - len(_tool(b"x", b'""')) + 1) + b'"'),
            "over 256 KiB",
            id="bytes",
        ),
        pytest.param(
            _tool(b"x", b'{"a":' * (repair.MAX_NESTING - 1) + b"1" + b"}" * (repair.MAX_NESTING - 1)),
            _tool(b"x", b'{"a":' * repair.MAX_NESTING + b"1" + b"}" * repair.MAX_NESTING),
            f"over {repair.MAX_NESTING} levels",
            id="levels",
        ),
        pytest.param(
            _tool(b"annotations", b"{%b}" % b",".join(b'"%d":1' % number for number in range(repair.MAX_MEMBERS))),
            _tool(b"annotations", b"{%b}" % b",".join(b'"%d":1' % number for number in range(repair.MAX_MEMBERS + 1))),
            f"over {repair.MAX_MEMBERS} members",
            id="members",
        ),
        pytest.param(
            _tool(b"x", b'["' + rb"\u202e" * repair.MAX_REPAIRS + b'"]'),
            _tool(b"x", b'["' + rb"\u202e" * (repair.MAX_REPAIRS + 1) + b'"]'),
            f"over {repair.MAX_REPAIRS} control",
            id="repairs",
        ),
    ],
)
def test_an_item_at_a_bound_is_offered_and_one_beyond_is_hidden(largest: bytes, beyond: bytes, words: str) -> None:
    assert _offered(largest)
    with pytest.raises(repair.UnusableItemError, match=words):
        _offered(beyond)


def test_an_item_at_the_bound_of_bytes_is_offered_and_one_beyond_is_hidden() -> None:
    largest = b'{"name":"' + b"x" * (repair.MAX_ITEM - 11) + b'"}'
    assert len(largest) == repair.MAX_ITEM
    repair.check_size(largest)
    with pytest.raises(repair.UnusableItemError, match="over 256 KiB"):
        repair.check_size(largest + b" ")


def test_an_item_at_the_bound_of_levels_is_offered_and_one_beyond_is_hidden() -> None:
    for levels, usable in ((repair.MAX_NESTING, True), (repair.MAX_NESTING + 1, False)):
        item = b'{"a":' * levels + b"1" + b"}" * levels
        if usable:
            repair.check_size(item)
        else:
            with pytest.raises(repair.UnusableItemError, match=f"over {repair.MAX_NESTING} levels"):
                repair.check_size(item)


def test_a_result_with_more_values_than_the_bound_is_not_searched_for_uris() -> None:
    link = b'{"content":[{"type":"resource_link","uri":"a://b"}],"x":[1' + b",1" * (given_uris.MAX_VALUES - 2) + b"]}"
    assert list(given_uris.given_uris(link)) == ["a://b"]
    assert list(given_uris.given_uris(link.replace(b"[1,", b"[1,1,"))) == []


@pytest.mark.parametrize(
    ("at_bound", "beyond"),
    [
        (b"[" + b",".join([b'"a://b"'] * listen.MAX_RESOURCES) + b"]", b"[" + b",".join([b'"a://b"'] * 1001) + b"]"),
        (b'["' + b"a" * (listen.MAX_URIS_BYTES - 4) + b'"]', b'["' + b"a" * (listen.MAX_URIS_BYTES - 3) + b'"]'),
        (b"[]", b"[1" + b",1" * 1_000_000 + b"]"),
    ],
    ids=["count", "bytes", "numbers"],
)
def test_a_stream_is_for_so_many_resources(at_bound: bytes, beyond: bytes) -> None:
    assert isinstance(listen._uris({"resourceSubscriptions": Raw(at_bound)}), list)
    with pytest.raises(jsonrpc.ProtocolError, match="must be at most 1000 strings"):
        listen._uris({"resourceSubscriptions": Raw(beyond)})


def test_a_client_declares_so_much() -> None:
    def declaring(size: int) -> bytes:
        return b'{"x":"' + b"x" * (size - 8) + b'"}'

    assert request_meta.asking(declaring(request_meta.MAX_CAPABILITIES)) == b"{}"
    with pytest.raises(jsonrpc.ProtocolError, match="capabilities have over 64 KiB"):
        request_meta.asking(declaring(request_meta.MAX_CAPABILITIES + 1))


def test_a_retry_is_compared_by_value_up_to_the_bound_and_by_bytes_beyond() -> None:
    def binding(arguments: bytes) -> str:
        return input_required.binding(principal="p", method="tools/call", params={"arguments": Raw(arguments)})

    for size, same in ((input_required.MAX_COMPARED, True), (input_required.MAX_COMPARED + 1, False)):
        compact = b'{"a":"' + b"x" * (size - 9) + b'"}'
        assert (binding(compact + b" ") == binding(b" " + compact)) is same
        assert binding(compact) == binding(compact)


def test_a_text_is_compared_by_its_value_up_to_the_bound() -> None:
    for count, same in ((decoder.MAX_COMPARED, True), (decoder.MAX_COMPARED + 1, False)):
        body = b"[" + b",".join([b"[]"] * (count - 1)) + b"]"
        assert (jsonrpc.canonical(body) == jsonrpc.canonical(body + b" ")) is same


@pytest.mark.parametrize("member", ["arguments", "inputResponses", "requestState", "notifications"])
def test_params_are_bounded_beside_the_members_that_stay_bytes(member: str) -> None:
    large = b'{"%b":"%b","x":"' % (member.encode(), b"l" * (2 << 20))
    room = request_meta.MAX_BESIDE - len(b'{"%b":,"x":""}' % member.encode())
    request_meta.check_params(Raw(large + b"x" * room + b'"}'))
    with pytest.raises(jsonrpc.ProtocolError, match="params have over 128 KiB beside arguments"):
        request_meta.check_params(Raw(large + b"x" * (room + 1) + b'"}'))
