"""The era table: whatever a request says of itself, it is of one era or gets a code; translated there and back it is the same."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from mcpgateway.protocol import jsonrpc, request_meta, translation, versions
from mcpgateway.protocol.jsonrpc import ProtocolError

CODES = {jsonrpc.HEADER_MISMATCH, jsonrpc.UNSUPPORTED_VERSION, jsonrpc.INVALID_PARAMS}
SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3))
VERSIONS = st.sampled_from([*versions.LEGACY_VERSIONS, *versions.MODERN_VERSIONS, "1999-01-01", ""]) | st.text(max_size=12)
METHODS = st.sampled_from(
    ["tools/call", "tools/list", "resources/read", "initialize", "tasks/get", "server/discover", "vendor/x"]
)
NAMES = st.sampled_from(["echo", "größe", "=?base64?ZWNobw==?="]) | st.text(max_size=10)
HEADERS = st.dictionaries(
    st.sampled_from([b"mcp-protocol-version", b"mcp-method", b"mcp-name"]),
    st.binary(max_size=20) | VERSIONS.map(str.encode) | METHODS.map(str.encode) | NAMES.map(str.encode),
)
META = st.fixed_dictionaries(
    {},
    optional={
        request_meta.VERSION_KEY: VERSIONS | JSON,
        request_meta.CAPABILITIES_KEY: st.just({}) | JSON,
        "progressToken": JSON,
    },
)
PARAMS = st.fixed_dictionaries(
    {}, optional={"name": NAMES | JSON, "uri": NAMES | JSON, "taskId": NAMES | JSON, "arguments": JSON, "_meta": META | JSON}
)


def _era(
    envelope: jsonrpc.Envelope, headers: dict[bytes, bytes], params: dict[str, Raw] | None, meta: request_meta.RequestMeta
) -> versions.Era | int:
    try:
        return versions.classify(envelope, headers, params=params, meta=meta)
    except ProtocolError as error:
        return error.code


@given(method=METHODS, params=PARAMS | JSON, headers=HEADERS)
def test_any_request_is_of_one_era_or_is_refused_by_a_code(method: str, params: Any, headers: dict[bytes, bytes]) -> None:
    envelope = jsonrpc.decode(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode())
    members = jsonrpc.members_or_none(envelope.params)
    assert (members is None) == (not isinstance(params, dict))
    meta = request_meta.request_meta_of(members)
    found = _era(envelope, headers, members, meta)
    if isinstance(found, int):
        assert found in CODES
        return
    agreed = headers.get(b"mcp-protocol-version") == versions.MODERN_VERSIONS[0].encode()
    assert found == ("modern" if agreed else "legacy")
    if found == "modern":
        assert headers[b"mcp-method"].decode() == method
        assert isinstance(params["_meta"][request_meta.CAPABILITIES_KEY], dict)
    token = request_meta.progress_token(meta)
    assert token is None or isinstance(json.loads(token), (int, str))
    assert request_meta.log_level(meta) is None


@given(params=st.dictionaries(st.text(max_size=8).filter(lambda key: key != "_meta"), JSON, max_size=4))
def test_a_legacy_request_is_the_same_after_it_was_a_modern_one(params: dict[str, Any]) -> None:
    kept = {key: value for key, value in params.items() if key not in ("inputResponses", "requestState")}
    raw = {key: Raw(jsonrpc.dump(value)) for key, value in kept.items()}
    modern = translation.to_server(dict(raw), upstream="modern", gateway="g")
    assert jsonrpc.text(request_meta.request_meta_of(modern).version) == versions.MODERN_VERSIONS[-1]
    again = translation.to_server(modern, upstream="legacy", gateway="g")
    assert {key: bytes(value) for key, value in again.items()} == {key: bytes(value) for key, value in raw.items()}


@given(result=st.dictionaries(st.text(max_size=8), JSON, max_size=4), cacheable=st.booleans())
def test_a_result_only_gains_what_the_modern_era_requires(result: dict[str, Any], cacheable: bool) -> None:
    raw = json.dumps(result).encode()
    assert translation.to_client(raw, client="legacy", upstream="modern", cacheable=cacheable) == raw
    got = json.loads(translation.to_client(raw, client="modern", upstream="legacy", cacheable=cacheable))
    required = {"resultType": "complete"} | ({"ttlMs": 0, "cacheScope": "private"} if cacheable else {})
    assert got == {**required, **result}
