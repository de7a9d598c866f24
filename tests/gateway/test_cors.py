"""Web pages of other origins: `allowedOrigins`, in a real browser and by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.gateway.conftest import server
from tests.support.bridges import ECHO, bridge
from tests.support.browsers import Pages, pages, report
from tests.support.gateways import TOKEN, Gateway, configuration, gateway
from tests.support.waiting import PATIENCE

ALLOWED, OTHER = "app.example.com", "evil.example.com"

SCRIPT = Path(__file__).with_name("clients") / "page.js"


@pytest.fixture(scope="module")
def page() -> Iterator[Pages]:
    with pages(SCRIPT.read_text()) as served:
        yield served


@pytest.fixture(scope="module")
def ours(bridge_program: Path, tmp_path_factory: pytest.TempPathFactory, page: Pages) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("cors")
    origins = (page.origin(ALLOWED),)
    with (
        bridge(bridge_program, folder, *ECHO, "legacy") as echo,
        gateway(folder, configuration(server("web", echo), folder=folder, allowed_origins=origins)) as running,
    ):
        running.await_ready()
        page.page = page.page.replace("@URL@", running.url).replace("@TOKEN@", TOKEN)
        yield running


def test_a_browser_lets_a_page_of_an_allowed_origin_use_everything(ours: Gateway, page: Pages, tmp_path: Path) -> None:
    assert report(page, ALLOWED, tmp_path) == {
        "wrongToken": 401,
        "session": "string",
        "called": {"text": "ü"},
        "streamed": ["text/event-stream", True],
        "listened": [200, ": open\n\n"],
        "ended": 204,
        "challenge": [401, 'Bearer realm="mcp"', "a valid bearer token is needed"],
        "modern": "complete",
        "oauth": "invalid_request",
    }


def test_a_browser_lets_a_page_of_another_origin_use_nothing(ours: Gateway, page: Pages, tmp_path: Path) -> None:
    assert report(page, OTHER, tmp_path) == {"wrongToken": "TypeError", "opened": False}


def preflight(ours: Gateway, origin: str, path: str = "/mcp", **headers: str) -> httpx2.Response:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST", **headers}
    return httpx2.request("OPTIONS", ours.url.replace("/mcp", path), headers=asked, timeout=PATIENCE)


def cors(answer: httpx2.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-") or name == "vary"}


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/mcp", "DELETE, GET, POST"),
        ("/sse", "GET"),
        ("/sse/messages", "POST"),
        ("/health", "GET, HEAD"),
        ("/token", "GET, POST"),
    ],
)
def test_a_preflight_needs_no_token_and_names_what_a_path_takes(ours: Gateway, page: Pages, path: str, methods: str) -> None:
    names = "authorization,content-type, mcp-session-id,mcp-param-x"
    answer = preflight(ours, page.origin(ALLOWED), path, **{"Access-Control-Request-Headers": names})
    assert (answer.status_code, answer.content) == (204, b"")
    assert cors(answer) == {
        "access-control-allow-origin": page.origin(ALLOWED),
        "access-control-allow-methods": methods,
        "access-control-allow-headers": names,
        "access-control-max-age": "600",
        "access-control-expose-headers": "Mcp-Session-Id, WWW-Authenticate, Retry-After, Allow",
        "vary": "Origin",
    }


def test_names_of_headers_that_are_none_are_not_permitted(ours: Gateway, page: Pages) -> None:
    answer = preflight(ours, page.origin(ALLOWED), **{"Access-Control-Request-Headers": "a b"})
    assert answer.status_code == 204
    assert "access-control-allow-headers" not in answer.headers


@pytest.mark.parametrize(
    "origin", ["http://evil.example.com", "null", "http://app.example.com.evil.example.com", "http://app.example.com"]
)
def test_other_origins_get_nothing(ours: Gateway, origin: str) -> None:
    answer = preflight(ours, origin)
    assert (answer.status_code, cors(answer)) == (403, {"vary": "Origin"})
    asked = ours.post({"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers={"Origin": origin})
    assert (asked.status_code, cors(asked)) == (403, {"vary": "Origin"})


def test_a_preflight_for_a_host_that_is_not_served_is_refused(ours: Gateway, page: Pages) -> None:
    assert preflight(ours, page.origin(ALLOWED), Host="other.example.com").status_code == 421


def test_options_that_are_no_preflight_are_answered_as_before(ours: Gateway) -> None:
    answer = httpx2.request("OPTIONS", ours.url, timeout=PATIENCE)
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET, POST")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/mcp", 401), ("GET", "/mcp", 401), ("PUT", "/mcp", 405), ("GET", "/no", 404), ("GET", "/health", 200)],
)
def test_a_page_can_read_every_refusal(ours: Gateway, page: Pages, method: str, path: str, status: int) -> None:
    answer = httpx2.request(method, ours.url.replace("/mcp", path), headers={"Origin": page.origin(ALLOWED)}, timeout=PATIENCE)
    assert answer.status_code == status
    assert (answer.headers["access-control-allow-origin"], answer.headers["vary"]) == (page.origin(ALLOWED), "Origin")


def test_a_page_can_read_that_its_request_is_too_large(ours: Gateway, page: Pages) -> None:
    headers = {"Origin": page.origin(ALLOWED), "Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}

    def chunks() -> Iterator[bytes]:
        yield from [b" " * (1 << 20)] * 5

    for content in (b" " * (5 << 20), chunks()):
        answer = httpx2.post(ours.url, content=content, headers=headers, timeout=PATIENCE)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (413, page.origin(ALLOWED))


def test_a_request_without_an_origin_has_none_of_it(ours: Gateway) -> None:
    answer = ours.modern("tools/list")
    assert (answer.status_code, cors(answer)) == (200, {})


def test_an_origin_that_is_withdrawn_loses_its_access_on_open_connections(ours: Gateway, page: Pages) -> None:
    def ask(client: httpx2.Client) -> tuple[int, Any]:
        answer = client.post(ours.url, content=body, headers=headers)
        return answer.status_code, answer.headers.get("access-control-allow-origin")

    origin = page.origin("later.example.com")
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"})
    headers = {"Origin": origin, "Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"} | ours.session()
    before = (ours.folder / "config.json").read_text()
    with httpx2.Client(timeout=PATIENCE) as client:
        assert [ask(client) for _ in range(3)] == [(403, None)] * 3
        ours.configure(before.replace(page.origin(ALLOWED), origin))  # type: ignore[arg-type]
        ours.await_status("the edit", lambda _: ask(client) == (200, origin))
        ours.configure(before)  # type: ignore[arg-type]
        ours.await_status("the edit", lambda _: ask(client) == (403, None))
