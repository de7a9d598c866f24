"""Decoding: arbitrary bytes and arbitrary JSON give a value or the one error, and what stays raw keeps its bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from mcpgateway.protocol import decoder, headers, jsonrpc, request_meta, translation
from mcpgateway.protocol.decoder import StandIn

SURROGATE = st.integers(0xD800, 0xDFFF).map(lambda code: f"\\u{code:04x}")
NUMBER = st.sampled_from(
    ["0", "-0", "1e999", "-1e999", "1.79769313486232e308", "9" * 400, "9" * 5000, "1E-999", "NaN", "-Infinity"]
)
STRING = st.lists(
    st.text(max_size=6).map(lambda text: json.dumps(text)[1:-1])
    | SURROGATE
    | st.sampled_from(["\\\\", "\\\\ud83d", "\\ufdd0", "\\uFDD1", "\ufdd0", "\\ud83d\\ude00", "\x1b", "ud83d"]),
    max_size=6,
).map(lambda parts: '"' + "".join(parts) + '"')
DEEP = st.sampled_from([1, 70, 600, 3000]).map(lambda depth: "[" * depth + "]" * depth)
LEAF = STRING | NUMBER | st.sampled_from(["null", "true", "[]", "{}"]) | DEEP
VALUE = st.recursive(
    LEAF,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda items: "[" + ",".join(items) + "]")
        | st.lists(st.tuples(STRING, inner), max_size=4).map(lambda pairs: "{" + ",".join(f"{k}:{v}" for k, v in pairs) + "}")
    ),
    max_leaves=8,
).map(lambda text: text.encode("utf-8", "surrogatepass"))
TEXT = st.binary(max_size=80) | VALUE | st.tuples(st.binary(max_size=4), VALUE, st.binary(max_size=4)).map(b"".join)

_TOOL = b'{"inputSchema":{"properties":{"a":{"type":"integer","x-mcp-header":"a"}}}}'
FUNCTIONS: list[Callable[[bytes], Any]] = [
    jsonrpc.decode,
    jsonrpc.members,
    jsonrpc.members_or_none,
    jsonrpc.items,
    jsonrpc.text,
    jsonrpc.value,
    jsonrpc.canonical,
    jsonrpc.error_code,
    jsonrpc.read_error,
    lambda body: decoder.deeper_than(body, 60),
    decoder.unpaired_count,
    lambda body: jsonrpc.salvage_id(body, {b"1"}),
    lambda body: request_meta.request_meta_of({"_meta": Raw(body)}),
    request_meta.asking,
    lambda body: headers.declared(b'{"inputSchema":{"properties":' + body + b',"x-mcp-header":""}}'),
    lambda body: headers.check(_TOOL, body, {b"mcp-param-a": b"1"}),
    lambda body: headers.mirrored(_TOOL, body),
    lambda body: translation.to_client(body + b'"resultType"', client="modern", upstream="legacy", cacheable=True),
    lambda body: translation.error_to_client(body + b"-32002", client="modern"),
    lambda body: translation.to_server({"_meta": Raw(body)}, upstream="modern", gateway="g"),
    lambda body: translation.question_to_legacy("elicitation/create", Raw(body + b'"url"'), id="1"),
]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: getattr(function, "__name__", ""))
@settings(deadline=None)
@given(body=TEXT)
@example(body=b'{"a":1e999}')
@example(body=b'{"a":"\xff"}')
@example(body=b'{"\\ud83d":1}')
@example(body=b"[" * 100_000 + b"]" * 100_000)
def test_any_bytes_give_a_value_or_the_one_error(function: Callable[[bytes], Any], body: bytes) -> None:
    try:
        function(body)
    except jsonrpc.ProtocolError as error:
        assert error.code in (jsonrpc.PARSE_ERROR, jsonrpc.INVALID_REQUEST, jsonrpc.INVALID_PARAMS, jsonrpc.HEADER_MISMATCH)  # noqa: PT017 - either outcome is right


def _python_reads(body: bytes) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True


@given(st.lists(STRING, max_size=4))
def test_unpaired_surrogates_arrive_as_the_same_bytes(strings: list[str]) -> None:
    inner = ("[" + ",".join(strings) + "]").encode("utf-8")
    if not _python_reads(inner):  # a control character
        return
    result = b'{"content":' + inner + b"}"
    envelope = jsonrpc.decode(b'{"jsonrpc":"2.0","id":"a-1","result":' + result + b"}")
    assert isinstance(envelope.result, Raw)
    assert bytes(envelope.result) == result
    content = jsonrpc.members(envelope.result)["content"]
    assert bytes(content) == inner
    assert [bytes(item) for item in jsonrpc.items(content)] == [text.encode() for text in strings]


@given(STRING)
def test_a_stand_in_is_taken_back_exactly(string: str) -> None:
    body = string.encode()
    stand_in = StandIn.of(body)
    if stand_in is not None:
        assert bytes(stand_in.restored(Raw(stand_in.text))) == body
        assert not re.search(rb"\\\\", stand_in.text)


def test_a_member_whose_name_is_half_an_emoji_fails_its_message_alone() -> None:
    with pytest.raises(jsonrpc.ProtocolError, match="params must be an object"):
        jsonrpc.members(b'{"\\ud83d":1}')
    assert jsonrpc.members(b'{"a\\\\b":"\\ud83d"}') == {"a\\b": Raw(b'"\\ud83d"')}


@pytest.mark.parametrize(
    ("body", "id"),
    [
        (b'{"jsonrpc":"2.0","id":"a-1","result":NaN}', b'"a-1"'),
        (b'{"jsonrpc":"2.0","id" : "a-1","result":{"x":"\xff"}}', b'"a-1"'),
        (b'{"result":{"id":"other"},"id":"a-1"}Done.', b'"a-1"'),
        (b'{"jsonrpc":"2.0","id":"a-2","result":NaN}', None),
        (b'{"jsonrpc":"2.0","result":NaN}', None),
    ],
)
def test_the_id_of_a_broken_response_is_seen_if_it_is_expected(body: bytes, id: bytes | None) -> None:
    with pytest.raises(jsonrpc.ProtocolError):
        jsonrpc.decode(body)
    assert jsonrpc.salvage_id(body, {b'"a-1"'}) == id


@pytest.mark.parametrize("before", [b"\xef\xbb\xbf", b" ", b"\t\r", b"\xef\xbb\xbf "])
def test_a_byte_order_mark_and_white_space_are_skipped(before: bytes) -> None:
    assert jsonrpc.decode(before + b'{"jsonrpc":"2.0","id":1,"result":{}} ').id == Raw(b"1")


@pytest.mark.parametrize("number", [b"1e999", b"1.79769313486232e308", b"9" * 5000])
def test_numbers_out_of_range_pass_as_bytes(number: bytes) -> None:
    body = b'{"jsonrpc":"2.0","id":1,"result":{"n":' + number + b"}}"
    assert bytes(jsonrpc.members(jsonrpc.decode(body).result)["n"]) == number
    assert jsonrpc.canonical(number) == number
    assert jsonrpc.read_error(b'{"code":' + number + b',"message":7,"data":' + number + b"}").code == jsonrpc.INTERNAL_ERROR


@given(st.integers(1, 900), st.sampled_from([b"[%b]", b'{"]}":%b}', b'["\\"[[",%b]']))
def test_nesting_counts_brackets_outside_of_strings(depth: int, level: bytes) -> None:
    raw = b'"[["'
    for _ in range(depth):
        raw = level % raw
    assert decoder.deeper_than(raw, depth - 1)
    assert not decoder.deeper_than(raw, depth)


def test_surrogates_are_searched_up_to_the_bound() -> None:
    def message(count: int) -> bytes:
        return b'{"jsonrpc":"2.0","id":1,"result":"' + b"\\ud83d" * count + b'"}'

    assert jsonrpc.decode(message(decoder.MAX_SURROGATES)).id == Raw(b"1")
    with pytest.raises(jsonrpc.ProtocolError, match="surrogate"):
        jsonrpc.decode(message(decoder.MAX_SURROGATES + 1))
    for unit, count in ((b"x", decoder.MAX_SEARCHED - len(message(1))), (b"\\\\", decoder.MAX_BACKSLASHES)):
        assert jsonrpc.decode(message(1).replace(b"\\u", unit * count + b"\\u")).id == Raw(b"1")
        with pytest.raises(jsonrpc.ProtocolError, match="not valid JSON"):
            jsonrpc.decode(message(1).replace(b"\\u", unit * (count + 1) + b"\\u"))
