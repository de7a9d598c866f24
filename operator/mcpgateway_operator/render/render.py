"""(spec, context) → the objects of one gateway, in the order in which they are applied. Pure: no I/O, no clock, no randomness.

Every value reaches a template JSON-encoded, so that nothing a user writes can become YAML structure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import jinja2

from mcpgateway import config as gateway_config

from ..api.servers import Server
from ..api.spec import API_VERSION, KIND, Spec
from ..api.workload import Autoscaling, Resources, Toleration
from . import naming, network_policies, yaml_text
from .bridge_flags import bridge_environment, bridge_needs, bridge_processes
from .gateway_config import gateway_auth, hot_config, pin_of, server_config
from .mounts import gateway_mounts, mounted, server_mounts

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
    pins: Mapping[str, str] = field(default_factory=dict)  # approved digests of servers' tools
    hosts: tuple[str, ...] = ()  # host names that a load balancer has given to the Service
    operator_namespace: str = ""  # where the operator's pod is; empty: not in the cluster
    cluster_cidrs: tuple[str, ...] = ()  # addresses of the cluster, where they are not private ones


@dataclass(frozen=True, slots=True)
class Rendered:
    """The wanted objects, and the digest by which the gateway says that it runs this configuration."""

    objects: tuple[dict[str, Any], ...]
    config_digest: str


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
        objects += [*self._services(), *self._policies(), *self._claims()]
        if not self.sidecar:
            for server in self.hosted:
                objects += self._server_objects(server)
        objects += [self._gateway_deployment(), *self._gateway_scale(), *self._routes()]
        return Rendered(objects=tuple(objects), config_digest=gateway_config.digest(self.config))

    # --- the network ------------------------------------------------------------------------------------------------------

    def _services(self) -> Iterator[dict[str, Any]]:
        service = self.spec.service.model_dump(by_alias=True, exclude_none=True)
        yield self._manifest("gateway-service", "gateway", service=service, session_affinity=self.spec.several)
        yield self._manifest("peers-service", "gateway")

    def _policies(self) -> Iterator[dict[str, Any]]:
        spec, name = self.spec, self.context.name
        if not spec.network_policy.enabled:
            return
        remote = [server for server in self.servers if not server.hosted]
        egress = network_policies.server_egress(self.servers if self.sidecar else remote, self.context.cluster_cidrs)
        ingress = [
            network_policies.from_clients(spec.network_policy.ingress_from),
            *network_policies.from_observers(self.context.operator_namespace, spec.monitoring.scrapers),
        ]
        if not self.sidecar:
            egress.append(network_policies.to_bridges(name))
        yield self._manifest("network-policy", "gateway", policy={"name": name, "ingress": ingress, "egress": egress})

    def _routes(self) -> Iterator[dict[str, Any]]:
        spec = self.spec
        if spec.ingress is not None:
            yield self._manifest("ingress", "gateway", ingress=spec.ingress.model_dump())
        if spec.http_route is not None:
            parents = [parent.model_dump(by_alias=True, exclude_none=True) for parent in spec.http_route.parent_refs]
            route = {"parent_refs": parents, "hostnames": list(spec.http_route.hostnames), "port": spec.service.port}
            yield self._manifest("http-route", "gateway", route=route)
        if spec.monitoring.service_monitor:
            yield self._manifest("service-monitor", "gateway")

    # --- storage and scale ------------------------------------------------------------------------------------------------

    def _claims(self) -> Iterator[dict[str, Any]]:
        for server in self.hosted:
            labels = naming.labels(self.context.name, "server") | {naming.SERVER: server.name}
            for storage in server.storage:
                if storage.size is not None:
                    claim = {
                        "name": naming.claim(self.context.name, server.name, storage.mount_path),
                        "owned": storage.on_delete != "Retain",
                        "access_modes": list(storage.access_modes or ("ReadWriteOnce",)),
                        "storage_class": storage.storage_class_name,
                        "size": storage.size,
                    }
                    yield self._manifest("claim", "server", claim=claim, labels=labels)

    def _gateway_scale(self) -> Iterator[dict[str, Any]]:
        spec, name = self.spec, self.context.name
        if spec.autoscaling is not None:
            yield self._autoscaler(name, "gateway", spec.autoscaling)
        if spec.several and spec.pod_disruption_budget.enabled:
            budget = {"name": name, "max_unavailable": spec.pod_disruption_budget.max_unavailable}
            yield self._manifest("disruption-budget", "gateway", budget=budget)

    def _autoscaler(self, name: str, container: str, wanted: Autoscaling, **values: Any) -> dict[str, Any]:
        scaler = {"calls_in_flight": None, **wanted.model_dump(), "name": name, "container": container}
        return self._manifest("autoscaler", values.pop("component", "gateway"), scaler=scaler, **values)

    # --- pods -------------------------------------------------------------------------------------------------------------

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
            replicas=None if spec.autoscaling else spec.replicas,
            several=spec.several,
            single=self.sidecar and any(server.single for server in self.hosted),
            keys=naming.keys_secret(name, self.context.uid),
            sidecar=self.sidecar,
            sidecars=[self._server_view(s, index) for index, s in enumerate(self.hosted)] if self.sidecar else [],
            gateway=self._gateway_view()
            | {
                "args": args,
                "resources": _resources(spec.resources, _GATEWAY_RESOURCES),
                "mounts": gateway_mounts(spec, self.servers),
            },
        )

    def _server_objects(self, server: Server) -> Iterator[dict[str, Any]]:
        """MultiPod: what one server has for itself."""
        view = self._server_view(server, None)
        shared: dict[str, Any] = {
            "server": view,
            "selector": naming.server_selector(self.context.name, server.name),
            "labels": naming.labels(self.context.name, "server") | {naming.SERVER: server.name},
        }
        yield self._manifest("server-service", "server", **shared)
        if self.spec.network_policy.enabled:
            policy = {
                "name": view["child"],
                "ingress": [network_policies.from_gateway(self.context.name)],
                "egress": network_policies.server_egress([server], self.context.cluster_cidrs),
            }
            yield self._manifest("network-policy", "server", policy=policy, **shared)
        yield self._manifest("server-deployment", "server", gateway=self._gateway_view(), **shared)
        if server.autoscaling is not None:
            container = f"mcp-{server.name}"
            yield self._autoscaler(view["child"], container, server.autoscaling, component="server", **shared)
        if server.several and self.spec.pod_disruption_budget.enabled:
            yield self._manifest("disruption-budget", "server", budget={"name": view["child"], "max_unavailable": 1}, **shared)

    def _gateway_view(self) -> dict[str, Any]:
        return {"image": self.spec.image or self.context.image, "pull_policy": self.spec.image_pull_policy}

    def _server_view(self, server: Server, index: int | None) -> dict[str, Any]:
        """A server as its templates need it; `index` is its place in a Sidecar pod."""
        if index is None:
            listen, health = f":{naming.BRIDGE_PORT}", f":{naming.HEALTH_PORT}"
        else:
            listen, health = f"127.0.0.1:{naming.BRIDGE_PORT + index}", f"127.0.0.1:{naming.HEALTH_PORT + index}"
        flags = [
            "serve",
            f"--listen={listen}",
            f"--health={health}",
            *bridge_processes(server),
            *bridge_environment(server),
            *bridge_needs(server),
        ]
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
            "tmp_size": server.tmp_size,
            "user": server.run_as_user,
            "read_only": not server.writable_root_filesystem,
            "mounts": server_mounts(self.context.name, server),
            "replicas": None if server.autoscaling else server.replicas,
            "several": server.several,
            "single": server.single,
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
        return yaml_text.load(text)


def _toleration(toleration: Toleration) -> dict[str, Any]:
    """Only what is said: an empty effect or key would come back from the API server without it."""
    fields = toleration.model_dump(by_alias=True, exclude_none=True)
    return {name: value for name, value in fields.items() if value != ""}


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
                limits=spec.limits,
                file=mounted,
                pin=pin_of(spec, context.pins, server.name),
                addresses=context.addresses.get(server.name, ()) if multi_pod else (),
                fallback=_by_name(context, server) if multi_pod and server.hosted else "",
            )
            for server in servers
        ],
        auth=gateway_auth(spec, file=mounted),
        hosts=(*naming.service_hosts(context.name, context.namespace), *_route_hosts(spec), *context.hosts),
    )


def _route_hosts(spec: Spec) -> Iterator[str]:
    """The names by which clients come from outside; each once."""
    found = [spec.ingress.host] if spec.ingress else []
    found += spec.http_route.hostnames if spec.http_route else ()
    yield from dict.fromkeys(found)


def _by_name(context: Context, server: Server) -> str:
    return f"{naming.child(context.name, server.name)}.{context.namespace}.svc:{naming.BRIDGE_PORT}"
