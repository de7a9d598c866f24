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

from ..api import API_VERSION, KIND, InvalidSpecError, Spec, parse_spec
from ..servers import RESERVED_HEADERS, RESERVED_SERVER_NAMES, Server

_NAME = re.compile(r"^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$")
_INSTALL = "install.mcpgateway.dev/"


class BadInputError(Exception):
    """What a person can mend: names the file or field, the value and the fix."""


@dataclass(frozen=True)
class Gateway:
    """One MCPGateway from a file."""

    name: str
    spec: Spec
    installs: Mapping[str, str]  # server -> pypi:NAME==V or npm:NAME@V


@dataclass
class Documents:
    """Everything in the files; data is by kind (secrets, configmaps), name and key."""

    gateways: list[Gateway] = field(default_factory=list)
    data: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)


def read(files: Iterable[Path]) -> Documents:
    """Read and check. Raises: BadInputError."""
    found = Documents()
    for file in files:
        for number, document in enumerate(_load(file), start=1):
            if document is not None:
                _add(found, document, f"{file} (document {number})")
    if not found.gateways:
        raise BadInputError(f"{', '.join(map(str, files))}: no {KIND} in it")
    return found


def _load(file: Path) -> list[Any]:
    try:
        return list(yaml.load_all(file.read_bytes(), Loader=yaml.CSafeLoader))
    except OSError as error:
        raise BadInputError(f"{file}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise BadInputError(f"{file}: not valid YAML: {' '.join(str(error).split())}") from error


def _add(found: Documents, document: Any, where: str) -> None:
    if not isinstance(document, dict) or not isinstance(document.get("metadata"), dict):
        raise BadInputError(f"{where}: not a Kubernetes object: it needs apiVersion, kind and metadata")
    kind, metadata = document.get("kind"), document["metadata"]
    name = str(metadata.get("name", ""))
    if kind == KIND:
        found.gateways.append(_gateway(document, metadata, name, where))
    elif kind in ("Secret", "ConfigMap"):
        found.data["secrets" if kind == "Secret" else "configmaps", name] = _data(document, where)
    else:
        raise BadInputError(f"{where}: kind is {kind!r}: want {KIND}, Secret or ConfigMap")


def _gateway(document: Mapping[str, Any], metadata: Mapping[str, Any], name: str, where: str) -> Gateway:
    if document.get("apiVersion") != API_VERSION:
        raise BadInputError(f"{where}: apiVersion is {document.get('apiVersion')!r}: want {API_VERSION}")
    if not _NAME.match(name):
        raise BadInputError(f"{where}: metadata.name is {name!r}: want a DNS-1035 label of at most 40 characters")
    try:
        spec = parse_spec(document.get("spec"))
    except InvalidSpecError as error:
        raise BadInputError(f"{where}: {error}") from error
    _check(spec, where)
    annotations = metadata.get("annotations") or {}
    installs = {key.removeprefix(_INSTALL): str(value) for key, value in annotations.items() if key.startswith(_INSTALL)}
    return Gateway(name=name, spec=spec, installs=installs)


def _check(spec: Spec, where: str) -> None:
    """What the API server would refuse by CEL or list-map keys."""
    names = [server.name for server in spec.servers]
    for index, server in enumerate(spec.servers):
        field_name = f"{where}: spec.servers[{index}]"
        if names.count(server.name) > 1:
            raise BadInputError(f"{field_name}.name is {server.name!r} twice: names must be unique")
        if server.name in RESERVED_SERVER_NAMES:
            raise BadInputError(f"{field_name}.name is {server.name!r}, which is reserved: choose another")
        _check_kind(server, field_name)
        for entry, variable in enumerate(server.env):
            if (variable.value is None) == (variable.value_from is None):
                raise BadInputError(f"{field_name}.env[{entry}] needs exactly one of value and valueFrom")
    _check_pods(spec, where)
    if not spec.auth.tokens and not spec.auth.allow_unauthenticated:
        raise BadInputError(f"{where}: spec.auth needs tokens, or allowUnauthenticated: true to let everybody in")
    if spec.auth.tokens and spec.auth.allow_unauthenticated:
        raise BadInputError(f"{where}: spec.auth.allowUnauthenticated: true makes spec.auth.tokens meaningless: remove one")


def _check_pods(spec: Spec, where: str) -> None:
    """What is said of every pod may not touch what the operator finds its pods by, nor what Pod Security looks at."""
    for key in spec.pod_labels:
        if key.startswith("app.kubernetes.io/") or "mcpgateway.dev/" in key:
            raise BadInputError(f"{where}: spec.podLabels has {key!r}: the operator finds its pods by it, choose another key")
    for key in spec.pod_annotations:
        if "mcpgateway.dev/" in key or ("kubernetes.io/" in key and not key.startswith("cluster-autoscaler.kubernetes.io/")):
            raise BadInputError(f"{where}: spec.podAnnotations has {key!r}, which is not for users to set: remove it")
    for index, toleration in enumerate(spec.tolerations):
        field_name = f"{where}: spec.tolerations[{index}]"
        if toleration.operator == "Exists" and toleration.value:
            raise BadInputError(f"{field_name}.value is {toleration.value!r}, but operator Exists has no value: leave it out")
        if toleration.operator == "Equal" and not toleration.key:
            raise BadInputError(f"{field_name} has no key: name one, or say operator: Exists for all taints")
        if toleration.toleration_seconds is not None and toleration.effect != "NoExecute":
            raise BadInputError(f"{field_name}.tolerationSeconds needs effect: NoExecute, which is the one that evicts")


def _check_kind(server: Server, field_name: str) -> None:
    """A server runs in a container, or is remote."""
    if (server.image is None) == (server.url is None):
        raise BadInputError(f"{field_name} needs exactly one of image (a program in a container) and url (a remote server)")
    if server.hosted and not server.command:
        raise BadInputError(f"{field_name}.command is required: the bridge starts the program itself")
    if server.hosted and server.headers:
        raise BadInputError(f"{field_name}.headers belong to a remote server: remove them, or give url in place of image")
    if not server.hosted and (server.command or server.args or server.env or server.env_from):
        raise BadInputError(f"{field_name}: command, args, env and envFrom belong to a container: remove them, or url")
    for entry, header in enumerate(server.headers):
        if (header.value is None) == (header.value_from is None):
            raise BadInputError(f"{field_name}.headers[{entry}] needs exactly one of value and valueFrom")
        if header.name.lower() in RESERVED_HEADERS or header.name.lower().startswith("mcp-"):
            name = f"{field_name}.headers[{entry}].name"
            raise BadInputError(f"{name} is {header.name!r}, which the protocol itself sets: remove it")


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
