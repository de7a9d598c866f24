"""(spec, context) → the objects of one gateway, in the order in which they are applied. Pure: no I/O, no clock, no randomness.

Every value reaches a template JSON-encoded, so that nothing a user writes can become YAML structure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jinja2
import yaml

from mcpgateway import config as gateway_config

from . import naming
from .api import API_VERSION, KIND, Spec, Toleration
from .configuration import gateway_auth, hot_config, origin, server_config
from .servers import Resources, Server

REFS = "/run/mcpgateway/refs"
BRIDGE_PROCESSES = 256  # that a bridge holds without being told
TOKENS = "/etc/mcpgateway/tokens"  # and secret headers: all values that the gateway itself needs
_SERVER_RESOURCES = ({"cpu": "10m", "memory": "64Mi"}, {"memory": "512Mi"})
_GATEWAY_RESOURCES = ({"cpu": "50m", "memory": "64Mi"}, {"memory": "256Mi"})


@dataclass(frozen=True, slots=True)
class Context:
    """What a rendering depends on beside the spec."""

    name: str
    namespace: str
    uid: str
    image: str  # the operator's default for spec.image
    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # MultiPod: server -> HOST:PORT of its pods
    quarantined: frozenset[str] = frozenset()  # Sidecar: servers whose image cannot be had


@dataclass(frozen=True, slots=True)
class Rendered:
    """The wanted objects, and the digest by which the gateway says that it runs this configuration."""

    objects: tuple[dict[str, Any], ...]
    config_digest: str


@dataclass(frozen=True, slots=True)
class _Mount:
    """One referenced Secret or ConfigMap, as an optional projected volume: absence is reported, it holds up no pod."""

    volume: str
    path: str
    sources: list[dict[str, Any]]


def encode(value: Any) -> str:
    """A value as JSON that is YAML as well: beyond the basic plane JSON has surrogate pairs, and YAML does not know them."""
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
    return jinja2.Environment(  # noqa: S701 - YAML, not HTML: `finalize` is what escapes
        loader=jinja2.PackageLoader(__package__ or "", "templates"),
        undefined=jinja2.StrictUndefined,
        finalize=encode,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


_TEMPLATES = _environment()


def render(spec: Spec, context: Context) -> Rendered:
    """All objects of one gateway."""
    return _Renderer(spec, context).all()


class _Renderer:
    def __init__(self, spec: Spec, context: Context) -> None:
        self.spec, self.context = spec, context
        self.sidecar = spec.mode == "Sidecar"
        self.servers = [s for s in spec.enabled if not (self.sidecar and s.name in context.quarantined)]
        self.hosted = [server for server in self.servers if server.hosted]
        self.binding = gateway_config.encode(_binding(self.hosted))
        self.config = gateway_config.encode(_config(spec, self.servers, context))

    def all(self) -> Rendered:
        objects = [self._manifest("config", "gateway", config=self.config)]
        if self.sidecar:
            objects.append(self._manifest("binding", "gateway", binding=self.binding))
        objects.append(
            self._manifest(
                "gateway-service", "gateway", service=self.spec.service.model_dump(), session_affinity=self.spec.replicas > 1
            )
        )
        if not self.sidecar:
            gateway = naming.selector(self.context.name, "gateway")
            objects.append(self._manifest("servers-network-policy", "server", gateway_selector=gateway))
            for server in self.hosted:
                objects += self._server_objects(server)
        objects.append(self._gateway_deployment())
        return Rendered(objects=tuple(objects), config_digest=gateway_config.digest(self.config))

    def _gateway_deployment(self) -> dict[str, Any]:
        spec, name = self.spec, self.context.name
        args = [
            "--config=/etc/mcpgateway/config/config.json",
            "--keys=/etc/mcpgateway/keys",
            f"--listen=:{naming.CLIENT_PORT}",
            f"--internal=:{naming.INTERNAL_PORT}",
            "--drain-delay=3",
        ]
        if self.sidecar:
            args.append("--binding=/etc/mcpgateway/binding/binding.json")
        return self._manifest(
            "gateway-deployment",
            "gateway",
            replicas=spec.replicas,
            keys=naming.keys_secret(name, self.context.uid),
            sidecar=self.sidecar,
            sidecars=[self._server_view(s, index) for index, s in enumerate(self.hosted)] if self.sidecar else [],
            gateway=self._gateway_view()
            | {
                "args": args,
                "resources": _resources(spec.resources, _GATEWAY_RESOURCES),
                "references": _gateway_mounts(spec, self.servers),
            },
        )

    def _server_objects(self, server: Server) -> list[dict[str, Any]]:
        shared = {
            "server": self._server_view(server, None),
            "selector": naming.server_selector(self.context.name, server.name),
            "labels": naming.labels(self.context.name, "server") | {naming.SERVER: server.name},
        }
        return [
            self._manifest("server-service", "server", **shared),
            self._manifest("server-deployment", "server", gateway=self._gateway_view(), **shared),
        ]

    def _gateway_view(self) -> dict[str, Any]:
        return {"image": self.spec.image or self.context.image, "pull_policy": self.spec.image_pull_policy}

    def _server_view(self, server: Server, index: int | None) -> dict[str, Any]:
        """A server as its templates need it; `index` is its place in a Sidecar pod."""
        if index is None:
            listen, health = f":{naming.BRIDGE_PORT}", f":{naming.HEALTH_PORT}"
        else:
            listen, health = f"127.0.0.1:{naming.BRIDGE_PORT + index}", f"127.0.0.1:{naming.HEALTH_PORT + index}"
        flags = ["serve", f"--listen={listen}", f"--health={health}", *bridge_processes(server), *bridge_environment(server)]
        return {
            "name": server.name,
            "child": naming.child(self.context.name, server.name),
            "image": server.image,
            "pull_policy": server.image_pull_policy,
            "exposed": index is None,
            # The kubelet expands $(VAR) in args by the container's variables; ours are the bridge's to expand.
            "args": [flag.replace("$", "$$") for flag in [*flags, "--", *server.command, *server.args]],
            "resources": _resources(server.resources, _SERVER_RESOURCES),
            "tmp": f"tmp-{server.name}",
            "references": _server_mounts(server),
        }

    def _manifest(self, template: str, component: str, **values: Any) -> dict[str, Any]:
        name, spec = self.context.name, self.spec
        labels = values.pop("labels", naming.labels(name, component))
        text = _TEMPLATES.get_template(f"{template}.yaml.j2").render(
            {
                "name": name,
                "namespace": self.context.namespace,
                "labels": labels,
                "pod_labels": {**spec.pod_labels, **labels},
                "pod_annotations": spec.pod_annotations,
                "node_selector": spec.node_selector,
                "tolerations": [_toleration(toleration) for toleration in spec.tolerations],
                "selector": naming.selector(name, component),
                "owner": {"apiVersion": API_VERSION, "kind": KIND, "name": name, "uid": self.context.uid},
                "binding_name": f"{name}-config-{gateway_config.digest(self.binding)[:8]}",
                "image_pull_secrets": [{"name": secret.name} for secret in spec.image_pull_secrets],
                "ports": {
                    "client": naming.CLIENT_PORT,
                    "internal": naming.INTERNAL_PORT,
                    "bridge": naming.BRIDGE_PORT,
                    "health": naming.HEALTH_PORT,
                },
                **values,
            }
        )
        manifest: dict[str, Any] = yaml.load(text, Loader=yaml.CSafeLoader)
        return manifest


def _toleration(toleration: Toleration) -> dict[str, Any]:
    """Only what is said: an empty effect or key would come back from the API server without it."""
    fields = toleration.model_dump(by_alias=True, exclude_none=True)
    return {name: value for name, value in fields.items() if value != ""}


def bridge_environment(server: Server) -> list[str]:
    """The bridge's flags for a server's env and envFrom, in the order that Kubernetes gives them: envFrom first."""
    flags = []
    for source in server.env_from:
        folder = f"secrets/{source.secret_ref.name}" if source.secret_ref else ""
        if source.config_map_ref:
            folder = f"configmaps/{source.config_map_ref.name}"
        flags.append(f"--env-from-dir={source.prefix}={folder}")
    for variable in server.env:
        origin = variable.value_from
        if origin is None:
            value = variable.value or ""
            flags.append(f"--env={variable.name}={'@' if value.startswith('@') else ''}{value}")
        elif origin.secret_key_ref:
            flags.append(f"--env={variable.name}=@secrets/{origin.secret_key_ref.name}/{origin.secret_key_ref.key}")
        elif origin.config_map_key_ref:
            flags.append(f"--env={variable.name}=@configmaps/{origin.config_map_key_ref.name}/{origin.config_map_key_ref.key}")
    return [f"--refs={REFS}", *flags] if any("@" in flag or flag.startswith("--env-from") for flag in flags) else flags


def bridge_processes(server: Server) -> list[str]:
    """The bridge's flags for how many processes it holds: also the sessions of a gateway that has just died count there."""
    most = 2 * server.max_processes + server.pool + server.warm
    flags = [f"--warm={server.warm}"] if server.warm else []
    return [*flags, f"--max-processes={most}"] if most > BRIDGE_PROCESSES else flags


