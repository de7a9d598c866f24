"""An observation → the whole `status`. Pure: the clock is an argument."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import __version__
from ..render import naming
from . import conditions
from .observation import Observation
from .server_status import server_status


def build(seen: Observation, *, previous: Mapping[str, Any], now: str) -> dict[str, Any]:
    """The status of an accepted gateway. `previous` is the stored one; `now` is an RFC 3339 time."""
    reports = seen.current_reports()
    entries = {entry["name"]: entry for entry in previous.get("servers") or ()}
    servers = [
        server_status(server, seen, reports, previous=entries.get(server.name, {}), now=now) for server in seen.spec.enabled
    ]
    ready = sum(server["state"] == "Ready" for server in servers)
    by_type = conditions.findings(seen, servers, reports)
    return {
        "observedGeneration": seen.generation,
        **({"url": address} if (address := url(seen)) else {}),
        "replicas": sum(not pod.terminating for pod in seen.gateway_pods()),
        "selector": ",".join(f"{k}={v}" for k, v in sorted(naming.selector(seen.name, "gateway").items())),
        "readyServers": f"{ready}/{len(servers)}",
        "toolCount": min((int(report.get("toolCount", 0)) for report in reports), default=0),
        "operator": seen.operator,
        "version": __version__ if seen.queued is None else previous.get("version", __version__),
        "conditions": conditions.conditions(by_type, generation=seen.generation, previous=previous, now=now),
        "servers": servers,
        **({"orphanedClaims": list(seen.orphans)} if seen.orphans else {}),
    }


def rejection(message: str, *, operator: str, generation: int, previous: Mapping[str, Any], now: str) -> dict[str, Any]:
    """The status of a gateway whose spec cannot be used."""
    by_type = conditions.rejected(message)
    return {
        "observedGeneration": generation,
        "operator": operator,
        "conditions": conditions.conditions(by_type, generation=generation, previous=previous, now=now),
    }


def url(seen: Observation) -> str | None:
    """Where clients connect: by the route or Ingress, else by the load balancer, else inside the cluster; None if none exists."""
    spec = seen.spec
    if spec.http_route is not None and spec.http_route.hostnames and "HTTPRoute" in seen.entrances:
        parent = spec.http_route.parent_refs[0]
        secure = parent.port == 443 or (parent.section_name or "").startswith("https")
        return f"{'https' if secure else 'http'}://{spec.http_route.hostnames[0]}{spec.http_route.path.rstrip('/')}/mcp"
    if spec.ingress is not None and "Ingress" in seen.entrances:
        scheme = "https" if spec.ingress.tls_secret_name else "http"
        return f"{scheme}://{spec.ingress.host}{spec.ingress.path.rstrip('/')}/mcp"
    service = seen.entrances.get("Service")
    if service is None:
        return None
    host = service.hosts[0] if service.hosts else f"{seen.name}.{seen.namespace}.svc"
    return f"http://{f'[{host}]' if ':' in host else host}:{spec.service.port}/mcp"
