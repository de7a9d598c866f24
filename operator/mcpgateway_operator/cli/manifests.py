"""`mcpgw render`: the manifests that the operator would apply."""

from __future__ import annotations

from typing import Any

import yaml

from ..render.context import Context
from ..render.render import render
from .documents import Documents


def manifests(documents: Documents, *, namespace: str, image: str) -> list[dict[str, Any]]:
    """All objects of all gateways, without owner references: there is no MCPGateway in the cluster."""
    objects = []
    for gateway in documents.gateways:
        context = Context(name=gateway.name, namespace=namespace, uid="00000000", image=image)
        for manifest in render(gateway.spec, context).objects:
            manifest["metadata"].pop("ownerReferences", None)  # a retained claim has none
            objects.append(manifest)
    return objects


class _Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def to_yaml(objects: list[dict[str, Any]]) -> str:
    """A stream of documents, without anchors."""
    return yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, width=130, explicit_start=True)
