"""The text of a rendered manifest → data.

PyYAML parses quickly and constructs slowly: with thousands of gateways that was much of the start time of an operator. This
module constructs the part of YAML 1.1 that the templates use; everything else is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import yaml

_BOOLEANS: Final = {"true": True, "false": False}
_SCALARS: Final[Mapping[str, Callable[[str], Any]]] = {
    "tag:yaml.org,2002:str": str,
    "tag:yaml.org,2002:int": lambda text: int(text, 0),  # base 0: an octal number of YAML 1.1 is an error
    "tag:yaml.org,2002:float": float,
    "tag:yaml.org,2002:bool": _BOOLEANS.__getitem__,
    "tag:yaml.org,2002:null": lambda text: None,
}


def load(text: str) -> dict[str, Any]:
    """One document, not empty. Raises: yaml.YAMLError, KeyError or ValueError for what templates may not contain."""
    loader = yaml.CSafeLoader(text)
    try:
        manifest: dict[str, Any] = _data(loader.get_single_node())
        return manifest
    finally:
        loader.dispose()


def _data(node: yaml.Node | None) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return _SCALARS[node.tag](node.value)
    if isinstance(node, yaml.MappingNode):
        return {_data(key): _data(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_data(item) for item in node.value]
    raise ValueError("an empty document")
