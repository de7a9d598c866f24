"""`mcpgw render` and `mcpgw keys`: the manifests that the operator would apply, and the Secrets that it would create."""

from __future__ import annotations

import secrets
from typing import Any

import yaml

from ..render.context import Context
from ..render.key_secrets import RANDOM_BYTES, key_secrets
from ..render.render import render
from .documents import Documents

_UID = "00000000"  # there is no MCPGateway in the cluster


def manifests(documents: Documents, *, namespace: str, image: str, runner: str) -> list[dict[str, Any]]:
    """All objects of all gateways, without owner references: there is no MCPGateway in the cluster."""
    objects = []
    for gateway in documents.gateways:
        context = Context(
            name=gateway.name,
            namespace=namespace,
            uid=_UID,
            image=image,
            runner=runner,
            integrities=gateway.integrities,
            operated=False,
        )
        for manifest in render(gateway.spec, context).objects:
            manifest["metadata"].pop("ownerReferences", None)  # a retained claim has none
            objects.append(manifest)
    return objects


def keys(documents: Documents, *, namespace: str) -> list[dict[str, Any]]:
    """The Secrets with new random keys that the operator would create: the gateway proves itself to its bridges by them."""
    objects = []
    for gateway in documents.gateways:
        random = secrets.token_bytes(RANDOM_BYTES)
        for manifest in key_secrets(namespace=namespace, gateway=gateway.name, uid=_UID, random=random):
            manifest["metadata"].pop("ownerReferences")
            objects.append(manifest)
    return objects


class _Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def to_yaml(objects: list[dict[str, Any]]) -> str:
    """A stream of documents, without anchors."""
    return yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, width=130, explicit_start=True)
