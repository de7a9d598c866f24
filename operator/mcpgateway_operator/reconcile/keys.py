"""The Secret with a gateway's keys: created once for each life of the gateway, immutable, never read by the operator."""

from __future__ import annotations

import base64
import secrets
from typing import Any

from ..api.group import API_VERSION, KIND
from ..observe.child_state import Key
from ..render import naming

_SESSION_KEY = 32  # bytes


def keys_secret(key: Key, uid: str) -> dict[str, Any]:
    """The manifest, with new random keys, for the gateway with this uid."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": naming.keys_secret(key[1], uid),
            "namespace": key[0],
            "labels": naming.labels(key[1], "gateway"),
            "ownerReferences": [{"apiVersion": API_VERSION, "kind": KIND, "name": key[1], "uid": uid, "controller": True}],
        },
        "immutable": True,
        "type": "Opaque",
        "data": {"k1": base64.b64encode(secrets.token_bytes(_SESSION_KEY)).decode()},
    }
