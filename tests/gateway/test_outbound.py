"""The way to remote servers: a private certificate authority, and a real proxy with CONNECT and credentials."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mcpgateway import config as gateway_config
from tests.support import proxies
from tests.support.certificates import Authority
from tests.support.gateways import Gateway, configuration, gateway
from tests.support.locks import free_port
from tests.support.remotes import fixture

PASS_ON = """
    ssl_certificate {file};
    ssl_certificate_key {file};
    location / {{
      proxy_pass http://gateway;
      proxy_set_header Host 127.0.0.1:{port};
      proxy_http_version 1.1;
      proxy_buffering off;
    }}
"""
USER, PASSWORD = "team", "p4ssw0rd"


@contextlib.contextmanager
def private(folder: Path, authority: Authority) -> Iterator[str]:
    """The conformance fixture behind TLS, with a certificate of a private authority: its URL."""
    certificate = folder / "server.pem"
    certificate.write_bytes(authority.issue("localhost"))
    with fixture() as url:
        port = int(url.split(":")[2].split("/")[0])
        with proxies.nginx(folder / "nginx", PASS_ON.format(file=certificate, port=port), gateway=port, listen=" ssl") as outside:
            yield f"https://localhost:{outside}/mcp"


@contextlib.contextmanager
def reaching(folder: Path, url: str, **more: Any) -> Iterator[Gateway]:
    server = gateway_config.Server(name="far", url=url, **{"call_timeout": 60.0, **more})
    with gateway(folder, configuration(server, folder=folder)) as ours:
        yield ours


def await_error(ours: Gateway, reason: str, words: str) -> None:
    def failed(status: dict[str, Any]) -> bool:
        error = status["servers"][0].get("lastError") or {}
        return error.get("reason") == reason and words in error.get("message", "")

    ours.await_status(f"{reason}: {words}", failed)


def test_a_private_authority_is_trusted_as_its_bundle_says_from_moment_to_moment(tmp_path: Path) -> None:
    authority, bundle = Authority.new("private"), tmp_path / "ca.pem"
    with private(tmp_path, authority) as url, reaching(tmp_path, url, ca_file=str(bundle), ca_reference="trust/ca.pem") as ours:
        await_error(ours, "MissingReference", "not there: trust/ca.pem")
        bundle.write_text("no certificate")
        await_error(ours, "InvalidCABundle", "no certificates in PEM: trust/ca.pem")
        bundle.write_bytes(b"# of the platform team\n" + Authority.new("another").certificate + authority.certificate)
        ours.await_ready()
        assert "simple text" in ours.text("far_test_simple_text")
        bundle.write_bytes(Authority.new("private").certificate)
        await_error(ours, "Unreachable", "its certificate is not valid")


def test_without_the_bundle_a_private_authority_is_not_trusted(tmp_path: Path) -> None:
    with private(tmp_path, Authority.new("private")) as url, reaching(tmp_path, url) as ours:
        await_error(ours, "Unreachable", "its certificate is not valid")


@pytest.mark.parametrize("tls", [True, False], ids=["https", "http"])
def test_requests_go_through_the_proxy_with_its_credentials(tmp_path: Path, tls: bool) -> None:
    authority, bundle, credentials = Authority.new("private"), tmp_path / "ca.pem", tmp_path / "credentials"
    bundle.write_bytes(authority.certificate)
    credentials.write_text(f"{USER}:wrong\n")
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(private(tmp_path, authority) if tls else fixture())
        proxy_url, log = stack.enter_context(proxies.forward(tmp_path, user=USER, password=PASSWORD))
        proxy = gateway_config.Proxy(url=proxy_url, file=str(credentials), reference="proxy/credentials")
        ours = stack.enter_context(reaching(tmp_path, url, proxy=proxy, ca_file=str(bundle)))
        # tinyproxy refuses with 401, which only in the answer to CONNECT can be told from the server's own.
        await_error(ours, "AccessDenied", "the proxy answers 401: check spec.remotes.proxy.credentials" if tls else "answers 401")
        credentials.write_text(f"{USER}:{PASSWORD}\n")
        ours.await_ready()
        assert "simple text" in ours.text("far_test_simple_text")
        assert ("CONNECT localhost:" if tls else "POST http://") in log.read_text()


def test_a_proxy_that_is_away_is_named_and_bypassed_where_it_is_not_wanted(tmp_path: Path) -> None:
    away = free_port()
    proxy = gateway_config.Proxy(url=f"http://127.0.0.1:{away}")
    with fixture() as url, reaching(tmp_path, url, proxy=proxy) as ours:
        await_error(ours, "Unreachable", f"no connection to the proxy 127.0.0.1:{away}")
        bypassing = gateway_config.Proxy(url=proxy.url, no_proxy=("127.0.0.0/8",))
        ours.configure(configuration(gateway_config.Server(name="far", url=url, proxy=bypassing), folder=tmp_path))
        ours.await_ready()
        assert "simple text" in ours.text("far_test_simple_text")
