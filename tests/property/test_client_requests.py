"""What a server may ask a client: only what the client has declared, with the name of the server that asks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from mcpgateway.protocol import client_requests, jsonrpc
from mcpgateway.protocol.client_requests import MAX_URL, checked, checked_result

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
ALL: dict[str, Any] = {"elicitation": {"form": {}, "url": {}}, "sampling": {"tools": {}}, "roots": {}}
METHODS = st.sampled_from([*client_requests.CAPABILITY, "vendor/strange", "tools/call", ""]) | st.text(max_size=20)


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def ask(method: str, params: Any, capabilities: Any = ALL) -> dict[str, Any]:
    result = checked(method, Raw(encoded(params)), server="files", capabilities=encoded(capabilities))
    assert result is not UNSET
    asked: dict[str, Any] = json.loads(bytes(result))
    return asked


@given(method=METHODS, params=JSON, capabilities=st.dictionaries(st.sampled_from([*ALL, "other"]), JSON))
@example(method="elicitation/create", params={"message": "m", "url": "javascript:alert(1)", "mode": "url"}, capabilities=ALL)
def test_whatever_a_server_asks_the_client_gets_what_it_has_declared(method: str, params: Any, capabilities: Any) -> None:
    try:
        asked = ask(method, params, capabilities)
    except jsonrpc.ProtocolError as error:
        assert error.code in (jsonrpc.METHOD_NOT_FOUND, jsonrpc.INVALID_PARAMS)  # noqa: PT017 - either outcome is right
        return
    needed = client_requests.CAPABILITY[method]
    assert isinstance(capabilities[needed], dict)
    if method == "elicitation/create":
        assert asked == {**params, "message": f"[files] {params['message']}"}
        assert asked.get("mode", "form") in ("form", "url")
    else:
        assert asked == params


@given(method=METHODS)
def test_a_client_without_capabilities_is_asked_nothing(method: str) -> None:
    with pytest.raises(jsonrpc.ProtocolError) as error:
        ask(method, {"message": "m"}, {})
    assert error.value.code == jsonrpc.METHOD_NOT_FOUND


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JavaScript://example.com/%0aalert(1)",
        "file:///etc/passwd",
        "data:text/html,x",
        "//example.com/",
        "/path",
        "https://",
        "https:example.com",
        "https://exa mple.com/",
        "https://example.com\\@evil.example/",
        "https://example.com/\n",
        "https://[::1/",
        "https://example.com/" + "x" * MAX_URL,
        "",
        7,
        None,
    ],
)
def test_a_url_that_a_browser_should_not_open_is_refused(url: Any) -> None:
    with pytest.raises(jsonrpc.ProtocolError, match=r"params\.url must be") as error:
        ask("elicitation/create", {"mode": "url", "message": "m", "url": url})
    assert error.value.code == jsonrpc.INVALID_PARAMS


def test_http_urls_pass() -> None:
    for url in ("https://example.com/a?b=c#d", "HTTP://localhost:8080/", "https://example.com/" + "x" * (MAX_URL - 20)):
        assert ask("elicitation/create", {"mode": "url", "message": "m", "url": url})["url"] == url


@pytest.mark.parametrize(
    ("mode", "declared", "allowed"),
    [
        (None, {}, True),
        ("form", {}, True),
        ("url", {}, False),
        ("form", {"applyDefaults": True}, True),
        ("form", {"url": {}}, False),
        ("url", {"url": {}}, True),
        ("form", {"form": {}}, True),
        ("url", {"form": {}}, False),
    ],
)
def test_an_elicitation_has_a_mode_that_the_client_has_declared(mode: str | None, declared: Any, allowed: bool) -> None:
    params = {"message": "m", "url": "https://example.com/"} | ({} if mode is None else {"mode": mode})
    try:
        ask("elicitation/create", params, {"elicitation": declared})
    except jsonrpc.ProtocolError as error:
        assert (allowed, error.code) == (False, jsonrpc.METHOD_NOT_FOUND)  # noqa: PT017 - either outcome is right
    else:
        assert allowed


def test_sampling_with_tools_needs_its_own_capability() -> None:
    assert ask("sampling/createMessage", {"tools": []}) == {"tools": []}
    with pytest.raises(jsonrpc.ProtocolError, match=r"sampling\.tools"):
        ask("sampling/createMessage", {"tools": []}, {"sampling": {}})


@given(value=JSON)
def test_a_modern_servers_questions_are_checked_in_its_result(value: Any) -> None:
    for requests in (value, {"a": value}, {"a": {"method": "elicitation/create", "params": value}}):
        raw = encoded({"resultType": "input_required", "inputRequests": requests})
        try:
            result = checked_result(raw, server="files", capabilities=encoded(ALL))
        except jsonrpc.ProtocolError as error:
            assert error.code in (jsonrpc.METHOD_NOT_FOUND, jsonrpc.INVALID_PARAMS)  # noqa: PT017 - either outcome is right
            continue
        for request in json.loads(result)["inputRequests"].values():
            assert request["params"]["message"].startswith("[files] ")


def test_a_result_that_asks_nothing_passes_as_it_is() -> None:
    for raw in (b'{"content": [ ]}', b'{"resultType":"complete","text":"input_required"}', b'{"resultType": "input_required"}'):
        assert checked_result(raw, server="files", capabilities=b"{}") == raw


def test_an_elicitation_is_bounded() -> None:
    def asking(size: int) -> Raw:
        return Raw(b'{"message":"' + b"m" * (size - len(b'{"message":""}')) + b'"}')

    capabilities = encoded(ALL)
    assert checked("elicitation/create", asking(client_requests.MAX_ELICITATION), server="s", capabilities=capabilities)
    with pytest.raises(jsonrpc.ProtocolError, match="an elicitation may have 256 KiB"):
        checked("elicitation/create", asking(client_requests.MAX_ELICITATION + 1), server="s", capabilities=capabilities)


def test_a_result_that_asks_is_bounded() -> None:
    def asking(size: int) -> bytes:
        start = b'{"resultType":"input_required","inputRequests":{},"x":"'
        return start + b"x" * (size - len(start) - 2) + b'"}'

    assert checked_result(asking(client_requests.MAX_QUESTIONS_BYTES), server="s", capabilities=b"{}")
    with pytest.raises(jsonrpc.ProtocolError, match="a result that asks has over 1 MiB"):
        checked_result(asking(client_requests.MAX_QUESTIONS_BYTES + 1), server="s", capabilities=b"{}")
