"""Reads the user's kubeconfig files, and runs credential plugins.

Source: Kubernetes, "client-go credential plugins" (client.authentication.k8s.io).
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..bad_input import BadInputError, NotReachedError
from .kubeconfig import Access, Blob, ExecPlugin, File, access

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_PLUGIN_TIMEOUT = 60.0  # seconds: a plugin may wait for a login in a browser


def find_access(kubeconfig: Path | None, context: str | None) -> Access:
    """The context of --kubeconfig, $KUBECONFIG or ~/.kube/config; else the service account of this pod. Raises: BadInputError."""
    paths = _paths(kubeconfig)
    files = [_file(path) for path in paths if kubeconfig is not None or path.exists()]
    if files:
        return access(files, context)
    if (_ACCOUNT / "token").exists() and context is None:
        return _in_cluster()
    raise BadInputError(f"no kubeconfig at {', '.join(map(str, paths))}: set KUBECONFIG, or use --kubeconfig FILE")


def _paths(kubeconfig: Path | None) -> list[Path]:
    if kubeconfig is not None:
        return [kubeconfig]
    if value := os.environ.get("KUBECONFIG"):
        return [Path(part) for part in value.split(os.pathsep) if part]
    return [Path.home() / ".kube" / "config"]


def _file(path: Path) -> File:
    import yaml

    try:
        content = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    except OSError as error:
        raise BadInputError(f"kubeconfig {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError):
        raise BadInputError(f"kubeconfig {path} is not YAML") from None
    if not isinstance(content, dict):
        raise BadInputError(f"kubeconfig {path} is empty, or not a map")
    return File(path, content)


def _in_cluster() -> Access:
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST", ""), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    return Access(
        context="in-cluster",
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        namespace=(_ACCOUNT / "namespace").read_text().strip(),
        ca=Blob(file=_ACCOUNT / "ca.crt"),
        token=Blob(file=_ACCOUNT / "token"),
    )


async def with_plugin(context_access: Access) -> Access:
    """The access with what its credential plugin prints. Raises: BadInputError, NotReachedError."""
    if context_access.plugin is None:
        return context_access
    status = _credential(context_access.plugin, await _run(context_access.plugin))
    pair = (status.get("clientCertificateData"), status.get("clientKeyData"))
    certificate, key = (Blob(str(part).encode()) if part else None for part in pair)
    token = Blob(str(status["token"]).encode()) if status.get("token") else None
    return replace(
        context_access, token=token, certificate=certificate or context_access.certificate, key=key or context_access.key
    )


async def _run(plugin: ExecPlugin) -> bytes:
    request = {"apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": {"interactive": False}}
    environment = {**os.environ, **dict(plugin.env), "KUBERNETES_EXEC_INFO": json.dumps(request)}
    try:
        process = await asyncio.create_subprocess_exec(
            plugin.command, *plugin.args, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, env=environment
        )
    except OSError as error:
        hint = " ".join(plugin.install_hint.split()) or "install it, or use another context"
        raise BadInputError(f"credential plugin {plugin.command!r} cannot be run: {error.strerror}: {hint}") from error
    try:
        async with asyncio.timeout(_PLUGIN_TIMEOUT):
            output, _ = await process.communicate()
    except TimeoutError:
        raise NotReachedError(f"credential plugin {plugin.command!r} does not end within {_PLUGIN_TIMEOUT:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise NotReachedError(f"credential plugin {plugin.command!r} failed with exit code {process.returncode}: log in again")
    return output


def _credential(plugin: ExecPlugin, output: bytes) -> dict[str, Any]:
    try:
        status = json.loads(output)["status"]
    except (ValueError, LookupError, TypeError):
        status = None
    if not isinstance(status, dict):
        raise BadInputError(f"credential plugin {plugin.command!r} printed no ExecCredential with a status")
    return status


def tls(context_access: Access) -> ssl.SSLContext | bool:
    """How to verify the server, and the client's certificate. Raises: BadInputError."""
    if not context_access.server.startswith("https:"):
        return True
    try:
        trusted = ssl.create_default_context(cadata=context_access.ca.read().decode() if context_access.ca else None)
        if context_access.insecure:
            trusted.check_hostname, trusted.verify_mode = False, ssl.CERT_NONE
        if context_access.certificate and context_access.key:
            _load_pair(trusted, context_access.certificate.read(), context_access.key.read())
    except (ssl.SSLError, UnicodeDecodeError, ValueError) as error:
        raise BadInputError(
            f"context {context_access.context!r}: a certificate or key of the kubeconfig cannot be used: {error}"
        ) from None
    return trusted


def _load_pair(trusted: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """The standard library takes a client's key from a file only: this one is gone before anything else happens."""
    with tempfile.NamedTemporaryFile() as file:  # mode 0600
        file.writelines((certificate, b"\n", key))
        file.flush()
        trusted.load_cert_chain(file.name)


def authorization(context_access: Access) -> Sequence[tuple[str, str]]:
    """The headers that say who the user is. Raises: BadInputError."""
    import base64

    if context_access.token is not None:
        return (
            ("Authorization", f"Bearer {context_access.token.read().decode(errors='replace').strip()}"),
            *context_access.headers.items(),
        )
    if context_access.basic is not None:
        pair = base64.b64encode(":".join(context_access.basic).encode()).decode()
        return (("Authorization", f"Basic {pair}"), *context_access.headers.items())
    return tuple(context_access.headers.items())
