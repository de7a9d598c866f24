"""The keys of the proof to bridges, held against an independent implementation."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from hypothesis import given
from hypothesis import strategies as st

from mcpgateway.upstream.bridge.proof import BridgeKeys, ProofError, canonical_address
from mcpgateway_operator.render.bridge_keys import key_pair
from tests.support.bridges import GatewayKey
from tests.support.paths import ROOT

CHALLENGE = base64.b64encode(bytes(range(32))).decode()
PEER = ("127.0.0.1", 4444)


@given(st.binary(min_size=32, max_size=32))
def test_a_key_pair_is_what_openssl_reads(seed: bytes) -> None:
    pair = key_pair(seed)
    private = load_pem_private_key(pair.private, password=None)
    assert isinstance(private, Ed25519PrivateKey)
    assert private.private_bytes_raw() == seed
    assert private.public_key() == load_pem_public_key(pair.public)


def test_the_last_key_in_sorted_order_signs_what_the_bridge_verifies(tmp_path: Path) -> None:
    old, new = GatewayKey(), GatewayKey()
    (tmp_path / "1.pem").write_bytes(old.private)
    (tmp_path / "2.pem").write_bytes(new.private)
    (tmp_path / "..data").mkdir()
    answer = cast("dict[str, Any]", BridgeKeys(tmp_path).prove(challenge=CHALLENGE, server="time", peer=PEER))["proof"]
    assert (answer["server"], answer["address"]) == ("time", "127.0.0.1:4444")
    message = f"MCP-BRIDGE/1 proof\n{CHALLENGE}\ntime\n127.0.0.1:4444".encode()
    signature = base64.b64decode(answer["signature"])
    cast("Ed25519PublicKey", load_pem_public_key(new.public)).verify(signature, message)
    with pytest.raises(InvalidSignature):
        cast("Ed25519PublicKey", load_pem_public_key(old.public)).verify(signature, message)


@given(st.text() | st.binary().map(lambda raw: base64.b64encode(raw).decode()))
def test_nothing_but_32_bytes_in_base64_is_signed(challenge: str) -> None:
    with pytest.raises(ProofError, match=r"malformed challenge|no key"):
        BridgeKeys(None).prove(challenge=challenge, server="time", peer=PEER)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "holds no key"),
        (b"", "is not a PEM file"),
        (b"\xff", "cannot be read"),
        (GatewayKey().public, "is not a PEM file"),
        (GatewayKey().private[:60], "is not a PEM file"),
        (b"-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n", "is not a PEM file"),
    ],
    ids=["no file", "empty", "not text", "a public key", "cut off", "not base64"],
)
def test_an_unusable_key_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "private.pem").write_bytes(content)
    with pytest.raises(ProofError, match=message):
        BridgeKeys(tmp_path).prove(challenge=CHALLENGE, server="time", peer=PEER)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProofError, match=r"cannot be read: .*none"):
        BridgeKeys(tmp_path / "none").prove(challenge=CHALLENGE, server="time", peer=PEER)


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("10.0.0.1", "10.0.0.1:4444"),
        ("::ffff:10.0.0.1", "10.0.0.1:4444"),
        ("fd00:0:0::1", "[fd00::1]:4444"),
        ("fe80::1%eth0", "[fe80::1]:4444"),
    ],
)
def test_addresses_are_as_the_bridge_prints_them(host: str, text: str) -> None:
    assert canonical_address(host, 4444) == text


def test_no_server_container_mounts_a_private_key() -> None:
    """In any golden file: only the gateway's container has the volume with the private key, and no other has the whole Secret."""
    seen = 0
    for file in (ROOT / "tests" / "golden").glob("*/out.yaml"):
        for item in yaml.safe_load_all(file.read_text()):
            if item["kind"] != "Deployment":
                continue
            pod = item["spec"]["template"]["spec"]
            secrets = {v["name"]: v["secret"] for v in pod["volumes"] if "-keys-" in json.dumps(v.get("secret", {}))}
            for container in [*pod["containers"], *pod.get("initContainers", [])]:
                mounted = [secrets[m["name"]] for m in container["volumeMounts"] if m["name"] in secrets]
                if container["name"].startswith("mcp-"):
                    assert [secret["items"] for secret in mounted] == [[{"key": "public.pem", "path": "public.pem"}]]
                    assert f"--server={container['name'].removeprefix('mcp-')}" in container["args"]
                    seen += 1
                elif container["name"] != "gateway":
                    assert mounted == []
    assert seen > 10
