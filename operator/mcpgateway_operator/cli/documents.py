"""YAML files → gateways, Secrets and ConfigMaps, checked."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ..api.group import API_VERSION, KIND
from ..api.spec import InvalidSpecError, Spec, parse_spec
from ..api.validation import check
from ..render import naming

_NAME = re.compile(r"^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$")
_INSTALL = "install.mcpgateway.dev/"


class BadInputError(Exception):
    """An error that the user can fix: the message names the file or field, the value and the fix."""


@dataclass(frozen=True)
class Gateway:
    """One MCPGateway from a file."""

    name: str
    spec: Spec
    installs: Mapping[str, str]  # server -> pypi:NAME==V or npm:NAME@V
    pins: Mapping[str, str]  # server -> approved digest of its tools


@dataclass
class Documents:
    """The content of the files; data is by kind (secrets, configmaps), name and key."""

    gateways: list[Gateway] = field(default_factory=list)
    data: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)


def read(files: Iterable[Path]) -> Documents:
    """Read and check. Raises: BadInputError."""
    documents = Documents()
    for file in files:
        for number, document in enumerate(_load(file), start=1):
            if document is not None:
                _add(documents, document, f"{file} (document {number})")
    if not documents.gateways:
        raise BadInputError(f"{', '.join(map(str, files))}: no {KIND} in it")
    return documents


def _load(file: Path) -> list[Any]:
    try:
        return list(yaml.load_all(file.read_bytes(), Loader=yaml.CSafeLoader))
    except OSError as error:
        raise BadInputError(f"{file}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise BadInputError(f"{file}: not valid YAML: {' '.join(str(error).split())}") from error


def _add(documents: Documents, document: Any, where: str) -> None:
    if not isinstance(document, dict) or not isinstance(document.get("metadata"), dict):
        raise BadInputError(f"{where}: not a Kubernetes object: it needs apiVersion, kind and metadata")
    kind, metadata = document.get("kind"), document["metadata"]
    name = str(metadata.get("name", ""))
    if kind == KIND:
        documents.gateways.append(_gateway(document, metadata, name, where))
    elif kind in ("Secret", "ConfigMap"):
        documents.data["secrets" if kind == "Secret" else "configmaps", name] = _data(document, where)
    else:
        raise BadInputError(f"{where}: kind is {kind!r}: want {KIND}, Secret or ConfigMap")


def _gateway(document: Mapping[str, Any], metadata: Mapping[str, Any], name: str, where: str) -> Gateway:
    if document.get("apiVersion") != API_VERSION:
        raise BadInputError(f"{where}: apiVersion is {document.get('apiVersion')!r}: want {API_VERSION}")
    if not _NAME.match(name):
        raise BadInputError(f"{where}: metadata.name is {name!r}: want a DNS-1035 label of at most 40 characters")
    try:
        spec = parse_spec(document.get("spec"))
        check(spec)
    except InvalidSpecError as error:
        raise BadInputError(f"{where}: {error}") from error
    annotations = metadata.get("annotations") or {}
    installs = {key.removeprefix(_INSTALL): str(value) for key, value in annotations.items() if key.startswith(_INSTALL)}
    return Gateway(name=name, spec=spec, installs=installs, pins=naming.pins(annotations))


def _data(document: Mapping[str, Any], where: str) -> dict[str, bytes]:
    encoded = document.get("kind") == "Secret"
    out = {}
    for key, value in (document.get("data") or {}).items():
        try:
            out[key] = base64.b64decode(str(value), validate=True) if encoded else str(value).encode()
        except binascii.Error as error:
            raise BadInputError(f"{where}: data.{key} is not base64: use stringData for plain text") from error
    out.update({key: str(value).encode() for key, value in (document.get("stringData") or {}).items()})
    return out
