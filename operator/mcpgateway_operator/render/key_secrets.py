"""The Secrets with a gateway's keys. Pure: the randomness comes from the caller.

The session key and the key pair for bridges are separate Secrets. A gateway of an earlier version has the first, which is
immutable and which the operator may not read; creating the second completes it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final

from ..api.group import API_VERSION, KIND
from . import bridge_keys, naming

RANDOM_BYTES: Final = 32 + bridge_keys.SEED_BYTES  # for the session key and the key pair


def key_secrets(*, namespace: str, gateway: str, uid: str, random: bytes) -> list[dict[str, Any]]:
    """The manifests for the gateway with this uid, from RANDOM_BYTES random bytes."""
    session_key, seed = random[: -bridge_keys.SEED_BYTES], random[-bridge_keys.SEED_BYTES :]
    pair = bridge_keys.key_pair(seed)
    data: dict[str, Mapping[str, bytes]] = {
        naming.keys_secret(gateway, uid): {"k1": session_key},
        naming.bridge_keys_secret(gateway, uid): {bridge_keys.PRIVATE: pair.private, bridge_keys.PUBLIC: pair.public},
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": naming.labels(gateway, "gateway"),
                "ownerReferences": [{"apiVersion": API_VERSION, "kind": KIND, "name": gateway, "uid": uid, "controller": True}],
            },
            "immutable": True,
            "type": "Opaque",
            "data": {item: base64.b64encode(content).decode() for item, content in items.items()},
        }
        for name, items in data.items()
    ]
