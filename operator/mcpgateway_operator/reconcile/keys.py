"""The Secrets with a gateway's keys: created once for each uid of the gateway, immutable, never read by the operator."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from typing import Any

from ..api.group import API_VERSION, KIND
from ..observe.child_state import Key
from ..render import bridge_keys, naming

_SESSION_KEY = 32  # bytes


def key_secrets(key: Key, uid: str) -> list[dict[str, Any]]:
    """The manifests, with new random keys, for the gateway with this uid.

    The session key and the key pair for bridges are separate Secrets. A gateway of an earlier version has the first, which is
    immutable and which the operator may not read; creating the second completes it.
    """
    pair = bridge_keys.key_pair(secrets.token_bytes(bridge_keys.SEED_BYTES))
    return [
        _secret(key, uid, naming.keys_secret(key[1], uid), {"k1": secrets.token_bytes(_SESSION_KEY)}),
        _secret(
            key,
            uid,
            naming.bridge_keys_secret(key[1], uid),
            {bridge_keys.PRIVATE: pair.private, bridge_keys.PUBLIC: pair.public},
        ),
    ]


def _secret(key: Key, uid: str, name: str, data: Mapping[str, bytes]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": key[0],
            "labels": naming.labels(key[1], "gateway"),
            "ownerReferences": [{"apiVersion": API_VERSION, "kind": KIND, "name": key[1], "uid": uid, "controller": True}],
        },
        "immutable": True,
        "type": "Opaque",
        "data": {item: base64.b64encode(content).decode() for item, content in data.items()},
    }
