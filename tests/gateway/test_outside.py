"""Behind proxies: prefixes of paths, and outside hosts that proxies tell."""

from __future__ import annotations

import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcpgateway import config as gateway_config
from mcpgateway.edge import outside
from mcpgateway.edge.request_head import RequestHead, parse
from tests.gateway.conftest import server
from tests.support import clients, remotes
from tests.support.bridges import bridge
from tests.support.certificates import self_signed
from tests.support.edges import RawConnection, running_edge
from tests.support.gateways import TOKEN, Gateway, configuration, gateway
from tests.support.proxies import envoy, haproxy, nginx
from tests.support.waiting import PATIENCE

PROXIES = ("127.0.0.0/8",)
ROUTES = (gateway_config.Route(host="mcp.example.com", path="/team-a"), gateway_config.Route(host="mcp.example.org", path="/b/c"))
PASS = "proxy_http_version 1.1; proxy_buffering off; proxy_read_timeout 1h;"
# TLS in front, and a prefix that is kept, as by an Ingress, one that is taken away without a word, and one that is told.
SERVER = f"""
    ssl_certificate {{folder}}/tls.crt;
    ssl_certificate_key {{folder}}/tls.key;
    location /team-a/ {{{{ proxy_pass http://gateway; proxy_set_header Host $http_host; {PASS} }}}}
    location /silent/ {{{{ proxy_pass http://gateway/; proxy_set_header Host mcp.example.net; {PASS} }}}}
    location /told/ {{{{
      proxy_pass http://gateway/;
      proxy_set_header Host internal.example.com;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Prefix /told;
      {PASS}
    }}}}
"""
FRONTEND = """
  http-request set-header Host mcp.example.net if { path_beg /silent/ }
  http-request set-header X-Forwarded-Host %[req.hdr(host)] if { path_beg /told/ }
  http-request set-header Host internal.example.com if { path_beg /told/ }
  http-request set-header X-Forwarded-Prefix /told if { path_beg /told/ }
  http-request replace-path /(?:silent|told)(/.*) \\1 if { path_beg /silent/ /told/ }
"""
# A route of Envoy has no end of its own here, as the HTTPRoute that the operator renders.
ENVOY: list[dict[str, Any]] = [
    {"match": {"prefix": "/team-a/"}, "route": {"cluster": "gateway", "timeout": "0s"}},
    {
        "match": {"prefix": "/silent/"},
        "route": {"cluster": "gateway", "timeout": "0s", "prefix_rewrite": "/", "host_rewrite_literal": "mcp.example.net"},
    },
    {
        "match": {"prefix": "/told/"},
        "route": {
            "cluster": "gateway",
            "timeout": "0s",
            "prefix_rewrite": "/",
            "host_rewrite_literal": "internal.example.com",
            "append_x_forwarded_host": True,
        },
        "request_headers_to_add": [{"header": {"key": "X-Forwarded-Prefix", "value": "/told"}}],
    },
]


