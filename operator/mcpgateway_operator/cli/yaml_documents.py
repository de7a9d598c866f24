"""YAML files as kubectl reads them: dates stay texts, and a key that occurs twice in a map is an error.

Source: sigs.k8s.io/yaml, which `kubectl` converts YAML to JSON with.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from .bad_input import BadInputError

_TIMESTAMP = "tag:yaml.org,2002:timestamp"


class _Loader(yaml.CSafeLoader):
    def __init__(self, stream: bytes) -> None:
        super().__init__(stream)
        self._checked: set[int] = set()  # ids of nodes: a merge (`<<`) adds keys that the map has, too

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Called first for every map: refuse duplicate keys."""
        if id(node) not in self._checked:
            self._checked.add(id(node))
            _refuse_duplicates(node)
        super().flatten_mapping(node)


def _refuse_duplicates(node: yaml.MappingNode) -> None:
    seen = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if (key.tag, key.value) in seen:
                problem = f"the key {key.value!r} occurs a second time: leave one of them"
                raise yaml.constructor.ConstructorError(problem=problem, problem_mark=key.start_mark)
            seen.add((key.tag, key.value))


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def load(file: Path) -> list[Any]:
    """The documents of a file. Raises: BadInputError."""
    try:
        return list(yaml.load_all(file.read_bytes(), Loader=_Loader))
    except OSError as error:
        raise BadInputError(f"{file}: cannot be read: {error.strerror}") from error
    except yaml.constructor.ConstructorError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise BadInputError(f"{file}: not valid YAML: {where}{error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInputError(f"{file}: not valid YAML: {' '.join(str(error).split())}") from error
