"""`Mcp-Param-*` headers, equal to the SDK's where it follows the specification."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared import inbound

from mcpgateway.protocol import headers as mcp_headers
from mcpgateway.protocol import jsonrpc
from mcpgateway.protocol.jsonrpc import ProtocolError

SCHEMA = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "count": {"type": "integer", "x-mcp-header": "Count"},
        "deep": {"type": "object", "properties": {"on": {"type": "boolean", "x-mcp-header": "On"}}},
        "list": {"type": "array", "items": {"type": "string", "x-mcp-header": "Not-Reached"}},
        "number": {"type": "number", "x-mcp-header": "Not-Allowed"},
        "bad": {"type": "string", "x-mcp-header": "not a token"},
    },
}
TOOL = json.dumps({"name": "t", "inputSchema": SCHEMA}).encode()


def check(arguments: Any, **headers: str) -> None:
    sent = {b"mcp-param-" + name.encode(): value.encode() for name, value in headers.items()}
    mcp_headers.check(TOOL, json.dumps(arguments).encode(), sent)


def test_only_what_is_reached_through_properties_is_declared() -> None:
    found = mcp_headers.declared(TOOL)
    assert found == {
        "mcp-param-region": (("region",), "string"),
        "mcp-param-count": (("count",), "integer"),
        "mcp-param-on": (("deep", "on"), "boolean"),
    }
    assert mcp_headers.declared(b'{"name":"t","inputSchema":{"x-mcp-header":5}}') == {}
    assert mcp_headers.declared(b'{"name":"t","inputSchema":["x-mcp-header"]}') == {}


@pytest.mark.parametrize(
    ("arguments", "headers"),
    [
        ({}, {}),
        ({"region": None}, {}),
        ({"region": "eu"}, {"region": "eu"}),
        ({"region": "ü"}, {"region": "=?base64?w7w=?="}),
        ({"count": 5}, {"count": "5"}),
        ({"count": 5}, {"count": "5.0"}),
        ({"deep": {"on": True}}, {"on": "true"}),
    ],
)
def test_equal_ones_pass(arguments: Any, headers: dict[str, str]) -> None:
    check(arguments, **headers)


@pytest.mark.parametrize(
    ("arguments", "headers"),
    [
        ({"region": "eu"}, {}),
        ({}, {"region": "eu"}),
        ({"region": "eu"}, {"region": "us"}),
        ({"region": "eu"}, {"region": "=?base64?!!?="}),
        ({"region": ["eu"]}, {"region": "eu"}),
        ({"count": 5}, {"count": "five"}),
        ({"deep": {"on": True}}, {"on": "True"}),
        ({"deep": 5}, {"on": "true"}),
    ],
)
def test_different_ones_are_refused_by_name(arguments: Any, headers: dict[str, str]) -> None:
    with pytest.raises(ProtocolError, match="the header mcp-param-") as caught:
        check(arguments, **headers)
    assert caught.value.code == jsonrpc.HEADER_MISMATCH


values = st.fixed_dictionaries(
    {},
    optional={
        "region": st.text(st.characters(codec="utf-8"), max_size=20),
        "count": st.integers(-(2**53), 2**53),
        "deep": st.fixed_dictionaries({"on": st.booleans()}),
    },
)


@given(arguments=values)
def test_what_the_sdk_sends_is_accepted_and_what_we_send_is_the_same(arguments: Any) -> None:
    paths = {path: name.removeprefix("mcp-param-") for name, (path, _) in mcp_headers.declared(TOOL).items()}
    theirs = {name.lower(): value for name, value in inbound.mcp_param_headers(paths, arguments).items()}
    mcp_headers.check(TOOL, json.dumps(arguments).encode(), {k.encode(): v.encode("latin-1") for k, v in theirs.items()})
    assert {k: inbound.decode_header_value(v) for k, v in mcp_headers.mirrored(TOOL, json.dumps(arguments).encode()).items()} == {
        k: inbound.decode_header_value(v) for k, v in theirs.items()
    }
