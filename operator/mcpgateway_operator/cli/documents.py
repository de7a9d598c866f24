"""YAML files → gateways, Secrets and ConfigMaps, checked."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..api.field_error import FieldError, kind, shown
from ..api.group import API_VERSION, KIND
from ..api.pitfalls import pitfalls
from ..api.spec import Spec
from ..api.validation import parse_spec, spec_errors
from ..api.yaml_documents import InvalidYamlError, load
from ..importing.resource import FILL_IN
from ..render import naming
from .bad_input import BadInputError, all_of

_NAME = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
_FIELDS = ("apiVersion", "kind", "metadata", "spec", "status")


@dataclass(frozen=True)
class Gateway:
    """One MCPGateway from a file."""

    name: str
    spec: Spec
    integrities: Mapping[str, str]  # server -> approved digests of its package
    pins: Mapping[str, str]  # server -> approved digest of its tools


@dataclass
class Documents:
    """The content of the files; data is by kind (secrets, configmaps), name and key."""

    gateways: list[Gateway] = field(default_factory=list)
    data: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)


def read(files: Iterable[Path], *, images: bool = True) -> Documents:
    """Read and check all documents; `images`: whether the images are used. Raises: BadInputError with all errors of all files."""
    documents, errors = Documents(), []
    for file in files:
        try:
            for number, document in enumerate(_load(file), start=1):
                if document is not None:
                    errors += [f"{file} (document {number}): {error}" for error in _add(documents, document, images=images)]
        except BadInputError as error:
            errors += error.messages
    if not documents.gateways and not errors:
        errors = [f"{', '.join(map(str, files))}: no {KIND} in it"]
    if errors:
        raise all_of([BadInputError(*errors)])
    return documents


def _load(file: Path) -> list[Any]:
    try:
        return load(file.read_bytes())
    except OSError as error:
        raise BadInputError(f"{file}: cannot be read: {error.strerror}") from error
    except InvalidYamlError as error:
        raise BadInputError(f"{file}: not valid YAML: {error}") from None


def _add(documents: Documents, document: Any, *, images: bool) -> Iterator[str | FieldError]:
    """Add a document. Yields: its errors."""
    if not isinstance(document, dict) or not isinstance(document.get("metadata"), dict):
        yield "not a Kubernetes object: it needs apiVersion, kind and metadata"
    elif document.get("kind") == KIND:
        if errors := [*_object_errors(document), *_spec_errors(document, images=images)]:
            yield from errors
        else:
            documents.gateways.append(_gateway(document))
    elif document.get("kind") in ("Secret", "ConfigMap"):
        yield from _add_data(documents, document)
    else:
        yield f"kind is {shown(document.get('kind'))}: want {KIND}, Secret or ConfigMap"


def _object_errors(document: Mapping[str, Any]) -> Iterator[str | FieldError]:
    """The errors of an MCPGateway outside of its spec."""
    if document.get("apiVersion") != API_VERSION:
        yield f"apiVersion is {shown(document.get('apiVersion'))}: want {API_VERSION}"
    metadata = document["metadata"]
    if not _NAME.fullmatch(str(metadata.get("name"))):
        yield FieldError(
            ("metadata", "name"), f" is {shown(metadata.get('name'))}: want a DNS-1035 label of at most 40 characters"
        )
    for name in sorted(set(map(str, document)) - set(_FIELDS)):
        yield FieldError((name,), f" is not a field of {KIND}: put it under spec, or remove it")
    for group in ("annotations", "labels"):
        yield from _text_errors(metadata.get(group), ("metadata", group))


def _spec_errors(document: Mapping[str, Any], *, images: bool) -> Iterator[FieldError]:
    if document.get("spec") is None:
        yield FieldError(("spec",), " is missing: add it, with auth and servers")
    else:
        yield from spec_errors(document["spec"])
        yield from pitfalls(document["spec"], images=images)


def _text_errors(value: Any, path: tuple[str, ...]) -> Iterator[FieldError]:
    """The errors of a map of texts, as Kubernetes has them."""
    if value is not None and not isinstance(value, dict):
        yield FieldError(path, f" is {kind(value)}: write a map, NAME: TEXT for each entry")
        return
    for name, text in (value or {}).items():
        if not isinstance(text, str):
            yield FieldError((*path, str(name)), f" is {kind(text)}: write a text, in quotes")


def _gateway(document: Mapping[str, Any]) -> Gateway:
    metadata = document["metadata"]
    annotations = metadata.get("annotations") or {}
    return Gateway(
        metadata["name"],
        parse_spec(document["spec"]),
        integrities=naming.integrities(annotations),
        pins=naming.pins(annotations),
    )


def _add_data(documents: Documents, document: Mapping[str, Any]) -> Iterator[str | FieldError]:
    """Add a Secret or ConfigMap. Yields: its errors."""
    secret, name = document["kind"] == "Secret", document["metadata"].get("name")
    fields = ("data", "stringData") if secret else ("data",)
    errors = [error for field_name in fields for error in _text_errors(document.get(field_name), (field_name,))]
    if not isinstance(name, str):
        errors.append(FieldError(("metadata", "name"), f" is {shown(name)}: want the name that the MCPGateway refers to"))
    if errors:
        yield from errors
        return
    values: dict[str, bytes] = {}
    for key, text in (document.get("data") or {}).items():
        try:
            values[key] = base64.b64decode(text, validate=True) if secret else text.encode()
        except ValueError:  # binascii.Error, or characters outside of ASCII
            yield FieldError(("data", key), " is not base64: use stringData for plain text")
    given = (document.get("stringData") or {}).items() if secret else ()
    values |= {key: text.encode() for key, text in given if text != FILL_IN}  # of `mcpgw import`: not given yet
    documents.data["secrets" if secret else "configmaps", str(name)] = values
