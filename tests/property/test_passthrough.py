"""What passes is passed as it was written: byte for byte, but for ids, names and the keys that an era requires."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from mcpgateway import config
from mcpgateway.catalog import merge, model, pages
from mcpgateway.protocol import jsonrpc, request_meta, translation, versions

ERAS = st.sampled_from(["legacy", "modern"])
SPACE = st.text(" \t\n\r", max_size=2)
KEY = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(lambda key: not key.startswith("_meta"))
SPECIAL = {"resultType", "ttlMs", "cacheScope", "inputResponses", "requestState", "name", "uri", "progressToken", "_meta"}


def _string(value: str, *, ascii_only: bool) -> str:
    return json.dumps(value, ensure_ascii=ascii_only)


STRING = st.builds(
    lambda value, plain: _string(value, ascii_only=plain), st.text(st.characters(codec="utf-8"), max_size=12), st.booleans()
)
# Numbers as no library writes them back: exponents, trailing zeros, more digits than a float has.
NUMBER = st.sampled_from(["0", "-0", "1.50", "1E5", "1e+05", "123456789012345678901234567890", "0.10000000000000000555", "-1.0"])
LEAF = st.one_of(STRING, NUMBER, st.sampled_from(["true", "false", "null"]))


def _array(items: list[str], space: str) -> str:
    return "[" + space + f",{space}".join(items) + space + "]"


def _object(items: dict[str, str], space: str, *, plain: bool = False) -> str:
    members = [f"{_string(key, ascii_only=plain)}{space}:{space}{value}" for key, value in items.items()]
    return "{" + space + f"{space},".join(members) + space + "}"


VALUE = st.recursive(
    LEAF,
    lambda inner: st.one_of(
        st.builds(_array, st.lists(inner, max_size=3), SPACE), st.builds(_object, st.dictionaries(KEY, inner, max_size=3), SPACE)
    ),
    max_leaves=12,
)
MEMBERS = st.dictionaries(KEY.filter(lambda key: key not in SPECIAL), VALUE, max_size=5)


def flat(raw: Raw | bytes | str) -> bytes:
    """A value as it must arrive: line breaks outside of strings may have become spaces."""
    return jsonrpc.one_line(raw.encode() if isinstance(raw, str) else bytes(raw))


@given(members=MEMBERS, meta=MEMBERS, space=SPACE, client=ERAS, server=ERAS)
def test_params_reach_the_server_as_the_client_wrote_them(
    members: dict[str, str], meta: dict[str, str], space: str, client: versions.Era, server: versions.Era
) -> None:
    ours = {request_meta.VERSION_KEY: '"2026-07-28"', request_meta.CAPABILITIES_KEY: "{}"} if client == "modern" else {}
    body = _object({**members, "_meta": _object({**meta, **ours}, space)}, space)
    envelope = jsonrpc.decode(b'{"jsonrpc":"2.0","id":1,"method":"m","params":' + body.encode() + b"}")
    sent = translation.to_server(jsonrpc.members(envelope.params), upstream=server, gateway="g")
    line = jsonrpc.request(b'"x-1"', "m", jsonrpc.dump(sent))
    assert b"\n" not in line
    arrived = jsonrpc.members(jsonrpc.decode(line).params)
    assert {key: flat(value) for key, value in arrived.items() if key != "_meta"} == {k: flat(v) for k, v in members.items()}
    inner = jsonrpc.members(arrived.get("_meta", Raw(b"{}")))
    kept = {key: flat(value) for key, value in inner.items() if not key.startswith(request_meta.META)}
    assert kept == {key: flat(value) for key, value in meta.items()}
    assert (request_meta.VERSION_KEY in inner) == (server == "modern")


@given(members=MEMBERS, space=SPACE, client=ERAS, server=ERAS, cacheable=st.booleans())
def test_results_reach_the_client_as_the_server_wrote_them(
    members: dict[str, str], space: str, client: versions.Era, server: versions.Era, cacheable: bool
) -> None:
    own = {**members, **({"resultType": '"complete"', "ttlMs": "5", "cacheScope": '"public"'} if server == "modern" else {})}
    line = b'{"jsonrpc":"2.0","id":"x-1","result":' + flat(_object(own, space)) + b"}"
    raw = jsonrpc.decode(line).result
    assert isinstance(raw, Raw)
    answer = jsonrpc.result(b"7", translation.to_client(bytes(raw), client=client, upstream=server, cacheable=cacheable))
    arrived = jsonrpc.members(jsonrpc.decode(answer).result)
    assert {key: flat(value) for key, value in arrived.items() if key in own} == {key: flat(value) for key, value in own.items()}
    added = set(arrived) - set(own)
    assert added <= {"resultType", "ttlMs", "cacheScope"}
    assert ("resultType" in arrived) or client == "legacy"
    if client == "legacy":
        assert not added


@given(members=MEMBERS, space=SPACE, prefix=st.sampled_from(["Always", "Never"]))
def test_a_tool_is_listed_as_its_server_describes_it(members: dict[str, str], space: str, prefix: config.PrefixPolicy) -> None:
    raw = Raw(_object({"name": '"t"', **members}, space).encode())
    offer = model.Offer((model.Item("tools", "s", "t", raw),))
    built = merge.build([offer], merge.Merging(naming=config.ToolNames(prefix=prefix), gateway="g"))
    page = jsonrpc.members(Raw(pages.page(built.listings["tools"], None, modern=True)))
    (listed,) = jsonrpc.items(page["tools"])
    arrived = {key: flat(value) for key, value in jsonrpc.members(listed).items()}
    assert arrived.pop("name") == (b'"s_t"' if prefix == "Always" else b'"t"')
    assert arrived == {key: flat(value) for key, value in members.items()}
