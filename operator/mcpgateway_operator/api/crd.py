"""Models → structural CRD: references inlined, nullable removed, CEL rules and list types kept.

Source: Kubernetes "CustomResourceDefinitions", structural schemas; KEP-2876 (CEL).
"""

from __future__ import annotations

import sys
from typing import Any

import yaml
from pydantic import BaseModel

from . import group, spec
from .status import Status
from .types import WANTED

_DROPPED = ("title", "additionalProperties", "const", "x-no-default")
_NAME_RULE = "self.metadata.name.matches('^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$')"
_NAME_MESSAGE = (
    "metadata.name must be a DNS-1035 label of at most 40 characters (a to z, 0 to 9 and -, beginning with a letter): "
    "it becomes the name of a Service"
)

COLUMNS = [
    {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].status"},
    {
        "name": "Servers",
        "type": "string",
        "jsonPath": ".status.readyServers",
        "description": "Ready servers of all enabled",
    },
    {"name": "Tools", "type": "integer", "jsonPath": ".status.toolCount"},
    {"name": "Mode", "type": "string", "jsonPath": ".spec.mode"},
    {"name": "URL", "type": "string", "jsonPath": ".status.url"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {"name": "Version", "type": "string", "jsonPath": ".status.version", "priority": 1},
    {"name": "Operator", "type": "string", "jsonPath": ".status.operator", "priority": 1},
    {"name": "Message", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].message", "priority": 1},
]


def custom_resource_definition() -> dict[str, Any]:
    """The whole CustomResourceDefinition."""
    schema = {
        "type": "object",
        "description": "An MCP gateway: one endpoint that aggregates MCP servers.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": "Version of the schema: mcpgateway.dev/v1alpha1."},
            "kind": {"type": "string", "description": "Kind of the resource: MCPGateway."},
            "metadata": {"type": "object"},
            "spec": structural(spec.Spec),
            # Before the first pass, kstatus (Flux, helm --wait) would take a resource without a status for a ready one.
            "status": {**structural(Status), "default": {"observedGeneration": -1}},
        },
        "x-kubernetes-validations": [{"rule": _NAME_RULE, "message": _NAME_MESSAGE}],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": group.CRD_NAME},
        "spec": {
            "group": group.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": group.KIND,
                "listKind": f"{group.KIND}List",
                "plural": group.PLURAL,
                "singular": "mcpgateway",
                "shortNames": ["mcpgw"],
                "categories": ["mcp"],
            },
            "versions": [
                {
                    "name": group.VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": COLUMNS,
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.replicas",
                            "statusReplicasPath": ".status.replicas",
                            "labelSelectorPath": ".status.selector",
                        },
                    },
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


def structural(model: type[BaseModel]) -> dict[str, Any]:
    """The structural schema of a model, as the API server takes it."""
    published: dict[str, Any] = _published(annotated(model))
    return published


def annotated(model: type[BaseModel]) -> dict[str, Any]:
    """The structural schema of a model, with the words for its patterns (`types.WANTED`)."""
    schema = model.model_json_schema(by_alias=True)
    definitions: dict[str, Any] = schema.pop("$defs", {})
    return _node(schema, definitions)


def _published(node: Any) -> Any:
    if isinstance(node, dict):
        return {name: _published(child) for name, child in node.items() if name != WANTED}
    return [_published(child) for child in node] if isinstance(node, list) else node


def _node(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    node = _inlined(node, definitions)
    alternatives = [option for option in node.pop("anyOf", []) if option.get("type") != "null"]
    if {option.get("type") for option in alternatives} == {"integer", "string"}:  # a quantity
        node["x-kubernetes-int-or-string"] = True
    elif alternatives:  # optional: absent, never null
        (only,) = alternatives
        return _node({**_inlined(only, definitions), **node}, definitions)
    if node.pop("x-no-default", False) or node.get("default", ...) is None:
        node.pop("default", None)
    out = {key: value for key, value in node.items() if key not in _DROPPED and value is not None}
    extra = node.get("additionalProperties")
    if isinstance(extra, dict):
        out["additionalProperties"] = _node(extra, definitions)
    if "properties" in out:
        required = out.get("required", ())
        out["properties"] = {
            name: _defaulted(child, _node(child, definitions), optional=name not in required)
            for name, child in out["properties"].items()
        }
    if "items" in out:
        out["items"] = _node(out["items"], definitions)
    return out


def _defaulted(source: dict[str, Any], node: dict[str, Any], *, optional: bool) -> dict[str, Any]:
    """A parent of defaulted fields defaults to an empty object, else its children's defaults would not apply."""
    if optional and "$ref" in source and not source.get("x-no-default"):
        return {"default": {}, **node}
    return node


def _inlined(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    reference = node.get("$ref")
    if reference is None:
        return dict(node)
    target = definitions[reference.rsplit("/", 1)[-1]]
    merged = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return _inlined(merged, definitions)


class _Dumper(yaml.SafeDumper):
    """Without anchors, for readability."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def to_yaml() -> str:
    """The file in crds/."""
    body = yaml.dump(custom_resource_definition(), Dumper=_Dumper, sort_keys=False, width=320, allow_unicode=True)
    return f"# Generated by `make crds` from operator/mcpgateway_operator/api/. Do not edit.\n{body}"


if __name__ == "__main__":
    sys.stdout.write(to_yaml())