@pytest.fixture(scope="module")
def ours(bridge_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("outside")
    silent = gateway_config.Route(host="mcp.example.net", path="/silent")
    more: dict[str, Any] = {"routes": (*ROUTES, silent), "trusted_proxies": PROXIES, "allowed_hosts": ("mcp.example.net",)}
    with (
        bridge(bridge_program, folder, *remotes.fastmcp1_command()) as old,
        gateway(folder, configuration(server("old", old), folder=folder, **more)) as ours,
    ):
        ours.await_ready()
        yield ours


@pytest.fixture(scope="module", params=["nginx", "haproxy", "envoy"])
def tls(ours: Gateway, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[int]:
    """The port of a proxy with TLS."""
    folder = tmp_path_factory.mktemp(request.param)
    certificate, key = self_signed("localhost")
    (folder / "tls.crt").write_bytes(certificate)
    (folder / "tls.key").write_bytes(key)
    (folder / "tls.pem").write_bytes(certificate + key)
    if request.param == "nginx":
        running = nginx(folder, SERVER.format(folder=folder), gateway=ours.port, listen=" ssl")
    elif request.param == "envoy":
        running = envoy(folder, routes=ENVOY, gateway=ours.port, tls=(folder / "tls.crt", folder / "tls.key"))
    else:
        running = haproxy(folder, frontend=FRONTEND, gateway=ours.port, listen=f" ssl crt {folder}/tls.pem")
    with running as port:
        yield port


@pytest.mark.parametrize("path", ["/mcp", "/sse"])
@pytest.mark.parametrize("prefix", ["/team-a", "/silent", "/told"])
def test_a_client_reaches_a_gateway_below_a_prefix_and_behind_tls(tls: int, tmp_path: Path, prefix: str, path: str) -> None:
    plan = clients.Plan(calls=[{"name": "old_work", "arguments": {"steps": 1}}], resources=["memo://fastmcp1/all"])
    url = f"https://localhost:{tls}{prefix}{path}"
    seen = clients.report(
        clients.Way("TypeScript SDK 1"), plan, url, TOKEN, clients.scripts(tmp_path), NODE_TLS_REJECT_UNAUTHORIZED="0"
    )
    assert seen["called"][0]["content"][0]["text"] == "1 steps"
    assert seen["read"][0]["contents"][0]["text"] == "grüße"


def test_a_page_of_the_outside_host_may_use_a_gateway_whose_proxy_tells_its_host(tls: int) -> None:
    headers = {"Origin": f"https://localhost:{tls}", "Authorization": f"Bearer {TOKEN}"}
    for prefix, status in (("/told", 400), ("/silent", 403)):  # 400: admitted, without a session
        asked = httpx2.get(f"https://localhost:{tls}{prefix}/mcp", headers=headers, verify=False, timeout=PATIENCE)
        assert asked.status_code == status


@pytest.mark.parametrize("path", ["/mcp", "/team-a/mcp", "/b/c/mcp"])
def test_the_endpoint_is_served_with_a_configured_prefix_and_without(ours: Gateway, path: str) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    url = ours.url.replace("/mcp", path)
    headers = ours.session() | {"Authorization": f"Bearer {TOKEN}"}
    assert httpx2.post(url, json=body, headers=headers, timeout=PATIENCE).json()["result"] == {}


@pytest.mark.parametrize("path", ["/team-a", "/team-amcp", "/other/mcp", "/team-a/team-a/mcp", "/b/mcp"])
def test_other_prefixes_are_not_served(ours: Gateway, path: str) -> None:
    assert httpx2.get(ours.url.replace("/mcp", path), timeout=PATIENCE).status_code == 404


@pytest.mark.parametrize(
    ("path", "fields", "prefix"),
    [
        ("/sse", "Host: localhost", ""),
        ("/team-a/sse", "Host: localhost", "/team-a"),
        ("/sse", "Host: mcp.example.com", "/team-a"),
        ("/sse", "Host: MCP.example.com:8443", "/team-a"),
        ("/sse", "Host: localhost\r\nX-Forwarded-Prefix: /x/", "/x"),
        ("/b/c/sse", "Host: localhost\r\nX-Forwarded-Prefix: /evil, /x", "/x/b/c"),
        ("/sse", "Host: localhost\r\nX-Forwarded-Prefix: //evil.example.com", ""),
        ("/sse", "Host: localhost\r\nX-Forwarded-Prefix: /a b", ""),
        ("/sse", "Host: localhost\r\nX-Forwarded-Host: mcp.example.org", "/b/c"),
    ],
)
def test_the_first_event_of_sse_has_the_outside_path(tmp_path: Path, path: str, fields: str, prefix: str) -> None:
    hosts = ("mcp.example.com", "mcp.example.org")
    config = configuration(folder=tmp_path, routes=ROUTES, trusted_proxies=PROXIES, allowed_hosts=hosts)
    with running_edge(tmp_path, config=config) as edge, edge.connect() as raw:
        raw.send(f"GET {path} HTTP/1.1\r\n{fields}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
        assert first_event(raw).startswith(f"{prefix}/sse/messages?id=")


def first_event(raw: RawConnection) -> str:
    status, _ = raw.head()
    assert status == 200
    while not (line := raw.file.readline()).startswith(b"data: "):
        assert line
    return line.removeprefix(b"data: ").decode()


@pytest.mark.parametrize(
    ("fields", "host"),
    [
        ("Forwarded: for=1.2.3.4;host=out.example.com;proto=https", "out.example.com"),
        ('Forwarded: for="[2001:db8::1]:80"; Host="out.example.com:8443"', "out.example.com:8443"),
        ("Forwarded: host=evil.example.com, for=1.2.3.4;host=out.example.com", "out.example.com"),
        ("Forwarded: host=evil.example.com, for=1.2.3.4", "in.example.com"),
        ('Forwarded: for="x, for=1.2.3.4;host=out.example.com', "out.example.com"),
        ('Forwarded: for=", for="[::1]";host=out.example.com', "out.example.com"),
        ("X-Forwarded-Host: out.example.com", "out.example.com"),
        ("X-Forwarded-Host: evil.example.com, out.example.com", "out.example.com"),
        ("X-Forwarded-Host: out.example.com\r\nForwarded: host=out.example.com", "out.example.com"),
        ("X-Forwarded-Host: out.example.com\r\nForwarded: host=evil.example.com", "in.example.com"),
        ("X-Forwarded-Proto: https", "in.example.com"),
    ],
)
@pytest.mark.parametrize("peer", ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8::1"])
def test_the_host_that_a_trusted_proxy_tells_counts(fields: str, host: str, peer: str) -> None:
    head = read(fields)
    config = gateway_config.Config(gateway="g", trusted_proxies=("10.0.0.0/8", "2001:db8::/32"))
    outside.resolve(head, (peer, 5), config)
    assert head.fields[b"host"].decode() == host


@pytest.mark.parametrize("peer", [("192.0.2.1", 5), ("2001:db9::1", 5, 0, 0), None, "", ("", 0)])
@pytest.mark.parametrize("networks", [(), ("10.0.0.0/8", "2001:db8::/32")])
def test_others_are_not_believed(peer: Any, networks: tuple[str, ...]) -> None:
    head = read("Forwarded: host=evil.example.com\r\nX-Forwarded-Host: evil.example.com\r\nX-Forwarded-Prefix: /evil")
    assert outside.resolve(head, peer, gateway_config.Config(gateway="g", trusted_proxies=networks, routes=ROUTES)) == b"/sse"
    assert (head.fields[b"host"], head.prefix) == (b"in.example.com", b"")


def read(fields: str) -> RequestHead:
    return parse(f"GET /sse HTTP/1.1\r\nHost: in.example.com\r\n{fields}\r\n\r\n".encode())


# What a client sends of its own before what the nearest proxy appends.
SENT = st.text(alphabet=string.ascii_letters + string.digits + '.:;=,"\\ []-', max_size=40)


@given(SENT, st.sampled_from(["host=out.example.com", "for=1.2.3.4;host=out.example.com;proto=https", 'host="out.example.com"']))
def test_nothing_that_a_client_sends_replaces_the_host_that_the_proxy_appends(sent: str, appended: str) -> None:
    head = read(f"Forwarded: {sent}, {appended}")
    outside.resolve(head, ("10.0.0.1", 1), gateway_config.Config(gateway="g", trusted_proxies=("10.0.0.0/8",)))
    assert head.fields[b"host"] == b"out.example.com"


@given(st.binary(max_size=60))
def test_a_prefix_that_is_told_never_leads_to_another_host(value: bytes) -> None:
    printable = bytes(code for code in value if code >= 0x20 and code != 0x7F)
    head = read("")
    head.fields = {**head.fields, b"x-forwarded-prefix": printable}
    outside.resolve(head, ("10.0.0.1", 1), gateway_config.Config(gateway="g", trusted_proxies=("10.0.0.0/8",)))
    url = httpx2.URL("https://out.example.com/sse").join(head.prefix.decode("latin-1") + "/sse/messages?id=1")
    assert (url.host, url.scheme) == ("out.example.com", "https")


def test_a_network_that_is_none_is_refused_when_the_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"gateway":"g","trustedProxies":["10.0.0.0/8","proxy"]}')
    with pytest.raises(gateway_config.ConfigError, match="trustedProxies: 'proxy' does not appear to be"):
        gateway_config.read_config(file)
