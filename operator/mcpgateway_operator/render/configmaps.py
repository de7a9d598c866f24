"""The ConfigMaps of a gateway: the configuration that it reloads, and in Sidecar mode the binding of one pod template. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from mcpgateway import config as gateway_config

from ..api.servers import Server
from . import naming
from .context import Gateway
from .gateway_config import gateway_auth, hot_config, pin_of, server_config
from .mounts import mounted
from .templating import View, gateway_meta, manifest


@dataclass(frozen=True, slots=True)
class ConfigView(View):
    """The reloaded configuration: `config` is its JSON."""

    template: ClassVar[str] = "config"
    config: str


@dataclass(frozen=True, slots=True)
class BindingView(View):
    """The addresses of the servers in a Sidecar pod: `binding` is their JSON."""

    template: ClassVar[str] = "binding"
    binding: str


def config_map(gateway: Gateway, config: str) -> dict[str, Any]:
    """The ConfigMap with the gateway's configuration."""
    return manifest(ConfigView(gateway_meta(gateway, naming.config_map(gateway.name)), config))


def binding_map(gateway: Gateway) -> dict[str, Any]:
    """The immutable ConfigMap with the binding."""
    return manifest(BindingView(gateway_meta(gateway, binding_name(gateway)), _binding(gateway)))


def binding_name(gateway: Gateway) -> str:
    """The name of the binding's ConfigMap, which changes with its content."""
    return f"{naming.config_map(gateway.name)}-{gateway_config.digest(_binding(gateway))[:8]}"


def config(gateway: Gateway) -> str:
    """The JSON of the gateway's configuration."""
    spec, context = gateway.spec, gateway.context
    return gateway_config.encode(
        hot_config(
            spec,
            gateway=gateway.name,
            servers=[_server(gateway, server) for server in gateway.servers],
            auth=gateway_auth(spec, file=mounted),
            awaited=context.awaited,
            hosts=(*naming.service_hosts(gateway.name, context.namespace), *context.hosts),
        )
    )


def _binding(gateway: Gateway) -> str:
    addresses = {server.name: f"127.0.0.1:{naming.BRIDGE_PORT + index}" for index, server in enumerate(gateway.hosted)}
    return gateway_config.encode(gateway_config.Binding(mode="Sidecar", addresses=addresses))


def _server(gateway: Gateway, server: Server) -> gateway_config.Server:
    context = gateway.context
    return server_config(
        server,
        limits=gateway.spec.limits,
        remotes=gateway.spec.remotes,
        file=mounted,
        pin=pin_of(gateway.spec, context.pins, server.name),
        # Pods of the previous mode serve, and read this configuration, until those of the new one have taken over.
        addresses=context.addresses.get(server.name, ()),
        arriving=() if gateway.sidecar else context.arriving.get(server.name, ()),
        fallback=_fallback(gateway, server),
    )


def _fallback(gateway: Gateway, server: Server) -> str:
    """The name by which a server is found while the operator is away; empty unless the Service is known to be the gateway's own.

    Before a server has an address, the name would lead nowhere, and the next configuration is about to be written.
    """
    context, service = gateway.context, naming.child(gateway.name, server.name)
    own = context.services is None or (service in context.services and server.name in context.addresses)
    usable = server.hosted and own and (not gateway.sidecar or server.name in context.addresses)
    return f"{service}.{context.namespace}.svc:{naming.BRIDGE_PORT}" if usable else ""
