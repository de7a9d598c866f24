"""Framing and envelopes on arbitrary bytes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcpgateway.protocol import jsonrpc
from mcpgateway.protocol.limits import LineTooLong
from mcpgateway.upstream.bridge.framing import LineSplitter

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4),
    max_leaves=12,
)


@given(st.lists(st.binary(max_size=40)))
def test_lines_do_not_depend_on_how_bytes_arrive(chunks: list[bytes]) -> None:
    splitter = LineSplitter()
    lines = [line for chunk in chunks for line in splitter.feed(chunk)]
    assert lines == b"".join(chunks).split(b"\n")[:-1]


@given(st.integers(1, 200), st.integers(1, 50))
def test_a_line_over_the_limit_is_refused_however_it_arrives(size: int, step: int) -> None:
    splitter, data = LineSplitter(limit=100), b"x" * size + b"\n"
    pieces = [data[i : i + step] for i in range(0, len(data), step)]
    if size <= 100:
        assert sum(len(splitter.feed(piece)) for piece in pieces) == 1
    else:
        with pytest.raises(LineTooLong):
            b"".join(line for piece in pieces for line in splitter.feed(piece))


@settings(max_examples=500)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_protocol_error(body: bytes) -> None:
    try:
        jsonrpc.decode(body)
    except jsonrpc.ProtocolError as error:
        assert error.code in (jsonrpc.PARSE_ERROR, jsonrpc.INVALID_REQUEST)  # noqa: PT017 - either outcome is right


@given(json_values, st.integers() | st.text())
def test_params_and_ids_pass_byte_for_byte(value: object, id: int | str) -> None:
    raw_id, params = json.dumps(id).encode(), json.dumps({"value": value}).encode()
    envelope = jsonrpc.decode(b'{"jsonrpc":"2.0","id":' + raw_id + b',"method":"m","params":' + params + b"}")
    assert bytes(envelope.id) == raw_id  # type: ignore[arg-type]
    assert bytes(envelope.params) == params  # type: ignore[arg-type]
    assert json.loads(jsonrpc.result(raw_id, params)) == {"jsonrpc": "2.0", "id": id, "result": {"value": value}}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", jsonrpc.PARSE_ERROR),
        (b"nonsense", jsonrpc.PARSE_ERROR),
        (b'{"jsonrpc":"2.0","id":1,"method":"m"', jsonrpc.PARSE_ERROR),
        (b'{"jsonrpc":"2.0","id":1,"method":"m","params":NaN}', jsonrpc.PARSE_ERROR),
        (b'{"jsonrpc":"2.0","id":1,"method":"\xff"}', jsonrpc.PARSE_ERROR),
        (b'{"jsonrpc":"2.0","id":1,"method":"m","params":' + b"[" * 100_000 + b"]" * 100_000 + b"}", jsonrpc.PARSE_ERROR),
        (b'[{"jsonrpc":"2.0","id":1,"method":"m"}]', jsonrpc.INVALID_REQUEST),
        (b'{"id":1,"method":"m"}', jsonrpc.INVALID_REQUEST),
        (b'{"jsonrpc":"1.0","id":1,"method":"m"}', jsonrpc.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":null,"method":"m"}', jsonrpc.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"m"}', jsonrpc.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":{},"method":"m"}', jsonrpc.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', jsonrpc.INVALID_REQUEST),
    ],
)
def test_bad_messages_get_the_code_that_the_specification_names(body: bytes, code: int) -> None:
    with pytest.raises(jsonrpc.ProtocolError) as caught:
        jsonrpc.decode(body)
    assert caught.value.code == code


def test_a_huge_integer_keeps_its_digits() -> None:
    digits = b"9" * 400
    assert bytes(jsonrpc.decode(b'{"jsonrpc":"2.0","id":' + digits + b',"method":"m"}').id) == digits  # type: ignore[arg-type]


def test_pretty_printed_json_becomes_one_line() -> None:
    assert b"\n" not in jsonrpc.request(b'"a"', "m", b'{\r\n "x": "a\\nb"\n}')
