"""(spec, context) → the objects of one gateway, in the order in which they are applied. Pure: no I/O, no clock, no randomness."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mcpgateway import config as gateway_config

from ..api.servers import Server
from ..api.spec import Spec
from . import configmaps
from .claims import claims
from .context import Context, Gateway
from .deployments import gateway_deployment, server_deployment, server_service
from .isolation import gateway_policy, server_policy
from .scaling import gateway_scale, server_scale
from .services import routes, services


@dataclass(frozen=True, slots=True)
class Rendered:
    """The wanted objects, and the digest by which the gateway reports that it has loaded this configuration."""

    objects: tuple[dict[str, Any], ...]
    config_digest: str


def render(spec: Spec, context: Context) -> Rendered:
    """All objects of one gateway."""
    gateway = Gateway(spec, context)
    config = configmaps.config(gateway)
    return Rendered(tuple(_objects(gateway, config)), gateway_config.digest(config))


def _objects(gateway: Gateway, config: str) -> Iterator[dict[str, Any]]:
    yield configmaps.config_map(gateway, config)
    if gateway.sidecar:
        yield configmaps.binding_map(gateway)
    yield from services(gateway)
    yield from gateway_policy(gateway)
    yield from claims(gateway)
    for server in () if gateway.sidecar else gateway.hosted:
        yield from _server_objects(gateway, server)
    yield gateway_deployment(gateway)
    yield from gateway_scale(gateway)
    yield from routes(gateway)


def _server_objects(gateway: Gateway, server: Server) -> Iterator[dict[str, Any]]:
    """MultiPod: the objects of one server."""
    yield server_service(gateway, server)
    yield from server_policy(gateway, server)
    yield server_deployment(gateway, server)
    yield from server_scale(gateway, server)