References = dict[tuple[str, str], set[str] | None]  # (secrets | configmaps, name) → keys, None for all of them


def _collected(wanted: Iterable[tuple[str, str, str | None]]) -> References:
    found: References = {}
    for kind, name, key in wanted:
        known = found.get((kind, name), set())
        found[kind, name] = None if key is None or known is None else known | {key}
    return dict(sorted(found.items()))


def references(server: Server) -> References:
    """What a server's program refers to."""
    whole = [
        *(("secrets", source.secret_ref.name, None) for source in server.env_from if source.secret_ref),
        *(("configmaps", source.config_map_ref.name, None) for source in server.env_from if source.config_map_ref),
    ]
    return _collected([*whole, *(origin(variable.value_from) for variable in server.env if variable.value_from)])


def header_references(servers: Iterable[Server]) -> References:
    """What the headers for remote servers refer to."""
    return _collected(_header_keys(servers))


def _header_keys(servers: Iterable[Server]) -> list[tuple[str, str, str]]:
    return [origin(header.value_from) for server in servers for header in server.headers if header.value_from]


def _server_mounts(server: Server) -> list[_Mount]:
    return [
        _mount("ref", server.name, kind=kind, name=name, keys=keys, root=REFS)
        for (kind, name), keys in references(server).items()
    ]


