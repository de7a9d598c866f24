"""Who may connect: tokens and mutual TLS."""

from __future__ import annotations

import contextlib
import datetime
import json
import socket
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.bridge.conftest import ATTACH, CAT, DIRECT, WATCH, Start
from tests.support.bridges import Bridge, Connection, until
from tests.support.waiting import PATIENCE


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("first\nsecond\n")
    return file


@pytest.mark.parametrize("greeting", [DIRECT, ATTACH, WATCH], ids=["direct", "attach", "watch"])
def test_every_mode_requires_a_token_of_the_file(start: Start, token_file: Path, greeting: dict[str, str]) -> None:
    running = start(*CAT, flags=(f"--token-file={token_file}",))
    for token, reason in (
        ("", "TokenMissing"),
        ("firs", "TokenWrong"),
        ("firstsecond", "TokenWrong"),
        ("t\u00f6k\u00e9n", "TokenWrong"),
    ):
        with running.connect({**greeting, "token": token}) as client:
            answer = client.control()
            assert (answer["error"], answer["reason"]) == ("access", reason)
            assert client.line() == b""
    assert running.children() == []
    for token in ("first", "second"):
        with running.connect({**greeting, "token": token}) as client:
            assert client.control()["instance"]
    assert 'refused_total{reason="access"} 4' in running.get("/metrics")[1]
    assert "first" not in running.log.read_text().replace(str(token_file), "")


def test_raw_connections_are_refused_where_a_token_is_required(start: Start, token_file: Path) -> None:
    running = start(*CAT, flags=(f"--token-file={token_file}",))
    with running.connect(b'{"jsonrpc":"2.0"}') as client:
        assert client.control()["reason"] == "GreetingRequired"
    assert running.children() == []


def test_a_rotated_token_applies_to_the_next_connection(start: Start, token_file: Path) -> None:
    running = start(*CAT, flags=(f"--token-file={token_file}",))
    token_file.write_text("third")
    for token, admitted in (("first", False), ("third", True)):
        with running.connect({**DIRECT, "token": token}) as client:
            assert ("instance" in client.control()) == admitted
    token_file.unlink()
    with running.connect({**DIRECT, "token": "third"}) as client:
        assert client.control()["reason"] == "NoToken"


@dataclass
class Authority:
    """Makes certificates for a single test."""

    folder: Path

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.folder.name)])
        self.folder.mkdir()
        self._write("ca.crt", self._sign(self._name, self._key.public_key(), authority=True))

    def _sign(self, name: x509.Name, key: ec.EllipticCurvePublicKey, *, authority: bool) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("bridge")]), critical=False)
        )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _write(self, name: str, content: bytes) -> Path:
        (self.folder / name).write_bytes(content)
        return self.folder / name

    @property
    def certificate(self) -> Path:
        return self.folder / "ca.crt"

    def issue(self, name: str) -> tuple[Path, Path]:
        """Files of a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return (
            self._write(f"{name}.crt", self._sign(subject, key.public_key(), authority=False)),
            self._write(f"{name}.key", pem),
        )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


def tls_flags(authority: Authority) -> tuple[str, ...]:
    certificate, key = authority.issue("bridge")
    return (f"--tls-cert={certificate}", f"--tls-key={key}", f"--tls-client-ca={authority.certificate}")


class SecureConnection(Connection):
    """A client over TLS."""

    def __init__(self, running: Bridge, greeting: dict[str, str] | bytes, server: Authority, client: Authority | None) -> None:
        context = ssl.create_default_context(cafile=str(server.certificate))
        if client is not None:
            context.load_cert_chain(*client.issue("client"))
        with contextlib.ExitStack() as refused:
            plain = refused.enter_context(socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE))
            self.socket = refused.enter_context(context.wrap_socket(plain, server_hostname="bridge"))
            self.file = refused.enter_context(self.socket.makefile("rb"))
            self.send(greeting if isinstance(greeting, bytes) else b"MCP-BRIDGE/1 " + json.dumps(greeting).encode())
            refused.pop_all()


@pytest.mark.parametrize("greeting", [DIRECT, ATTACH], ids=["direct", "attach"])
def test_lines_go_over_mutual_tls(start: Start, authority: Authority, greeting: dict[str, str]) -> None:
    running = start(*CAT, flags=tls_flags(authority))
    with SecureConnection(running, greeting, authority, authority) as client:
        client.control()
        for line in (b"{}", b"{" + b"x" * 1_000_000):
            client.send(line)
            assert client.line() == line
    if greeting is DIRECT:
        until("the process to end with its connection", lambda: running.children() == [])


def test_the_exit_report_comes_over_tls(start: Start, authority: Authority) -> None:
    running = start("sh", "-c", "read x; echo why >&2; exit 7", flags=tls_flags(authority))
    with SecureConnection(running, DIRECT, authority, authority) as client:
        client.control()
        client.send(b"{}")
        assert client.control()["exit"]["code"] == 7
        assert client.line() == b""


def test_a_client_without_the_right_certificate_reaches_nothing(start: Start, authority: Authority, tmp_path: Path) -> None:
    running = start(*CAT, flags=tls_flags(authority))
    stranger = Authority(tmp_path / "stranger")
    for client in (None, stranger):
        with pytest.raises((ssl.SSLError, ConnectionError)), SecureConnection(running, DIRECT, authority, client) as refused:
            refused.control()
    assert running.children() == []
    with SecureConnection(running, DIRECT, authority, authority) as admitted:
        assert admitted.control()["instance"]


def test_plain_text_on_a_tls_port_is_refused_with_a_reason(start: Start, authority: Authority) -> None:
    running = start(*CAT, flags=tls_flags(authority))
    with running.connect(DIRECT) as client:
        assert client.control()["reason"] == "TLSRequired"


def test_a_raw_client_is_refused_over_tls_too(start: Start, authority: Authority) -> None:
    running = start(*CAT, flags=tls_flags(authority))
    with SecureConnection(running, b"{}", authority, authority) as client:
        assert client.control()["reason"] == "GreetingRequired"


def test_a_rotated_certificate_is_used_for_the_next_connection(start: Start, authority: Authority) -> None:
    running = start(*CAT, flags=tls_flags(authority))
    with SecureConnection(running, DIRECT, authority, authority) as client:
        before = client.socket.getpeercert(binary_form=True)  # type: ignore[attr-defined]
    authority.issue("bridge")
    with SecureConnection(running, DIRECT, authority, authority) as client:
        assert client.socket.getpeercert(binary_form=True) != before  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--token-file={folder}/none"], "--token-file: open"),
        (["--token-file={folder}/empty"], "empty is empty"),
        (["--tls-cert=x"], "--tls-cert and --tls-key belong together"),
        (["--tls-client-ca=x"], "--tls-client-ca needs --tls-cert and --tls-key"),
        (["--tls-cert={folder}/empty", "--tls-key={folder}/empty"], "--tls-cert, --tls-key: tls: failed to find any PEM data"),
    ],
)
def test_access_files_that_would_refuse_every_client_are_an_error_at_start(
    program: Path, tmp_path: Path, flags: list[str], message: str
) -> None:
    (tmp_path / "empty").write_text("")
    arguments = [flag.format(folder=tmp_path) for flag in flags]
    done = subprocess.run([program, "serve", *arguments, "--", "cat"], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2
    assert message in done.stderr
