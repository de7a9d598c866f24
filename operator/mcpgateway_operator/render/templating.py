"""One template and its view → one manifest. Every value is JSON-encoded, so that no text can become YAML structure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final

import jinja2

from ..api.group import API_VERSION, KIND
from . import naming, yaml_text
from .context import Gateway


@dataclass(frozen=True, slots=True)
class Owner:
    """The MCPGateway that controls an object."""

    name: str
    uid: str
    api_version: str = API_VERSION
    kind: str = KIND


@dataclass(frozen=True, slots=True)
class Meta:
    """An object's metadata. An object without an owner outlives its gateway."""

    name: str
    namespace: str
    labels: Mapping[str, str]
    owner: Owner | None


@dataclass(frozen=True, slots=True)
class View:
    """The context of a template: its fields are the template's variables. A subclass names the template's file."""

    template: ClassVar[str]
    meta: Meta


@dataclass(frozen=True, slots=True)
class Ports:
    """The fixed port numbers, for all templates."""

    client: int = naming.CLIENT_PORT
    internal: int = naming.INTERNAL_PORT
    bridge: int = naming.BRIDGE_PORT
    health: int = naming.HEALTH_PORT


def gateway_meta(gateway: Gateway, name: str = "") -> Meta:
    """The metadata of an object of the gateway itself; `name` is the gateway's if it is empty."""
    labels = naming.labels(gateway.name, "gateway")
    return Meta(name or gateway.name, gateway.context.namespace, labels, Owner(gateway.name, gateway.context.uid))


def server_meta(gateway: Gateway, server: str, name: str = "", *, owned: bool = True) -> Meta:
    """The metadata of an object of one server; `name` is that of its Deployment if it is empty."""
    labels = naming.labels(gateway.name, "server") | {naming.SERVER: server}
    owner = Owner(gateway.name, gateway.context.uid) if owned else None
    return Meta(name or naming.child(gateway.name, server), gateway.context.namespace, labels, owner)


def manifest(view: View) -> dict[str, Any]:
    """The object of a view. Raises: jinja2.UndefinedError for a variable that the view does not have."""
    variables = {field.name: getattr(view, field.name) for field in fields(view)}
    return yaml_text.load(_ENVIRONMENT.get_template(f"{view.template}.yaml.j2").render(variables))


def encode(value: Any) -> str:
    """A value as JSON that is valid YAML, too: beyond the basic plane JSON has surrogate pairs, which YAML does not know."""
    if isinstance(value, str):
        return json.dumps(value) if value.isascii() and value.isprintable() else _quoted(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{encode(str(key))}: {encode(child)}" for key, child in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(encode, value)) + "]"
    return json.dumps(value)


def _quoted(text: str) -> str:
    """A double-quoted YAML scalar (YAML 1.1 section 5.6) in which everything but printable ASCII is escaped."""
    parts = [
        json.dumps(char)[1:-1] if " " <= char <= "~" else f"\\u{ord(char):04x}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08x}"
        for char in text
    ]
    return '"' + "".join(parts) + '"'


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(  # noqa: S701 - YAML, not HTML: `finalize` escapes
        loader=jinja2.PackageLoader(__package__ or "", "templates"),
        undefined=jinja2.StrictUndefined,
        finalize=encode,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["ports"] = Ports()
    return environment


_ENVIRONMENT: Final = _environment()
