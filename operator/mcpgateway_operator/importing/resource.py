"""Neutral servers → the YAML of an MCPGateway and of the Secret with what has to be filled in. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from ..api.group import API_VERSION, KIND
from .model import Package, Report, Server, Setting
from .names import gateway_label, label, secret_key

FILL_IN: Final = "FILL-IN"  # a value of the Secret that is not given yet
UNKNOWN_VERSION: Final = "0.FILL-IN"
UNBUILT: Final = "mcpgateway.invalid/"  # images that do not exist; RFC 2606: a name that no registry has
_ENV_NAME: Final = 128  # characters


@dataclass
class _Resource:
    """The resource in the making."""

    name: str
    servers: list[dict[str, Any]] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)  # key → what it is


def resource(servers: Sequence[Server], *, name: str, report: Report) -> str:
    """The documents, as text with comments. Servers have unique labels; the report says which names have changed."""
    made = _Resource(gateway_label(name))
    taken: set[str] = set()
    for server in servers:
        own = label(server.name, taken)
        taken.add(own)
        if own != server.name:
            report.add("changed", server.name, f"its name is {own}: names are DNS labels, and begin the names of tools")
        made.servers.append(_server(made, server, own, report))
    return _text(made)


def _server(made: _Resource, server: Server, own: str, report: Report) -> dict[str, Any]:
    out: dict[str, Any] = {"name": own}
    if server.url:
        out["url"] = server.url
    elif server.package is not None:
        out["package"] = _package(server.package)
        if not server.package.version:
            report.add("step", server.name, f"choose a version of {server.package.name}, which could not be looked up")
    elif not server.image:
        out["image"], out["command"] = f"{UNBUILT}{own}", list(server.command)
    else:
        out["image"] = server.image
        out["command"] = list(server.command) or ["ENTRYPOINT"]
    if server.args:
        out["args"] = list(server.args)
    for field_name, settings in (("env", server.env), ("headers", server.headers)):
        if settings:
            out[field_name] = [_setting(made, own, setting) for setting in _unique(settings)]
    if server.folders:
        out["storage"] = [
            {"mountPath": folder.path.rstrip("/"), "size": "1Gi"} for folder in server.folders if folder.path.rstrip("/")
        ]
    if server.run_as_user:
        out["runAsUser"] = server.run_as_user
    if server.resources:
        out["resources"] = dict(server.resources)
    if server.call_timeout:
        out["callTimeout"] = server.call_timeout
    if server.allow or server.deny:
        rules = (("allow", server.allow), ("deny", server.deny))
        out["tools"] = {rule: list(names) for rule, names in rules if names}
    if server.disabled:
        out["state"] = "Disabled"
    return out


def _package(package: Package) -> dict[str, Any]:
    """The field `package`; a version that is not known is one that no registry has."""
    out: dict[str, Any] = {package.registry: package.name, "version": package.version or UNKNOWN_VERSION}
    lists = (("extras", package.extras), ("with", tuple("".join(text.split()) for text in package.requirements)))
    texts = (("python", package.python), ("bin", package.program))
    return out | {name: list(values) for name, values in lists if values} | {name: text for name, text in texts if text}


def _unique(settings: Sequence[Setting]) -> list[Setting]:
    return list({setting.name: setting for setting in settings}.values())


def _setting(made: _Resource, server: str, setting: Setting) -> dict[str, Any]:
    if setting.value is not None:
        return {"name": setting.name, "value": setting.value}
    key = secret_key(f"{server}-{setting.name}")
    made.secrets.setdefault(key, setting.hint or setting.name)
    return {"name": setting.name, "valueFrom": {"secretKeyRef": {"name": f"{made.name}-secrets", "key": key}}}


def _text(made: _Resource) -> str:
    spec = {
        "auth": {"tokens": [{"name": "developer", "secretKeyRef": {"name": f"{made.name}-token", "key": "token"}}]},
        "servers": made.servers,
    }
    head = (
        f"# Written by `mcpgw import`. On this machine: mcpgw up FILE. In a cluster, clients need a token:\n"
        f'#   kubectl create secret generic {made.name}-token --from-literal=token="$(head -c 24 /dev/urandom | base64)"\n'
    )
    text = head + _dump({"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": made.name}, "spec": spec})
    if made.secrets:
        text += "---\n# Fill in each value: those of the source are not copied.\n" + _secret(made)
    return text


def _secret(made: _Resource) -> str:
    metadata = {"name": f"{made.name}-secrets"}
    lines = [_dump({"apiVersion": "v1", "kind": "Secret", "metadata": metadata}), "stringData:\n"]
    for key, hint in made.secrets.items():
        comment = " ".join("".join(letter for letter in hint if letter.isprintable()).split())
        lines.append(f"  {key}: {FILL_IN}  # {comment}\n")
    return "".join(lines)


def _dump(document: dict[str, Any]) -> str:
    return yaml.dump(document, Dumper=yaml.SafeDumper, sort_keys=False, width=130, allow_unicode=True, default_flow_style=False)
