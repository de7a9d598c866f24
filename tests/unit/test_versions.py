"""Which era a request belongs to; equal to the SDK's own ladder where the SDK follows the specification."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mcp.shared import inbound
from mcp_types import version as sdk_versions
from msgspec import Raw

from mcpgateway.protocol import jsonrpc, request_meta, translation, versions
from mcpgateway.protocol.jsonrpc import ProtocolError

MODERN = "2026-07-28"


def body(method: str = "tools/call", version: str | None = MODERN, capabilities: Any = ..., **params: Any) -> dict[str, Any]:
    meta: dict[str, Any] = {}
    if version is not None:
        meta[request_meta.VERSION_KEY] = version
    if capabilities is not None:
        meta[request_meta.CAPABILITIES_KEY] = {} if capabilities is ... else capabilities
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, **({"_meta": meta} if meta else {})}}


def headers(**named: str) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in named.items()}


def ours(message: dict[str, Any], sent: dict[str, str]) -> str | int:
    envelope = jsonrpc.decode(json.dumps(message).encode())
    try:
        params = jsonrpc.members_or_none(envelope.params)
        fields = {k.encode(): v.encode() for k, v in sent.items()}
        return versions.classify(envelope, fields, params=params, meta=request_meta.request_meta_of(params))
    except ProtocolError as error:
        return error.code


def theirs(message: dict[str, Any], sent: dict[str, str]) -> str | int:
    verdict = inbound.classify_inbound_request(message, headers=sent)
    return "modern" if isinstance(verdict, inbound.InboundModernRoute) else verdict.code


GOOD = headers(mcp_protocol_version=MODERN, mcp_method="tools/call", mcp_name="echo")
CALL = body(name="echo", arguments={})
CASES = {
    "good": (CALL, GOOD),
    "no version in _meta": (body(version=None, name="echo"), GOOD),
    "no _meta": (body(version=None, capabilities=None, name="echo"), GOOD),
    "no capabilities": (body(capabilities=None, name="echo"), GOOD),
    "another version in the body": (body(version="2025-11-25", name="echo"), GOOD),
    "no method header": (CALL, headers(mcp_protocol_version=MODERN, mcp_name="echo")),
    "another method": (CALL, GOOD | headers(mcp_method="tools/list")),
    "method in another case": (CALL, GOOD | headers(mcp_method="Tools/Call")),
    "no name header": (CALL, headers(mcp_protocol_version=MODERN, mcp_method="tools/call")),
    "another name": (CALL, GOOD | headers(mcp_name="other")),
    "an encoded name": (body(name="größe"), GOOD | headers(mcp_name="=?base64?Z3LDtsOfZQ==?=")),
    "a broken encoded name": (body(name="größe"), GOOD | headers(mcp_name="=?base64?Z3LD!!?=")),
    "list needs no name": (body("tools/list"), headers(mcp_protocol_version=MODERN, mcp_method="tools/list")),
    "resources are named by uri": (
        body("resources/read", uri="a://b"),
        headers(mcp_protocol_version=MODERN, mcp_method="resources/read", mcp_name="a://b"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_modern_ladder_is_the_sdks(name: str) -> None:
    message, sent = CASES[name]
    assert ours(message, sent) == theirs(message, sent)


def test_what_the_sdk_leaves_to_its_http_parser_and_to_its_models() -> None:
    assert ours(CALL, GOOD | headers(mcp_name=" echo ")) == "modern"
    assert ours(body(capabilities=[1], name="echo"), GOOD) == jsonrpc.INVALID_PARAMS


def test_versions_are_the_sdks() -> None:
    assert tuple(sdk_versions.HANDSHAKE_PROTOCOL_VERSIONS) == versions.LEGACY_VERSIONS
    assert tuple(sdk_versions.MODERN_PROTOCOL_VERSIONS) == versions.MODERN_VERSIONS


def test_error_statuses_are_the_sdks() -> None:
    for code, status in inbound.ERROR_CODE_HTTP_STATUS.items():
        if code in versions.HTTP_STATUS:
            assert versions.HTTP_STATUS[code] == status, code


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({}, "legacy"),
        (headers(mcp_protocol_version="2025-11-25"), "legacy"),
        (headers(mcp_protocol_version="2030-01-01"), jsonrpc.UNSUPPORTED_VERSION),
    ],
)
def test_a_body_without_metadata_goes_by_its_header(sent: dict[str, str], expected: str | int) -> None:
    assert ours(body("tools/list", None, None), sent) == expected


def test_a_modern_body_without_the_header_is_a_mismatch() -> None:
    assert ours(CALL, {}) == jsonrpc.HEADER_MISMATCH


def test_initialize_is_legacy_unless_it_is_stamped() -> None:
    assert ours(body("initialize", None, None), {}) == "legacy"
    stamped = headers(mcp_protocol_version=MODERN, mcp_method="initialize")
    assert ours(body("initialize"), stamped) == "modern"


@pytest.mark.parametrize(
    ("asked", "agreed"),
    [
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2025-03-26", "2025-03-26"),
        ("2024-11-05", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
        (None, "2025-11-25"),
    ],
)
def test_initialize_agrees_on_the_asked_version_or_the_latest(asked: str | None, agreed: str) -> None:
    assert versions.negotiate(asked) == agreed


def test_a_legacy_result_becomes_complete_for_a_modern_client() -> None:
    assert (
        translation.to_client(b'{"content":[]}', client="modern", upstream="legacy") == b'{"resultType":"complete","content":[]}'
    )
    assert translation.to_client(b"{ }", client="modern", upstream="legacy") == b'{"resultType":"complete"}'
    assert translation.to_client(b'{"resultType":"x"}', client="modern", upstream="legacy") == b'{"resultType":"x"}'
    assert translation.to_client(b'{"a":1}', client="legacy", upstream="modern") == b'{"a":1}'
    assert translation.to_client(b'{"a":1}', client="modern", upstream="modern") == b'{"resultType":"complete","a":1}'
    nested = b'{"a":{"resultType":"x"}}'
    kept = b'{"resultType":"complete","ttlMs":0,"cacheScope":"private","contents":[]}'
    assert translation.to_client(b'{"contents":[]}', client="modern", upstream="legacy", cacheable=True) == kept
    assert translation.to_client(nested, client="modern", upstream="legacy") == b'{"resultType":"complete",' + nested[1:]


def test_request_metadata_is_added_for_modern_and_taken_away_for_legacy_servers() -> None:
    plain = {"name": Raw(b'"x"'), "_meta": Raw(b'{"progressToken":7}')}
    stamped = translation.to_server(plain, upstream="modern", gateway="gw")
    assert set(json.loads(bytes(stamped["_meta"]))) == {
        "progressToken",
        request_meta.VERSION_KEY,
        request_meta.CAPABILITIES_KEY,
        request_meta.CLIENT_INFO_KEY,
    }
    assert translation.to_server(stamped, upstream="legacy", gateway="gw") == plain
    assert translation.to_server({"name": Raw(b'"x"')}, upstream="legacy", gateway="gw") == {"name": Raw(b'"x"')}
    assert translation.to_server(stamped, upstream="modern", gateway="gw") is stamped


def test_a_missing_resource_has_the_code_of_the_clients_era() -> None:
    missing = b'{"code":-32002,"message":"no such resource","data":{"uri":"x:1"}}'
    assert translation.error_to_client(missing, client="legacy") == missing
    assert translation.error_to_client(missing, client="modern") == missing.replace(b"-32002", b"-32602")
    other = b'{"code":-32000,"message":"-32002"}'
    assert translation.error_to_client(other, client="modern") == other


@pytest.mark.parametrize(
    ("meta", "token"),
    [
        (b'{"progressToken":"a"}', b'"a"'),
        (b'{"progressToken":7}', b"7"),
        (b'{"progressToken":null}', None),
        (b'{"progressToken":[1]}', None),
        (b"{}", None),
    ],
)
def test_progress_tokens_are_found_and_replaced(meta: bytes, token: bytes | None) -> None:
    params = {"name": Raw(b'"x"'), "_meta": Raw(meta)}
    assert request_meta.progress_token(request_meta.request_meta_of(params)) == token
    if token is not None:
        replaced = request_meta.with_progress_token(params, b'"mine"')
        assert request_meta.progress_token(request_meta.request_meta_of(replaced)) == b'"mine"'
        assert replaced["name"] is params["name"]
