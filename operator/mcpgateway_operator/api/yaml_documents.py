"""YAML as kubectl reads it: dates stay texts, and a key that occurs twice in a map is an error. Pure.

Source: sigs.k8s.io/yaml, which `kubectl` converts YAML to JSON with.
"""

from __future__ import annotations

from typing import Any

import yaml

_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_DEEPEST = 100  # levels of a document; libyaml's composer would overflow the stack


class InvalidYamlError(Exception):
    """A text that is no YAML, or has a key twice, or is nested too deeply; the message is one line."""


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


def load(text: bytes | str) -> list[Any]:
    """The documents of a stream. Raises: InvalidYamlError."""
    try:
        _refuse_depth(text)
        return list(yaml.load_all(text, Loader=_Loader))
    except yaml.constructor.ConstructorError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise InvalidYamlError(f"{where}{error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidYamlError(" ".join(str(error).split())) from None


def _refuse_depth(text: bytes | str) -> None:
    """Refuse documents that are nested too deeply, or contain themselves, before they are composed."""
    open_anchors: list[str | None] = []
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            open_anchors.append(event.anchor)
            if len(open_anchors) > _DEEPEST:
                raise InvalidYamlError(f"line {_line(event)}: it is nested more than {_DEEPEST} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            open_anchors.pop()
        elif isinstance(event, yaml.AliasEvent) and event.anchor in open_anchors:
            problem = f"*{event.anchor} is inside of &{event.anchor}: a document cannot contain itself"
            raise InvalidYamlError(f"line {_line(event)}: {problem}")


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1