def _gateway_mounts(spec: Spec, servers: Iterable[Server]) -> list[_Mount]:
    tokens = [("secrets", token.secret_key_ref.name, token.secret_key_ref.key) for token in spec.auth.tokens]
    wanted = _collected([*tokens, *_header_keys(servers)])
    return [_mount("token", "gateway", kind=kind, name=name, keys=keys, root=TOKENS) for (kind, name), keys in wanted.items()]


def _mount(prefix: str, server: str, *, kind: str, name: str, keys: set[str] | None, root: str) -> _Mount:
    source: dict[str, Any] = {"name": name, "optional": True}
    if keys is not None:
        source["items"] = [{"key": key, "path": key} for key in sorted(keys)]
    return _Mount(
        volume=naming.volume(prefix, server, f"{kind}/{name}"),
        path=f"{root}/{kind}/{name}",
        sources=[{"secret" if kind == "secrets" else "configMap": source}],
    )


def _resources(given: Resources, defaults: tuple[dict[str, str], dict[str, str]]) -> dict[str, Any]:
    requests, limits = defaults
    wanted = given.model_dump(exclude_none=True)
    return {"requests": {**requests, **wanted["requests"]}, "limits": {**limits, **wanted["limits"]}}


def _binding(servers: list[Server]) -> gateway_config.Binding:
    addresses = {server.name: f"127.0.0.1:{naming.BRIDGE_PORT + index}" for index, server in enumerate(servers)}
    return gateway_config.Binding(mode="Sidecar", addresses=addresses)


def _config(spec: Spec, servers: list[Server], context: Context) -> gateway_config.Config:
    multi_pod = spec.mode == "MultiPod"
    return hot_config(
        spec,
        gateway=context.name,
        servers=[
            server_config(
                server,
                file=_mounted,
                addresses=context.addresses.get(server.name, ()) if multi_pod else (),
                fallback=_by_name(context, server) if multi_pod and server.hosted else "",
            )
            for server in servers
        ],
        auth=gateway_auth(spec, file=_mounted),
        hosts=naming.service_hosts(context.name, context.namespace),
    )


def _mounted(kind: str, name: str, key: str) -> str:
    return f"{TOKENS}/{kind}/{name}/{key}"


def _by_name(context: Context, server: Server) -> str:
    return f"{naming.child(context.name, server.name)}.{context.namespace}.svc:{naming.BRIDGE_PORT}"
