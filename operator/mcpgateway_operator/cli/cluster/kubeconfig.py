"""Kubeconfig files → the server and the credentials of one context. Pure.

Source: Kubernetes, "Organizing Cluster Access Using kubeconfig Files", and the reference of kubeconfig (v1).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..bad_input import BadInputError
from ..output.text import suggestion

_LISTS = ("clusters", "contexts", "users")


@dataclass(frozen=True)
class File:
    """A parsed kubeconfig file; relative paths in it are relative to its folder."""

    path: Path
    content: Mapping[str, Any]


@dataclass(frozen=True)
class Blob:
    """Bytes that are in the kubeconfig, or in a file that it names."""

    data: bytes = b""
    file: Path | None = None

    def read(self) -> bytes:
        """The bytes. Raises: BadInputError."""
        if self.file is None:
            return self.data
        try:
            return self.file.read_bytes()
        except OSError as error:
            raise BadInputError(f"{self.file}, which the kubeconfig names, cannot be read: {error.strerror}") from error


@dataclass(frozen=True)
class ExecPlugin:
    """A program that prints credentials. Source: client.authentication.k8s.io."""

    command: str
    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    api_version: str
    install_hint: str


@dataclass(frozen=True)
class Access:
    """One context: where the API server is, and as whom to talk to it."""

    context: str
    server: str
    namespace: str = "default"
    ca: Blob | None = None
    insecure: bool = False
    tls_server_name: str = ""
    proxy: str = ""
    token: Blob | None = None
    certificate: Blob | None = None
    key: Blob | None = None
    basic: tuple[str, str] | None = None
    plugin: ExecPlugin | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def access(files: Sequence[File], context: str | None) -> Access:
    """What a context says; None is the current one. Raises: BadInputError."""
    where = ", ".join(str(file.path) for file in files)
    name = context or next((str(file.content["current-context"]) for file in files if file.content.get("current-context")), "")
    contexts = _named(files, "contexts")
    if not name:
        raise BadInputError(f"{where}: no current context: use --context, there is {', '.join(contexts) or 'none'}")
    if name not in contexts:
        raise BadInputError(f"{where}: no context {name!r}: {suggestion(name, contexts)}")
    chosen = _mapping(contexts[name][1], "context")
    cluster_file, cluster = _entry(files, "clusters", "cluster", str(chosen.get("cluster", "")), where)
    user_file, user = _entry(files, "users", "user", str(chosen["user"]), where) if chosen.get("user") else (files[0], {})
    if not isinstance(cluster.get("server"), str):
        raise BadInputError(f"{where}: cluster {chosen.get('cluster')!r} has no server: set its URL")
    return Access(
        context=name,
        server=cluster["server"].rstrip("/"),
        namespace=str(chosen.get("namespace") or "default"),
        ca=_blob(cluster_file, cluster, "certificate-authority"),
        insecure=cluster.get("insecure-skip-tls-verify") is True,
        tls_server_name=str(cluster.get("tls-server-name") or ""),
        proxy=str(cluster.get("proxy-url") or ""),
        token=_token(user_file, user),
        certificate=_blob(user_file, user, "client-certificate"),
        key=_blob(user_file, user, "client-key"),
        basic=(str(user["username"]), str(user.get("password", ""))) if user.get("username") else None,
        plugin=_plugin(user_file, user),
        headers=_impersonation(user),
    )


def _named(files: Iterable[File], group: str) -> dict[str, tuple[File, Mapping[str, Any]]]:
    """The entries of a list by name: of two with the same name the first wins, as in kubectl."""
    entries: dict[str, tuple[File, Mapping[str, Any]]] = {}
    for file in files:
        for entry in file.content.get(group) or ():
            if isinstance(entry, dict) and isinstance(entry.get("name"), str):
                entries.setdefault(entry["name"], (file, entry))
    return entries


def _entry(files: Sequence[File], group: str, kind: str, name: str, where: str) -> tuple[File, Mapping[str, Any]]:
    entries = _named(files, group)
    if name not in entries:
        raise BadInputError(f"{where}: the context refers to {kind} {name!r}: {suggestion(name, entries)}")
    file, entry = entries[name]
    return file, _mapping(entry, kind)


def _mapping(entry: Any, kind: str) -> Mapping[str, Any]:
    content = entry.get(kind)
    return content if isinstance(content, dict) else {}


def _blob(file: File, entry: Mapping[str, Any], name: str) -> Blob | None:
    """NAME-data in base64, else the file NAME: data wins."""
    if text := entry.get(f"{name}-data"):
        try:
            return Blob(base64.b64decode(str(text), validate=True))
        except binascii.Error:
            raise BadInputError(f"{file.path}: {name}-data is not base64") from None
    return Blob(file=file.path.parent / str(entry[name])) if entry.get(name) else None


def _token(file: File, user: Mapping[str, Any]) -> Blob | None:
    if user.get("tokenFile"):
        return Blob(file=file.path.parent / str(user["tokenFile"]))
    return Blob(str(user["token"]).encode()) if user.get("token") else None


def _plugin(file: File, user: Mapping[str, Any]) -> ExecPlugin | None:
    if user.get("auth-provider"):
        raise BadInputError(f"{file.path}: auth-provider was removed from Kubernetes in 1.26: use an exec plugin (kubelogin)")
    content = user.get("exec")
    if not isinstance(content, dict):
        return None
    command = str(content.get("command", ""))
    if "/" in command:  # else it is looked for on PATH
        command = str(file.path.parent / command)
    variables = [entry for entry in content.get("env") or () if isinstance(entry, dict)]
    return ExecPlugin(
        command=command,
        args=tuple(map(str, content.get("args") or ())),
        env=tuple((str(entry.get("name")), str(entry.get("value"))) for entry in variables),
        api_version=str(content.get("apiVersion", "client.authentication.k8s.io/v1")),
        install_hint=str(content.get("installHint") or ""),
    )


def _impersonation(user: Mapping[str, Any]) -> dict[str, str]:
    return {"Impersonate-User": str(user["as"])} if user.get("as") else {}
